"""From the rows of a file to the edits that make the rows that officers manage say the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from msgspec import Struct

from audit.canonical import Json
from policies.changes import check_version
from policies.edits import EDITABLE, Edit
from policies.errors import StaleEdit
from policies.fields import WindowListField, window_list
from policies.files.rows import FileRefused, FileRow, Problem, field_of, key_of
from policies.files.values import read_cell
from policies.models import Managed, Policy
from policies.requests.applying import parse_fields, settable_when_new
from policies.validation import name_list
from riskcore.book import Scope


class Plan(Struct, frozen=True):
    """What a file changes: an edit for each row of it that says something else, and where that row is.

    `same` counts the rows that are like that already.
    """

    edits: tuple[Edit, ...]
    places: tuple[str, ...]
    same: int


class _Refused(Exception):
    """A row with problems."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__()


def plan_of(rows: Sequence[FileRow]) -> Plan:
    """Return what a file changes. What it does not name stays as it is. Raises FileRefused with all its problems."""
    present = {kind: _Present(EDITABLE[kind]) for kind in {row.kind for row in rows}}
    edits: list[Edit] = []
    places: list[str] = []
    problems: list[Problem] = []
    named: dict[tuple[str, str], str] = {}
    for row in rows:
        try:
            edit = _edit(row, present[row.kind])
        except _Refused as error:
            problems += error.problems
            continue
        if edit is None:
            continue
        first = named.setdefault((edit.kind, edit.key), row.where)
        if first != row.where:
            problems.append(Problem(row.where, "", f"is the same row as {first}"))
        edits.append(edit)
        places.append(row.where)
    if problems:
        raise FileRefused(problems)
    return Plan(tuple(edits), tuple(places), len(rows) - len(edits))


def is_of_edits(error: ValidationError) -> bool:
    """Return whether an error is of edits (`0.threshold`), and not of what else a request has."""
    return hasattr(error, "error_dict") and all(name.partition(".")[0].isdecimal() for name in error.error_dict)


def problems_of(error: ValidationError, places: Sequence[str]) -> FileRefused:
    """Return what is wrong with the edits of a plan (`0.threshold`) as what is wrong with the file."""
    if not hasattr(error, "error_dict"):
        return FileRefused([Problem("The file", "", text) for text in error.messages])
    found = []
    for name, texts in error.message_dict.items():
        index, _, column = name.partition(".")
        where = places[int(index)] if index.isdecimal() else "The file"
        column = "" if column == NON_FIELD_ERRORS else column
        found += [Problem(where, column, text) for text in texts]
    return FileRefused(found)


class _Present:
    """The rows of a kind as they are now."""

    def __init__(self, model: type[Managed]) -> None:
        rows = list(model._default_manager.all())
        self._by_key: dict[str, Managed] = {str(row.pk): row for row in rows}
        self._by_name = {row.name: row for row in rows if isinstance(row, Policy)}

    def find(self, key: str, name: str) -> Managed | None:
        """Return the row of a key, or else the limit of a name: another installation gave it another key."""
        return self._by_key.get(key) or self._by_name.get(name)


def _edit(row: FileRow, present: _Present) -> Edit | None:
    """Return the edit that a row of a file asks for, None where everything is like that already."""
    values = _values(row)
    key = _key(row, values.pop(key_of(row.kind), ""))
    version = values.pop("version", None)
    found = present.find(key, str(values.get("name", "")))
    if found is None:
        return Edit(row.kind, key or _new_key(row), 0, values)
    fields = _differing(row, found, values)
    if not fields:
        return None
    if isinstance(version, int):
        try:
            check_version(found, version)
        except StaleEdit as error:
            raise _Refused([Problem(row.where, "", str(error))]) from None
    return Edit(row.kind, str(found.pk), found.version, fields)


def _values(row: FileRow) -> dict[str, Json]:
    values: dict[str, Json] = {}
    problems = []
    for column, cell in row.values.items():
        if column in ("version", key_of(row.kind)) and not cell:
            continue  # of a row that is to be made
        try:
            values[column] = read_cell(row.kind, column, cell)
        except ValueError as error:
            problems.append(Problem(row.where, column, str(error)))
    if problems:
        raise _Refused(problems)
    return values


def _key(row: FileRow, value: Json) -> str:
    """Return the key of a row as its column keeps it: symbols in upper case, ids as such."""
    if not value:
        return ""
    field = field_of(row.kind, key_of(row.kind))
    try:
        return str(field.to_python(value))
    except ValidationError as error:
        raise _Refused([Problem(row.where, field.name, " ".join(error.messages))]) from None


def _new_key(row: FileRow) -> str:
    pk = EDITABLE[row.kind]._meta.pk
    if not pk.has_default():
        raise _Refused([Problem(row.where, pk.name, "is empty: it names the row")])
    return str(pk.get_default())


def _differing(row: FileRow, found: Managed, values: Mapping[str, Json]) -> dict[str, Json]:
    """Return the values that are not those of the row already."""
    model = type(found)
    try:
        parsed = parse_fields(model, values, settable_when_new(model))
    except ValidationError as error:
        raise _Refused(
            Problem(row.where, name, text) for name, texts in error.message_dict.items() for text in texts
        ) from None
    return {
        name: value
        for name, value in values.items()
        if _as_kept(found, name, parsed[name], parsed) != getattr(found, field_of(row.kind, name).attname)
    }


def _as_kept(found: Managed, name: str, value: Any, parsed: Mapping[str, Any]) -> Any:
    """Return a value as the row would keep it: names sorted, and in upper case what orders have so."""
    if not isinstance(value, list):
        return value.upper() if name == "exchange" else value
    scope = parsed.get("scope", getattr(found, "scope", ""))
    upper = name == "order_types" or (name == "scope_ids" and scope in (Scope.SYMBOL, Scope.EXCHANGE))
    try:
        if isinstance(found._meta.get_field(name), WindowListField):
            return window_list(value)
        return name_list([each.upper() for each in value] if upper else value)
    except ValidationError:
        return value  # which is refused when it is tried
