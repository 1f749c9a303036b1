"""How rows are changed: one transaction with the rows, their audit events and the one new book, then publishing.

Only `policies.services` and `policies.requests` use this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar, cast

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import timezone

from audit.models import AuditEvent
from audit.services import record, snapshot
from policies.book import add_book, as_evidence, lock_books, publish
from policies.errors import FieldChange, NotFound, NothingToChange, StaleEdit
from policies.models import Book, Managed
from riskcore import book as core

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
        return said_of(self.book, live=bool(self.live))


@dataclass
class Written(Generic[Row]):
    """A row that was written and is in no book yet. `before` is what it was; None: it is new."""

    row: Row
    before: dict[str, object] | None
    action: str


def said_of(book: Book, *, live: bool) -> str:
    """Return what a person is told whose change made this book."""
    if live:
        return f"Book {book.version} is live: the next order is checked against it."
    return (
        f"The change is saved in book {book.version}, but the live state cannot be reached: "
        "it will be live when that is back."
    )


@transaction.atomic
def create(row: Row, *, actor: str, reason: str, action: str) -> Change[Row]:
    """Add a row. Raises ValidationError by field, also where its name is taken."""
    check_who_and_why(actor, reason)
    lock_books()
    return _finish(write_new(row, actor=actor, reason=reason, action=action, at=timezone.now()), actor, reason)


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
    check_who_and_why(actor, reason)
    lock_books()
    row = find(model, key)
    check_version(row, expected_version)
    written = write_change(row, fields, actor=actor, reason=reason, action=action, at=timezone.now())
    return _finish(written, actor, reason)


def write_new(row: Row, *, actor: str, reason: str, action: str, at: datetime) -> Written[Row]:
    """Write a new row, under the lock of the books. Raises ValidationError by field."""
    _check_values(row)
    _save(row, actor, reason, at)
    return Written(row, None, action)


def write_change(
    row: Row, fields: Mapping[str, Any], *, actor: str, reason: str, action: str, at: datetime
) -> Written[Row]:
    """Write fields of a row, under the lock of the books. Raises NothingToChange, and ValidationError by field."""
    before = snapshot(row)
    assign(row, fields)
    _check_values(row)
    if snapshot(row) == before:
        raise NothingToChange(f"{what(row).capitalize()} {row}")
    row.version += 1
    _save(row, actor, reason, at)
    return Written(row, before, action)


def finish(
    written: Sequence[Written[Any]],
    *,
    actor: str,
    reason: str,
    at: datetime,
    request: int | None = None,
    built: core.Book | None = None,
) -> tuple[Book, list[AuditEvent]]:
    """Make the book that the rows now make, and the event of each row written.

    `request` is what they were asked by. `built` is what the rows make, where that was worked out already.
    """
    book = add_book(actor=actor, reason=reason, at=at, built=built)
    asked: dict[str, object] = {} if request is None else {"request": request}
    events = [
        record(
            actor=actor,
            action=each.action,
            object_type=str(each.row._meta.model_name),
            object_id=each.row.pk,
            object_label=str(each.row),
            reason=reason,
            before=each.before,
            after={**snapshot(each.row), "book": as_evidence(book), **asked},
            at=at,
        )
        for each in written
    ]
    return book, events


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
        raise ValidationError({name: f"This is not a field of {_a(what(row))} that can be set." for name in unknown})
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
        f"{what(row).capitalize()} {row}",
        current_version=row.version,
        changes=[] if seen is None else differences(seen.instance, row),
        actor=last.history_user,
        at=last.history_date,
        reason=last.history_change_reason,
    )


def differences(before: models.Model, after: models.Model) -> list[FieldChange]:
    """Return the fields in which two versions of a row differ, their number apart."""
    return changed_fields(type(after), snapshot(before), snapshot(after))


def changed_fields(
    model: type[models.Model], old: Mapping[str, object], new: Mapping[str, object]
) -> list[FieldChange]:
    """Return the fields in which two snapshots of a row differ, its number apart."""
    return [
        FieldChange(str(each.verbose_name), shown(old[each.attname], each), shown(new[each.attname], each))
        for each in model._meta.concrete_fields
        if each.name != "version" and old[each.attname] != new[each.attname]
    ]


def check_who_and_why(actor: str, reason: str) -> None:
    """Raise ValidationError where nobody makes a change, or for no reason."""
    if not actor.strip():
        raise ValidationError({"actor": "Say who makes this change."})
    if not reason.strip():
        raise ValidationError({"reason": "Say why this is changed."})


def what(row: Managed) -> str:
    """Return what people call a row of this kind."""
    return str(row._meta.verbose_name)


def _finish(written: Written[Row], actor: str, reason: str) -> Change[Row]:
    book, (event,) = finish([written], actor=actor, reason=reason, at=written.row._history_date)
    made = Change(written.row, event, book)
    transaction.on_commit(lambda: _go_live(made))
    return made


def _go_live(made: Change[Row]) -> None:
    made.live = publish(made.book)


def _save(row: Managed, actor: str, reason: str, at: datetime) -> None:
    row._history_user, row._change_reason, row._history_date = actor, reason, at
    row.save()


def _check_values(row: Managed) -> None:
    # Each field by itself first: what is checked of them together takes for granted that each is sound.
    row.clean_fields()
    row.full_clean()


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def shown(value: object, column: object = None) -> str:
    """Return a column's value as people read it, thousands apart where it is a decimal."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(column, models.DecimalField) and value is not None:
        return f"{Decimal(str(value)):,f}"
    return "" if value is None else str(value)
