"""Limits as a workbook (XLSX): a sheet a kind, its first row names the columns. What is written is text."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from openpyxl import Workbook, load_workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

from audit.canonical import Json
from policies.files.csv_file import shown
from policies.files.rows import (
    KINDS,
    MOST_ROWS,
    SHEETS,
    Cell,
    FileRefused,
    FileRow,
    Problem,
    check_header,
    columns,
    refused,
    row_of,
)
from policies.files.values import fused

# A small file may unpack to a large one.
_MOST_UNPACKED = 200_000_000
_MOST_CELLS = 1_000
# Excel keeps numbers as doubles: so many digits of them are what was typed.
_EXACT_DIGITS = 15
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def write_xlsx(sheets: Mapping[str, Sequence[Mapping[str, Json]]]) -> bytes:
    """Return the rows of every kind as a workbook. Every cell is text, so that numbers stay exact."""
    book = Workbook(write_only=True)
    for kind, rows in sheets.items():
        sheet = book.create_sheet(SHEETS[kind])
        sheet.freeze_panes = "A2"
        sheet.append([_text_cell(sheet, name, bold=True) for name in columns(kind)])
        for row in rows:
            sheet.append([_text_cell(sheet, shown(row[name])) for name in columns(kind)])
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def read_xlsx(content: bytes) -> tuple[FileRow, ...]:
    """Return the rows of a workbook. Raises FileRefused where it is none, or a cell is neither text nor a number."""
    _check_size(content)
    try:
        return tuple(_all_rows(content))
    except FileRefused:
        raise
    except Exception as error:  # openpyxl has no error of its own for what is no workbook, or only half of one
        raise refused(f"is not a workbook (XLSX): {str(error)[:200]}") from None


def _all_rows(content: bytes) -> Iterator[FileRow]:
    book = load_workbook(io.BytesIO(content), read_only=True, data_only=False, keep_links=False)
    for sheet in book.worksheets:
        if sheet.title not in KINDS:
            place = f"sheet {sheet.title[:40]!r}"
            raise refused(f"there is no sheet of that name; there are {', '.join(KINDS)}", place)
        sheet.reset_dimensions()  # what the file says of its own size
        yield from _rows(sheet, KINDS[sheet.title])


def _check_size(content: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            unpacked = sum(each.file_size for each in packed.infolist())
    except (zipfile.BadZipFile, ValueError):
        raise refused("is not a workbook (XLSX)") from None
    if unpacked > _MOST_UNPACKED:
        raise refused("unpacks to more than limits take")


def _rows(sheet: Any, kind: str) -> Iterator[FileRow]:
    header: list[str] = []
    for number, cells in enumerate(sheet.iter_rows(), start=1):
        where = f"{sheet.title}, row {number}"
        if number > MOST_ROWS + 1 or len(cells) > _MOST_CELLS:
            raise refused(f"has more than {MOST_ROWS:,} rows, or {_MOST_CELLS:,} cells in a row", sheet.title)
        if all(cell.value is None or cell.value == "" for cell in cells):
            continue
        if not header:
            header = [str(cell.value or "").strip() for cell in cells]
            while header and not header[-1]:
                header.pop()
            check_header(kind, header, where)
            continue
        if any(cell.value not in (None, "") for cell in cells[len(header) :]):
            raise refused("has a cell beyond the columns that the first row names", where)
        # A row may be written without its last cells where they are empty.
        found = [_read(cell, where, name) for name, cell in zip(header, cells, strict=False)]
        yield row_of(kind, where, header, [*found, *([None] * (len(header) - len(found)))])


def _read(cell: Any, where: str, column: str) -> Cell:
    value = cell.value
    if value is None:
        return None
    if cell.data_type == "f":
        raise refused("is a formula: write its value", where, column)
    if cell.data_type == "e":
        raise refused(f"is an error ({value})", where, column)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return fused(value)
    if isinstance(value, (int, float)):
        return _number(value, where, column)
    raise FileRefused([Problem(where, column, "is a date: write it as text, such as 2026-01-31T14:00:00+00:00")])


def _number(value: float, where: str, column: str) -> str:
    """Return a number as it was typed: Excel shows no more digits than it keeps exactly."""
    number = Decimal(repr(value))
    if not number.is_finite() or len(number.normalize().as_tuple().digits) > _EXACT_DIGITS:
        text = f"has more than the {_EXACT_DIGITS} digits that a spreadsheet keeps: make the cell text"
        raise refused(text, where, column)
    return f"{number:f}"


def _text_cell(sheet: Any, text: str, *, bold: bool = False) -> Any:
    cell = WriteOnlyCell(sheet, _NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", text))
    cell.data_type = "s"
    cell.number_format = "@"
    if bold:
        cell.font = Font(bold=True)
    return cell
