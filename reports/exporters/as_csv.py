"""Reports as CSV (RFC 4180, UTF-8): the first line names the columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from reports.exporters.cells import defused, exact, moment
from reports.exporters.form import Exporter, Head
from reports.table import Kind, Row, Summary


def _flag(flag: bool) -> str:
    return "true" if flag else "false"


_TEXT: dict[Kind, Callable[[Any], str]] = {
    Kind.TEXT: defused,
    Kind.NUMBER: exact,
    Kind.MOMENT: moment,
    Kind.FLAG: _flag,
}


class CsvExporter(Exporter):
    """For programs. What is empty and what is an empty text look the same."""

    suffix = "csv"
    title = "CSV"
    content_type = "text/csv; charset=utf-8; header=present"

    def write(self, stream: BinaryIO, head: Head, rows: Iterator[Row], summary: Summary) -> int:
        # A character that UTF-8 cannot say, half of a pair, is written as its number.
        out = io.TextIOWrapper(stream, "utf-8", errors="backslashreplace", newline="")
        line, written = csv.writer(out).writerow, 0
        texts = [_TEXT[column.kind] for column in head.columns]
        try:
            line(column.name for column in head.columns)
            for row in rows:
                line(["" if cell is None else text(cell) for text, cell in zip(texts, row, strict=True)])
                written += 1
        finally:
            out.detach()  # which passes on what is left; closing the stream is its owner's
        return written
