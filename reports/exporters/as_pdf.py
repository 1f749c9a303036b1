"""Reports as documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from reports.exporters.form import Exporter, Head
from reports.table import Row, Summary

MOST_ROWS = 2_000


class PdfExporter(Exporter):
    """For people to read and to sign: at most so many rows, and then it says how many there are."""

    suffix = "pdf"
    title = "PDF"
    content_type = "application/pdf"

    def __init__(self, most_rows: int = MOST_ROWS) -> None:
        self._most_rows = most_rows

    def write(self, stream: BinaryIO, head: Head, rows: Iterator[Row], summary: Summary) -> int:
        # Its libraries and fonts take 16 MB, in no process that writes no document.
        from reports.exporters.pdf.document import write_document

        return write_document(stream, head, rows, summary, self._most_rows)
