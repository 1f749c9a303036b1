"""A workbook, in flat memory: what it is about on the first sheet, its rows on the others."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import chain, islice
from typing import BinaryIO

from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

from reports.exporters.as_xlsx import TEMPORARY
from reports.exporters.form import Head
from reports.exporters.xlsx.about import NAME, About
from reports.exporters.xlsx.cells import Cells
from reports.exporters.xlsx.texts import LONGEST, clean, plain
from reports.table import Column, Row, Summary

_WIDEST = 80  # characters
_A4 = 9  # Excel's number of the paper
_OPTIONS = {
    "constant_memory": True,
    "use_zip64": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


def write_workbook(stream: BinaryIO, head: Head, rows: Iterator[Row], summary: Summary, rows_of_a_sheet: int) -> int:
    """Write a workbook with at most so many rows on a sheet, and return how many there are."""
    # Its own directory, so that nothing is left where a report is broken off.
    with tempfile.TemporaryDirectory(prefix=TEMPORARY) as directory:
        book = Workbook(stream, {**_OPTIONS, "tmpdir": directory})
        book.set_properties(
            {
                "title": clean(head.title),
                "author": clean(head.asked_by),
                "comments": f"Report {clean(head.report_id)} of riskportal.",
                "created": head.made_at.replace(tzinfo=None),
            }
        )
        first, cells = book.add_worksheet(NAME), Cells(book)
        written, sheets = _write_rows(book, cells, head.columns, rows, rows_of_a_sheet)
        # Last, since only now it is known what is to be said of the rows.
        About(book, first).write(head, summary, _remarks(cells, sheets))
        book.close()
    return written


def _write_rows(
    book: Workbook, cells: Cells, columns: tuple[Column, ...], rows: Iterator[Row], most: int
) -> tuple[int, int]:
    """Write all rows, and return how many on how many sheets there are."""
    header = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top", "bg_color": "#E8EDF3"})
    written = sheets = 0
    for part in _parts(rows, most):
        sheets += 1
        sheet = book.add_worksheet("Rows" if sheets == 1 else f"Rows {sheets}")
        _lay_out(sheet, columns)
        for place, column in enumerate(columns):
            sheet.write_string(0, place, plain(clean(column.label)), header)
        last = _fill(sheet, cells, columns, part)
        sheet.autofilter(0, 0, last, len(columns) - 1)
        written += last
    return written, sheets


def _parts(rows: Iterator[Row], most: int) -> Iterator[Iterator[Row]]:
    """Yield the rows in parts of at most so many, each used up before the next; none are one part."""
    yield islice(rows, most)
    for row in rows:
        yield chain((row,), islice(rows, most - 1))


def _fill(sheet: Worksheet, cells: Cells, columns: tuple[Column, ...], rows: Iterator[Row]) -> int:
    """Write rows below the header and return the number of the last."""
    writers = [cells.writer(column.kind) for column in columns]
    last = 0
    for last, row in enumerate(rows, 1):
        cells.empty(sheet, last, 0)
        for place, (write, cell) in enumerate(zip(writers, row, strict=True)):
            if cell is not None:
                write(sheet, last, place, cell)
    return last


def _lay_out(sheet: Worksheet, columns: tuple[Column, ...]) -> None:
    """Set the widths of columns, what stays in view, and how the sheet is printed."""
    for place, column in enumerate(columns):
        sheet.set_column(place, place, min(column.width + 2, _WIDEST))  # the arrow of the filter needs two
    sheet.freeze_panes(1, 0)
    sheet.set_landscape()
    sheet.set_paper(_A4)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)
    sheet.set_footer("&L&A&RPage &P of &N")


def _remarks(cells: Cells, sheets: int) -> list[str]:
    """Return in sentences what in the workbook is not as it was."""
    said = []
    if cells.moments:
        said.append("Moments are UTC, to the millisecond; CSV and JSON lines have the microseconds.")
    if cells.as_text:
        said.append(
            f"Numbers with more than 15 digits, which Excel would round, are written as text: {cells.as_text:,}."
        )
    if cells.cut:
        said.append(f"Texts longer than {LONGEST:,} characters, of which the end is cut off: {cells.cut:,}.")
    if sheets > 1:
        said.append(f"The rows go on from sheet to sheet: {sheets} sheets.")
    return said
