"""What a file is, whatever its format: rows of text, by kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from django.db import models
from msgspec import Struct

from policies.edits import EDITABLE
from policies.errors import PolicyError

# The sheets of a workbook and the lists of a YAML file, by the kind of their rows.
SHEETS = {
    "profile": "profiles",
    "account": "accounts",
    "instrument": "instruments",
    "restriction": "restrictions",
    "policy": "policies",
}
KINDS = {sheet: kind for kind, sheet in SHEETS.items()}

MOST_BYTES = 10_000_000
MOST_ROWS = 20_000
_MOST_TOLD = 20

# Text, a list of names, or None: empty.
Cell = str | list[str] | None


class FileRow(Struct, frozen=True):
    """A row of a file. `where` says where it is, for people; `values` by column, only of the columns that it has."""

    kind: str
    where: str
    values: Mapping[str, Cell]


class Problem(Struct, frozen=True):
    """What is wrong with a file, and where; an empty column: with the row as a whole."""

    where: str
    column: str
    text: str

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.where, self.column))) + f": {self.text}"


class FileRefused(PolicyError):
    """A file of which nothing was taken. `problems` has all that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        more = f"\nand {len(problems) - _MOST_TOLD} more" if len(problems) > _MOST_TOLD else ""
        super().__init__("\n".join(map(str, problems[:_MOST_TOLD])) + more)


def refused(text: str, where: str = "The file", column: str = "") -> FileRefused:
    """Return the error of a file with one thing wrong with it."""
    return FileRefused([Problem(where, column, text)])


def columns(kind: str) -> tuple[str, ...]:
    """Return the columns of a kind: its key, its version, and every field."""
    key = key_of(kind)
    fields = EDITABLE[kind]._meta.concrete_fields
    return (key, "version", *(each.name for each in fields if each.name not in (key, "version")))


def key_of(kind: str) -> str:
    """Return the column that names a row."""
    return EDITABLE[kind]._meta.pk.name


def field_of(kind: str, column: str) -> models.Field[Any, Any]:
    """Return the field of a column."""
    return cast("models.Field[Any, Any]", EDITABLE[kind]._meta.get_field(column))


def row_of(kind: str, where: str, header: Iterable[str], cells: Iterable[Cell]) -> FileRow:
    """Return a row with the cells of its columns."""
    return FileRow(kind, where, dict(zip(header, cells, strict=True)))


def check_header(kind: str, header: Sequence[str], where: str) -> None:
    """Raise FileRefused where a column is not one of the kind, or is there twice."""
    known = columns(kind)
    problems = [
        Problem(where, name or "a column without a name", f"there is no such column; there are {', '.join(known)}")
        for name in dict.fromkeys(header)
        if name not in known
    ]
    problems += [Problem(where, name, "is there twice") for name in sorted(set(header)) if header.count(name) > 1]
    if problems:
        raise FileRefused(problems)
