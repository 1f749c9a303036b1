"""The edits that take a published request back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django.db import models

from audit.canonical import plain
from policies.changes import check_version, find_all, past_of
from policies.edits import EDITABLE, Edit
from policies.models import ChangeRequest, Instrument, Managed, Override, RestrictedSymbol
from policies.requests.trying import edits_of


def _default(name: str) -> Any:
    field = cast("models.Field[Any, Any]", Instrument._meta.get_field(name))
    return plain(field.to_python(field.get_default()))


# What takes a new row out of force: it stays, for what went by it.
_OUT_OF_FORCE: dict[str, dict[str, Any]] = {
    "policy": {"enabled": False},
    "account": {"enabled": False},
    "restriction": {"active": False},
    "override": {"active": False},
    # Of an instrument no rule is known then.
    "instrument": {name: _default(name) for name in Instrument.CHANGEABLE},
}


def edits_to_reverse(request: ChangeRequest) -> tuple[Edit, ...]:
    """Return the edits that give every field that a published request set the value that it had before.

    Rows that it made go out of force; a profile cannot, and stays. What was taken back already is left out. Raises
    StaleEdit where such a field was set to something else since.
    """
    edits = edits_of(request)
    present = {kind: find_all(EDITABLE[kind], [each.key for each in edits if each.kind == kind]) for kind in EDITABLE}
    past = past_of([each for each in edits if each.expected_version])
    found = (
        _reversed(edit, present[edit.kind][edit.key], past.get((edit.kind, edit.key), {})) for edit in reversed(edits)
    )
    return tuple(edit for edit in found if edit is not None and edit.fields)


def _reversed(edit: Edit, row: Managed, past: Mapping[int, Managed]) -> Edit | None:
    if edit.expected_version == 0:
        wanted = _OUT_OF_FORCE.get(edit.kind, {})
        return Edit(edit.kind, edit.key, row.version, _differing(row, wanted))
    if isinstance(row, RestrictedSymbol):
        return _restricted_again(row)
    if isinstance(row, Override):
        return None  # one that was taken back is not granted again by itself
    before, made = past[edit.expected_version], past[edit.expected_version + 1]
    wanted = {name: _value(before, name) for name in edit.fields}
    fields = _differing(row, wanted)
    if any(_value(row, name) != _value(made, name) for name in fields):
        check_version(row, made.version)
    return Edit(edit.kind, edit.key, row.version, fields)


def _restricted_again(row: RestrictedSymbol) -> Edit | None:
    """Return the edit that makes another restriction like one that was lifted: a row is lifted once."""
    if row.active:
        return None
    names = ("symbol", "side", "account", "close_only", "until", "reason")
    return Edit("restriction", "", 0, {name: _value(row, name) for name in names})


def _differing(row: Managed, wanted: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in wanted.items() if _value(row, name) != value}


def _value(row: Managed, name: str) -> Any:
    """Return a field as an edit has it."""
    field = cast("models.Field[Any, Any]", row._meta.get_field(name))
    return plain(getattr(row, field.attname))
