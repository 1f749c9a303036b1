"""Brings what somebody wants changed into the form in which a request keeps it."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from msgspec.structs import replace

from audit.canonical import plain
from policies.changes import rows_of
from policies.edits import EDITABLE, Edit
from policies.models import Managed
from policies.requests.trying import RowDifference

MOST_EDITS = 20_000
_LONGEST_TITLE = 200


def canonical(edits: Sequence[Edit]) -> tuple[Edit, ...]:
    """Return edits as a request keeps them: exact JSON, only fields that differ, and a key for each row.

    Raises ValidationError by edit, where one is of no kind or names the row of another one.
    """
    if not edits:
        raise ValidationError({"edits": "A request changes at least one row."})
    if len(edits) > MOST_EDITS:
        raise ValidationError({"edits": f"A request has {MOST_EDITS:,} edits at most."})
    for index, edit in enumerate(edits):
        if edit.kind not in EDITABLE:
            raise ValidationError({f"{index}.kind": f"There is no {edit.kind!r}; there are {', '.join(EDITABLE)}."})
    found = _differing([_canonical(index, edit) for index, edit in enumerate(edits)])
    for (kind, key), count in Counter((edit.kind, edit.key) for edit in found).items():
        if count > 1:
            raise ValidationError({"edits": f"The {kind} {key} is in it {count} times."})
    return found


def title_of(rows: Sequence[RowDifference]) -> str:
    """Return what a request changes, in a line."""
    if len(rows) > 1:
        counts = Counter(str(EDITABLE[row.kind]._meta.verbose_name_plural) for row in rows)
        return _cut(", ".join(f"{count} {name}" for name, count in sorted(counts.items())))
    (row,) = rows
    if row.new:
        return _cut(f"New {EDITABLE[row.kind]._meta.verbose_name}: {row.label}")
    return _cut(f"{row.label}: {'; '.join(map(str, row.changes))}")


def _canonical(index: int, edit: Edit) -> Edit:
    model = EDITABLE[edit.kind]
    key, fields = edit.key.strip(), {name: _plain(index, name, value) for name, value in edit.fields.items()}
    pk = model._meta.pk
    if edit.expected_version == 0 and not key and pk.has_default():
        key = str(uuid.uuid4())
    if pk.get_internal_type() == "UUIDField":
        key = key.lower()
    elif key:
        key = str(pk.to_python(key))
    return Edit(edit.kind, key, edit.expected_version, fields)


def _plain(index: int, name: str, value: object) -> Any:
    try:
        return plain(value)
    except (TypeError, ValueError) as error:
        raise ValidationError({f"{index}.{name}": str(error)}) from None


def _differing(edits: Sequence[Edit]) -> tuple[Edit, ...]:
    """Return edits with the fields alone that are not as they are already: what a form sends along says nothing."""
    rows = rows_of(edits)
    return tuple(_differing_from(rows.get((edit.kind, edit.key)), edit) for edit in edits)


def _differing_from(row: Managed | None, edit: Edit) -> Edit:
    if row is None:
        return edit  # a new one, or one that is missing, which is refused when it is tried
    values = {each.name: plain(getattr(row, each.attname)) for each in row._meta.concrete_fields}
    differing = {name: value for name, value in edit.fields.items() if name not in values or values[name] != value}
    return replace(edit, fields=differing)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TITLE else f"{text[: _LONGEST_TITLE - 3]}..."
