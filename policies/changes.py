"""How rows are changed: one transaction with the rows, their audit events and the one new book, then publishing.

Only `policies.services` and `policies.requests` use this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar, cast

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import timezone

from audit.models import AuditEvent
from audit.services import Happened, record_all, snapshot
from policies.book import add_book, as_evidence, lock_books, publish
from policies.checking import check_rows
from policies.edits import EDITABLE, Edit
from policies.errors import FieldChange, NotFound, NothingToChange, StaleEdit
from policies.models import Book, Managed
from policies.models.base import write_rows
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
    """A row that is written and in no book yet. `before` is what it was; None: it is new."""

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
    return _finish(_write_one(Written(row, None, action), actor, reason), actor, reason)


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
    before = snapshot(row)
    assign(row, fields)
    return _finish(_write_one(Written(row, before, action), actor, reason), actor, reason)


def write(written: Sequence[Written[Any]], *, actor: str, reason: str, at: datetime) -> dict[int, ValidationError]:
    """Write rows of one model, as they are to be, under the lock of the books.

    Returns what is wrong, by field, with those that were not written, by their place. Raises NothingToChange where one
    is to be as it was.
    """
    problems = check_rows([each.row for each in written])
    sound = [each for place, each in enumerate(written) if place not in problems]
    for each in sound:
        if each.before is not None:
            if snapshot(each.row) == each.before:
                raise NothingToChange(f"{what(each.row).capitalize()} {each.row}")
            each.row.version += 1
        each.row._history_user, each.row._change_reason, each.row._history_date = actor, reason, at
    write_rows([each.row for each in sound])
    return problems


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
    events = record_all(
        Happened(
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
    )
    return book, events


def find(model: type[Row], key: object) -> Row:
    """Return the row of this key. Raises NotFound."""
    try:
        return find_all(model, [key])[key]
    except KeyError:
        raise NotFound(str(model._meta.verbose_name), key) from None


def find_all(model: type[Row], keys: Iterable[object]) -> dict[object, Row]:
    """Return the rows of some keys, by these, with one query. What there is not is left out."""
    wanted = {key: _key_in_column(model, key) for key in keys}
    rows = cast("dict[object, Row]", model._default_manager.in_bulk(set(wanted.values()) - {None}))
    return {key: rows[column] for key, column in wanted.items() if column in rows}


def rows_of(edits: Iterable[Edit]) -> dict[tuple[str, str], Managed]:
    """Return the rows that edits change, by kind and key as the edits have them, with one query a kind."""
    keys: dict[str, list[str]] = {}
    for edit in edits:
        if edit.expected_version:
            keys.setdefault(edit.kind, []).append(edit.key)
    found = ((kind, find_all(EDITABLE[kind], of_kind)) for kind, of_kind in keys.items())
    return {(kind, str(key)): row for kind, rows in found for key, row in rows.items()}


def past_of(edits: Sequence[Edit]) -> dict[tuple[str, str], dict[int, Managed]]:
    """Return the versions of rows before and after edits that were published, by kind and key, one query a kind."""
    past: dict[tuple[str, str], dict[int, Managed]] = {(edit.kind, edit.key): {} for edit in edits}
    for kind in {edit.kind for edit in edits}:
        of_kind = [edit for edit in edits if edit.kind == kind]
        versions = {edit.expected_version + after for edit in of_kind for after in (0, 1)}
        keys = {f"{EDITABLE[kind]._meta.pk.attname}__in": {edit.key for edit in of_kind}}
        for each in EDITABLE[kind].history.filter(**keys, version__in=versions):
            row = each.instance
            past[kind, str(row.pk)][row.version] = row
    return past


def _key_in_column(model: type[Managed], key: object) -> object:
    try:
        return model._meta.pk.to_python(key)
    except ValidationError:  # the key is not even of the right form
        return None


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


def _write_one(written: Written[Row], actor: str, reason: str) -> Written[Row]:
    problems = write([written], actor=actor, reason=reason, at=timezone.now())
    if problems:
        raise problems[0]
    return written


def _finish(written: Written[Row], actor: str, reason: str) -> Change[Row]:
    book, (event,) = finish([written], actor=actor, reason=reason, at=written.row._history_date)
    made = Change(written.row, event, book)
    transaction.on_commit(lambda: _go_live(made))
    return made


def _go_live(made: Change[Row]) -> None:
    made.live = publish(made.book)


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
