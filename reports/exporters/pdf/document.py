"""A document for people: what was asked for, what there is to say, charts, and the first of the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import BinaryIO

from reports.exporters.form import Head
from reports.exporters.pdf.charts import draw_charts
from reports.exporters.pdf.fonts import BOLD, printable, runs_to_the_left
from reports.exporters.pdf.paper import FAINT, LEADING, MARGIN, Paper
from reports.exporters.pdf.table import Table, lay_out, shown
from reports.exporters.pdf.wrapping import wrap
from reports.exporters.said import facts
from reports.table import Column, Figure, Kind, Row, Summary

_TEXT = 8.5  # points, as all sizes here
_VALUE = 13.0
_LABELS = 130.0
_BESIDE = 4  # figures
_FIGURE_LINES = 2


def write_document(stream: BinaryIO, head: Head, rows: Iterator[Row], summary: Summary, most_rows: int) -> int:
    """Write a document with at most so many of the rows, and return how many are in it."""
    kinds = [column.kind for column in head.columns]
    cells = [[shown(kind, cell) for kind, cell in zip(kinds, row, strict=True)] for row in islice(rows, most_rows)]
    layout = lay_out(head.columns, cells)
    paper = Paper(stream, head, layout.paper)
    _say_what_it_is(paper, head)
    _write_figures(paper, summary.figures)
    _write_notes(paper, "Notes", summary.notes)
    if summary.charts:
        paper.heading("Charts", with_=180)
        draw_charts(paper, summary.charts)
    paper.heading(_count(len(cells), head.rows), with_=60)
    table = Table(paper, head.columns, layout)
    table.write(cells)
    if len(cells) < head.rows:
        paper.y -= _TEXT
        paper.text(f"… of {head.rows:,} rows; the rest is in CSV, XLSX or JSON lines.", size=_TEXT, font=BOLD)
    _write_notes(paper, "In this document", _remarks(head.columns, cells, table.cut))
    paper.close()
    return len(cells)


def _say_what_it_is(paper: Paper, head: Head) -> None:
    paper.y -= 6
    paper.text(head.title, size=18, font=BOLD)
    paper.text(head.meaning, size=10, color=FAINT)
    paper.y -= 6
    for label, value in facts(head):
        lines = wrap(printable(value), paper.inner - _LABELS, _TEXT)
        paper.need(_TEXT * LEADING)
        paper.line(wrap(printable(label), _LABELS - _TEXT, _TEXT, most=1)[0], MARGIN, size=_TEXT, color=FAINT)
        for line in lines:
            paper.need(_TEXT * LEADING)
            paper.line(line, MARGIN + _LABELS, size=_TEXT)
            paper.y -= _TEXT * LEADING


def _write_figures(paper: Paper, figures: tuple[Figure, ...]) -> None:
    """Write the numbers that matter large, some beside each other, each below its words."""
    if not figures:
        return
    paper.heading("Figures", with_=60)
    width = paper.inner / _BESIDE
    for first in range(0, len(figures), _BESIDE):
        several = figures[first : first + _BESIDE]
        labels = [wrap(printable(each.label), width - _TEXT, _TEXT, most=_FIGURE_LINES) for each in several]
        values = [wrap(printable(each.value), width - _TEXT, _VALUE, font=BOLD, most=_FIGURE_LINES) for each in several]
        words = max(map(len, labels)) * _TEXT * LEADING
        height = words + max(map(len, values)) * _VALUE * LEADING + _TEXT
        paper.need(height)
        top = paper.y
        for place in range(len(several)):
            x, paper.y = MARGIN + place * width, top
            for line in labels[place]:
                paper.line(line, x, size=_TEXT, color=FAINT)
                paper.y -= _TEXT * LEADING
            paper.y = top - words
            for line in values[place]:
                paper.line(line, x, size=_VALUE, font=BOLD)
                paper.y -= _VALUE * LEADING
        paper.y = top - height


def _write_notes(paper: Paper, title: str, notes: Sequence[str]) -> None:
    if not notes:
        return
    paper.heading(title, with_=_TEXT * LEADING)
    for note in notes:
        paper.text(note, size=_TEXT)


def _count(printed: int, rows: int) -> str:
    if printed < rows:
        return f"The first {printed:,} of {rows:,} rows"
    return "No rows" if not rows else "One row" if rows == 1 else f"All {rows:,} rows"


def _remarks(columns: tuple[Column, ...], cells: list[list[str]], cut: int) -> list[str]:
    """Return in sentences what in the document is not as it was."""
    said = []
    if cells and any(column.kind is Kind.MOMENT for column in columns):
        said.append("Moments are UTC, to the millisecond.")
    if cut:
        said.append(
            f"Cells of which only the first lines are printed: {cut:,}. CSV, XLSX and JSON lines have all of them."
        )
    texts = [cell for row in cells for cell in row]
    if any("[U+" in text for text in texts):
        said.append("A character that cannot be printed, or would not be seen, is printed as its number: [U+4E2D].")
    if any(map(runs_to_the_left, texts)):
        said.append("Scripts that run from right to left are printed in the order in which they are stored.")
    return said
