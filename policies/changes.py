"""How every change is made: one transaction with the row, its audit event and the new book, then publishing.

Only `policies.services` uses this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import timezone

from audit.models import AuditEvent
from audit.services import record, snapshot
from policies.book import add_book, as_evidence, lock_books, publish
from policies.errors import FieldChange, NotFound, NothingToChange, StaleEdit
from policies.models import Book, Managed

Row = TypeVar("Row", bound=Managed)


@dataclass
class Change(Generic[Row]):
    """A change that was made: the row as it is now, its audit event and the book it made.

    `live` is None until the transaction commits; then it says whether checks go by the book already. False:
    the live state is away, and the refresh task publishes the book when it is back.
    """

    row: Row
    event: AuditEvent
    book: Book
    live: bool | None = None

    def __str__(self) -> str:
        if self.live:
            return f"Book {self.book.version} is live: the next order is checked against it."
        return (
            f"The change is saved in book {self.book.version}, but the live state cannot be reached: "
            "it will be live when that is back."
        )


@transaction.atomic
def create(row: Row, *, actor: str, reason: str, action: str) -> Change[Row]:
    """Add a row. Raises ValidationError by field, also where its name is taken."""
    _check_who_and_why(actor, reason)
    lock_books()
    _check_values(row)
    return _finish(row, None, actor=actor, reason=reason, action=action)


@transaction.atomic
def change(
    model: type[Row],
    key: object,
    *,
    actor: str,
    reason: str,
    action: str,
    expected_version: int,
    fields: Mapping[str, Any],
) -> Change[Row]:
    """Set fields of a row whose version is still `expected_version`.

    Raises NotFound, StaleEdit, NothingToChange, and ValidationError by field.
    """
    _check_who_and_why(actor, reason)
    lock_books()
    row = find(model, key)
    check_version(row, expected_version)
    before = snapshot(row)
    assign(row, fields)
    _check_values(row)
    if snapshot(row) == before:
        raise NothingToChange(f"{_what(row).capitalize()} {row}")
    row.version += 1
    return _finish(row, before, actor=actor, reason=reason, action=action)


def find(model: type[Row], key: object) -> Row:
    """Return the row of this key. Raises NotFound."""
    try:
        found = cast("Row | None", model._default_manager.filter(pk=key).first())
    except ValidationError:  # the key is not even of the right form
        found = None
    if found is None:
        raise NotFound(str(model._meta.verbose_name), key)
    return found


def assign(row: Managed, fields: Mapping[str, Any]) -> None:
    """Set the fields; a foreign key takes the key of the other row. Raises ValidationError for others."""
    unknown = sorted(set(fields) - set(row.CHANGEABLE))
    if unknown:
        raise ValidationError({name: f"This is not a field of a {_what(row)} that can be set." for name in unknown})
    for name, value in fields.items():
        field = cast("models.Field[Any, Any]", row._meta.get_field(name))
        setattr(row, field.attname, value.pk if isinstance(value, models.Model) else value)


def check_version(row: Managed, expected_version: int) -> None:
    """Raise StaleEdit, with what changed meanwhile, unless the row is the version that the person saw."""
    if row.version == expected_version:
        return
    seen = row.history.filter(version=expected_version).first()
    last = row.history.filter(version=row.version).latest()
    raise StaleEdit(
        f"{_what(row).capitalize()} {row}",
        current_version=row.version,
        changes=[] if seen is None else differences(seen.instance, row),
        actor=last.history_user,
        at=last.history_date,
        reason=last.history_change_reason,
    )


def differences(before: models.Model, after: models.Model) -> list[FieldChange]:
    """Return the fields in which two versions of a row differ, their number apart."""
    old, new = snapshot(before), snapshot(after)
    fields = [each for each in after._meta.concrete_fields if each.name != "version"]
    return [
        FieldChange(str(each.verbose_name), _shown(old[each.attname]), _shown(new[each.attname]))
        for each in fields
        if old[each.attname] != new[each.attname]
    ]


def _finish(row: Row, before: dict[str, object] | None, *, actor: str, reason: str, action: str) -> Change[Row]:
    at = timezone.now()
    row._history_user, row._change_reason, row._history_date = actor, reason, at
    row.save()
    book = add_book(actor=actor, reason=reason, at=at)
    event = record(
        actor=actor,
        action=action,
        object_type=str(row._meta.model_name),
        object_id=row.pk,
        object_label=str(row),
        reason=reason,
        before=before,
        after={**snapshot(row), "book": as_evidence(book)},
        at=at,
    )
    made = Change(row, event, book)
    transaction.on_commit(lambda: _go_live(made))
    return made


def _go_live(made: Change[Row]) -> None:
    made.live = publish(made.book)


def _check_who_and_why(actor: str, reason: str) -> None:
    if not actor.strip():
        raise ValidationError({"actor": "Say who makes this change."})
    if not reason.strip():
        raise ValidationError({"reason": "Say why this is changed."})


def _check_values(row: Managed) -> None:
    # Each field by itself first: what is checked of them together takes for granted that each is sound.
    row.clean_fields()
    row.full_clean()


def _what(row: Managed) -> str:
    return str(row._meta.verbose_name)


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
