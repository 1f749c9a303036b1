"""Writes the rows of edits, in the order in which they need each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models

from audit.services import snapshot
from policies import changes
from policies.changes import Written
from policies.edits import EDITABLE, Edit
from policies.errors import NotFound
from policies.models import Managed

# What others name comes first.
_ORDER = ("profile", "account", "instrument", "restriction", "override", "policy")

_ACTIONS = {"restriction": ("symbol.restrict", "symbol.lift"), "override": ("override.grant", "override.revoke")}


def apply_edits(edits: Sequence[Edit], *, actor: str, reason: str, at: datetime) -> list[Written[Any]]:
    """Write the row of every edit, under the lock of the books, and return them in the order of the edits.

    Raises StaleEdit, NotFound and NothingToChange of the first such edit, and ValidationError by edit and field: its
    names are `0.threshold`, `1.scope_ids`.
    """
    written: dict[int, Written[Any]] = {}
    problems: dict[str, list[str]] = {}
    for kind in _ORDER:
        of_kind = {index: edit for index, edit in enumerate(edits) if edit.kind == kind}
        if not of_kind:
            continue
        prepared, wrong = _prepare(EDITABLE[kind], of_kind)
        written |= prepared
        places = list(prepared)
        refused = changes.write(list(prepared.values()), actor=actor, reason=reason, at=at)
        wrong |= {places[place]: error for place, error in refused.items()}
        for index in sorted(wrong):
            problems |= {_name(index, field): texts for field, texts in wrong[index].message_dict.items()}
    if problems:
        raise ValidationError(cast("Any", problems))
    return [written[index] for index in range(len(edits))]


def parse_fields(model: type[Managed], fields: Mapping[str, Any], settable: Sequence[str]) -> dict[str, Any]:
    """Return the values of columns, by their names in the model, that fields as JSON say.

    Raises ValidationError by field, also for names that are not in `settable`.
    """
    parsed: dict[str, Any] = {}
    problems: dict[str, list[str]] = {}
    for name, value in fields.items():
        try:
            if name not in settable:
                raise ValidationError(f"This is not a field of a {model._meta.verbose_name} that can be set.")
            parsed[name] = _parse(cast("models.Field[Any, Any]", model._meta.get_field(name)), value)
        except ValidationError as error:
            problems[name] = error.messages
    if problems:
        raise ValidationError(cast("Any", problems))
    return parsed


def settable_when_new(model: type[Managed]) -> tuple[str, ...]:
    """Return the fields that can be set of a new row: all but its key and its version."""
    fields = model._meta.concrete_fields
    return tuple(each.name for each in fields if not each.primary_key and each.name != "version")


def _prepare(
    model: type[Managed], edits: Mapping[int, Edit]
) -> tuple[dict[int, Written[Any]], dict[int, ValidationError]]:
    """Return the rows of a model as edits want them, and what is wrong with those that no row can be made of."""
    rows = changes.find_all(model, [edit.key for edit in edits.values() if edit.expected_version])
    prepared: dict[int, Written[Any]] = {}
    wrong: dict[int, ValidationError] = {}
    for index, edit in edits.items():
        try:
            prepared[index] = _changed(rows, edit) if edit.expected_version else _made(edit)
        except ValidationError as error:
            wrong[index] = error
    return prepared, wrong


def _made(edit: Edit) -> Written[Any]:
    model = EDITABLE[edit.kind]
    row = cast("Any", model)(pk=_key(model, edit.key))
    for name, value in parse_fields(model, edit.fields, settable_when_new(model)).items():
        setattr(row, cast("models.Field[Any, Any]", model._meta.get_field(name)).attname, value)
    return Written(row, None, _ACTIONS.get(edit.kind, (f"{edit.kind}.create",))[0])


def _changed(rows: Mapping[object, Managed], edit: Edit) -> Written[Any]:
    row = rows.get(edit.key)
    if row is None:
        raise NotFound(str(EDITABLE[edit.kind]._meta.verbose_name), edit.key)
    changes.check_version(row, edit.expected_version)
    before = snapshot(row)
    changes.assign(row, parse_fields(type(row), edit.fields, row.CHANGEABLE))
    return Written(row, before, _ACTIONS.get(edit.kind, ("", f"{edit.kind}.change"))[1])


def _key(model: type[Managed], key: str) -> Any:
    field = model._meta.pk
    try:
        return field.to_python(key)
    except ValidationError as error:
        raise ValidationError({field.name: error.messages}) from None


def _parse(field: models.Field[Any, Any], value: Any) -> Any:
    """Return a column's value. What JSON says otherwise than the column has it is refused, never guessed at."""
    if isinstance(field, models.ForeignKey):
        field = field.target_field
    if value is None:
        return None
    expected = _EXPECTED.get(field.get_internal_type(), (str, "Expected text."))
    if type(value) is not expected[0]:
        raise ValidationError(expected[1])
    parsed = field.to_python(value)
    if isinstance(parsed, datetime) and parsed.tzinfo is None:
        raise ValidationError("Say in which time zone this moment is: 2026-01-31T14:00:00+00:00.")
    if isinstance(parsed, Decimal) and not parsed.is_finite():
        raise ValidationError("Expected a number.")
    return parsed


_WHOLE = (int, "Expected a whole number.")
_EXPECTED: dict[str, tuple[type, str]] = {
    "BooleanField": (bool, "Expected true or false."),
    "PositiveIntegerField": _WHOLE,
    "PositiveSmallIntegerField": _WHOLE,
    "DecimalField": (str, "Expected a decimal as text, so that it stays exact."),
    "JSONField": (list, "Expected a list of texts."),
}


def _name(index: int, field: str) -> str:
    return f"{index}.{field}" if field != NON_FIELD_ERRORS else f"{index}"
