"""The cells of a workbook: by the kind of their column, and never a formula."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from reports.exporters.cells import exact, moment
from reports.exporters.xlsx.texts import clean, cut, plain
from reports.table import Kind

_DIGITS = 15  # that a number of Excel holds
_MOST_PLACES = 12  # of numbers that are shown with all of theirs
_LARGEST = 300  # a power of ten, within which a double says all of these digits
_DAY = timedelta(days=1)
_EPOCH = datetime(1899, 12, 30, tzinfo=UTC)
_FIRST = datetime(1900, 3, 1, tzinfo=UTC)  # before it Excel has a day that never was

Write = Callable[[Worksheet, int, int, Any], object]


class Cells:
    """Writes cells, and counts those of which not everything is in the workbook as it was.

    Attributes
    ----------
    as_text
        Numbers with more digits than Excel keeps, written as text.
    cut
        Texts longer than a cell, of which the end is missing.
    moments
        There are any: they lose their microseconds.
    """

    def __init__(self, book: Workbook) -> None:
        self._book = book
        self._wrapped = book.add_format({"text_wrap": True, "valign": "top"})
        self._text = book.add_format({"valign": "top"})
        self._right = book.add_format({"align": "right", "valign": "top"})
        self._whole = book.add_format({"num_format": "0", "valign": "top"})
        self._moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss.000", "align": "left", "valign": "top"})
        self._places: dict[int, Format] = {}
        self.as_text = self.cut = 0
        self.moments = False

    def writer(self, kind: Kind) -> Write:
        """Return what writes a cell of this kind: sheet, row and column (from 0), and the cell."""
        writers: dict[Kind, Write] = {
            Kind.TEXT: self.text,
            Kind.NUMBER: self.number,
            Kind.MOMENT: self.moment,
            Kind.FLAG: self.flag,
        }
        return writers[kind]

    def empty(self, sheet: Worksheet, row: int, column: int) -> None:
        """Write a cell with nothing in it: a row of which nothing is written would not be there."""
        sheet.write_blank(row, column, None, self._text)

    def text(self, sheet: Worksheet, row: int, column: int, text: str) -> None:
        """Write text."""
        text = clean(text)
        whole = cut(text)
        self.cut += whole is not text
        sheet.write_string(row, column, plain(whole), self._wrapped if "\n" in whole else self._text)

    def number(self, sheet: Worksheet, row: int, column: int, number: int | Decimal) -> None:
        """Write a number, as text where Excel would round it."""
        text = exact(number)
        if not _fits(text):
            self.as_text += 1
            sheet.write_string(row, column, text, self._right)
        else:
            # Of a Decimal xlsxwriter writes the digits that it has; of a float it would write some that are not exact.
            sheet.write_number(row, column, Decimal(text), self._shown(number, text))

    def moment(self, sheet: Worksheet, row: int, column: int, at: datetime) -> None:
        """Write a moment in UTC, to the millisecond, which is as far as Excel goes."""
        if at < _FIRST:
            sheet.write_string(row, column, moment(at), self._text)
            return
        self.moments = True
        whole = at.replace(microsecond=at.microsecond // 1000 * 1000)
        sheet.write_number(row, column, (whole - _EPOCH) / _DAY, self._moment)

    def flag(self, sheet: Worksheet, row: int, column: int, flag: bool) -> None:
        """Write true or false."""
        sheet.write_boolean(row, column, flag, self._text)

    def _shown(self, number: int | Decimal, text: str) -> Format:
        """Return the format that shows all the digits of a number."""
        if isinstance(number, int):
            return self._whole
        places = len(text.partition(".")[2])
        if places not in self._places:
            code = "General" if places > _MOST_PLACES else f"#,##0{'.' * (places > 0)}{'0' * places}"
            self._places[places] = self._book.add_format({"num_format": code, "valign": "top"})
        return self._places[places]


def _fits(text: str) -> bool:
    """Return whether Excel keeps a number with this exact text as it is."""
    digits = text.lstrip("-").replace(".", "")
    if not digits.isdigit() or len(digits) > _LARGEST:
        return False
    return len(digits.strip("0")) <= _DIGITS
