"""Reports as Excel workbooks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from reports.exporters.form import Exporter, Head
from reports.table import Row, Summary

ROWS_OF_A_SHEET = 1_048_575  # beside the header

# How directories begin in which rows are until their workbook is whole; one of a process that was killed stays.
TEMPORARY = "riskportal-xlsx-"


class XlsxExporter(Exporter):
    """For people with a spreadsheet: numbers that add up, moments that sort, a filter on every column.

    While it is written the rows are on disk unpacked as well, where the system keeps temporary files.
    """

    suffix = "xlsx"
    title = "Excel"
    content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

    def __init__(self, rows_of_a_sheet: int = ROWS_OF_A_SHEET) -> None:
        self._rows_of_a_sheet = rows_of_a_sheet

    def write(self, stream: BinaryIO, head: Head, rows: Iterator[Row], summary: Summary) -> int:
        # Its library takes 6 MB, in no process that writes no workbook.
        from reports.exporters.xlsx.workbook import write_workbook

        return write_workbook(stream, head, rows, summary, self._rows_of_a_sheet)
