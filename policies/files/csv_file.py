"""Limits as CSV: one kind a file, the first line names the columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from audit.canonical import Json
from policies.files.rows import MOST_ROWS, SHEETS, FileRow, check_header, columns, refused, row_of
from policies.files.values import defused, fused


def write_csv(kind: str, rows: Sequence[Mapping[str, Json]]) -> bytes:
    """Return the rows of a kind as CSV, with nothing in it that a spreadsheet takes for a formula."""
    made = io.StringIO(newline="")
    writer = csv.writer(made)
    writer.writerow(columns(kind))
    writer.writerows([shown(row[name]) for name in columns(kind)] for row in rows)
    return made.getvalue().encode("utf-8-sig")


def shown(value: Json) -> str:
    """Return a value as the text of a cell."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return defused(", ".join(map(str, value)))
    return "" if value is None else defused(str(value))


def read_csv(content: bytes, kind: str = "") -> tuple[FileRow, ...]:
    """Return the rows of a CSV file; without a kind it is told by the columns. Raises FileRefused."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise refused("is not UTF-8 text: save it as CSV UTF-8") from None
    first = text.partition("\n")[0]
    delimiter = ";" if ";" in first and "," not in first else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    rows: list[FileRow] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = [cell.strip() for cell in cells]
                kind = kind or kind_by(header)
                check_header(kind, header, f"line {reader.line_num}")
                continue
            rows.append(_row(kind, header, cells, f"line {reader.line_num}"))
    except csv.Error as error:
        raise refused(f"is not CSV: {error}", f"line {reader.line_num}") from None
    if not header:
        raise refused("is empty: its first line names the columns")
    return tuple(rows)


def kind_by(header: Sequence[str]) -> str:
    """Return the kind that alone has all these columns. Raises FileRefused where none or several have."""
    found = [kind for kind in SHEETS if set(header) <= set(columns(kind))]
    if len(found) != 1:
        which = "of no kind" if not found else f"of {' or '.join(SHEETS[kind] for kind in found)}"
        raise refused(f"these columns are {which}: say which kind the rows are", "line 1")
    return found[0]


def _row(kind: str, header: Sequence[str], cells: Sequence[str], where: str) -> FileRow:
    if len(cells) != len(header):
        raise refused(f"has {len(cells)} cells, but the first line names {len(header)} columns", where)
    return row_of(kind, where, header, map(fused, cells))


def check_count(rows: Sequence[FileRow]) -> None:
    """Raise FileRefused where there are more rows than one request takes."""
    if len(rows) > MOST_ROWS:
        raise refused(f"has more than {MOST_ROWS:,} rows")
