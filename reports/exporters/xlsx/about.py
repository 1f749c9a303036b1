"""The first sheet of a workbook: what the report is, what there is to say of its rows, and its charts."""

from __future__ import annotations

from math import isfinite

from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

from reports.exporters.form import Head
from reports.exporters.said import facts
from reports.exporters.xlsx.texts import clean, cut, plain
from reports.table import Chart, ChartKind, Summary

NAME = "About"

_LABELS, _VALUES, _CHARTS = 0, 1, 3  # columns, from 0
_WIDTHS = (28, 70)  # characters
_CHART_ROWS = 20  # that the picture of a chart covers
_SIZE = {"width": 640, "height": 380}  # pixels
_TYPES = {ChartKind.BARS: "column", ChartKind.LINE: "line"}


class About:
    """Writes the sheet from its top to its end, which is the order that flat memory asks for."""

    def __init__(self, book: Workbook, sheet: Worksheet) -> None:
        self._book, self._sheet, self._row, self._pictures = book, sheet, 0, 0
        self._title = book.add_format({"bold": True, "font_size": 16})
        self._heading = book.add_format({"bold": True, "font_size": 12})
        self._label = book.add_format({"valign": "top"})
        self._value = book.add_format({"text_wrap": True, "valign": "top", "align": "left"})
        for column, width in enumerate(_WIDTHS):
            sheet.set_column(column, column, width)
        sheet.hide_gridlines(2)

    def write(self, head: Head, summary: Summary, remarks: list[str]) -> None:
        """Write all of it; `remarks` are sentences on this workbook."""
        self._line(head.title, self._title)
        self._line(head.meaning, self._label)
        self._pairs("", facts(head))
        self._pairs("Figures", [(figure.label, figure.value) for figure in summary.figures])
        self._sentences("Notes", summary.notes)
        self._sentences("In this workbook", remarks)
        for chart in summary.charts:
            self._chart(chart)

    def _line(self, text: str, form: object) -> None:
        self._put(_LABELS, text, form)
        self._row += 1

    def _put(self, column: int, text: str, form: object) -> None:
        self._sheet.write_string(self._row, column, plain(cut(clean(text))), form)

    def _heading_of(self, title: str) -> None:
        self._row += 1
        if title:
            self._line(title, self._heading)

    def _pairs(self, title: str, pairs: list[tuple[str, str]]) -> None:
        if not pairs:
            return
        self._heading_of(title)
        for label, value in pairs:
            self._put(_LABELS, label, self._label)
            self._put(_VALUES, value, self._value)
            self._row += 1

    def _sentences(self, title: str, sentences: list[str] | tuple[str, ...]) -> None:
        if not sentences:
            return
        self._heading_of(title)
        for sentence in sentences:
            self._line(sentence, self._label)

    def _chart(self, chart: Chart) -> None:
        """Write the values of a chart, and the chart of them to the right of the text, below the one before."""
        self._heading_of("")
        titled = self._row
        self._line(chart.title, self._heading)
        for label, value in zip(chart.labels, chart.values, strict=True):
            self._put(_LABELS, label, self._label)
            if isfinite(value):
                self._sheet.write_number(self._row, _VALUES, value, self._value)
            self._row += 1
        if not chart.values:
            self._line("None.", self._label)
            return
        drawn = self._book.add_chart({"type": _TYPES[chart.kind]})
        assert drawn is not None
        places = (titled + 1, self._row - 1)
        # By reference: a title that begins with = would be taken for one.
        drawn.set_title({"name": [NAME, titled, _LABELS], "overlay": False})
        drawn.set_legend({"none": True})
        drawn.set_y_axis({"name": clean(chart.unit).lstrip("="), "major_gridlines": {"visible": True}})
        drawn.add_series(
            {
                "categories": [NAME, places[0], _LABELS, places[1], _LABELS],
                "values": [NAME, places[0], _VALUES, places[1], _VALUES],
            }
        )
        drawn.set_size(_SIZE)
        self._sheet.insert_chart(self._pictures * _CHART_ROWS, _CHARTS, drawn)
        self._pictures += 1
