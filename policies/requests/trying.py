"""What a request would make: its edits are applied in a savepoint that is rolled back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from msgspec import Struct
from msgspec.structs import replace

from audit.services import snapshot
from policies.book import build_book, build_next, decode_returns, item_of, latest, loaded, lock_books, part_of
from policies.changes import Written, changed_fields, past_of, shown
from policies.direction import Direction, Judged, judge, loosest
from policies.edits import EDITABLE, Edit, unknown_in
from policies.errors import FieldChange, Unreadable
from policies.models import Book, ChangeRequest, Managed, Override, Policy, RestrictedSymbol
from policies.requests.applying import apply_edits
from policies.wording import sentence
from policies.wording_items import item_sentence
from riskcore import book as core
from riskcore.calendar import microseconds
from riskcore.compiled import CompiledBook

_TRYING = "trying a change request"


class RowDifference(Struct, frozen=True):
    """What a request does to one row.

    `item` is what the book calls it. What it says is said in words on either side, "" where it is not in force.
    """

    kind: str
    key: str
    label: str
    item: str
    new: bool
    words_before: str
    words_after: str
    changes: tuple[FieldChange, ...]

    @property
    def part(self) -> str:
        """Return the part of the book that the row is in."""
        return part_of(EDITABLE[self.kind])


class Tried(Struct, frozen=True):
    """The rows that a request writes, the book in force, the book that they would make, and what that means.

    Neither book has its history of prices: no row changes it, and `proposed_book` adds it.
    """

    before: core.Book
    after: core.Book
    rows: tuple[RowDifference, ...]
    judged: tuple[Judged, ...]

    @property
    def direction(self) -> Direction:
        """Return how loose it is: as its loosest difference."""
        return loosest(self.judged)


def edits_of(request: ChangeRequest) -> tuple[Edit, ...]:
    """Return what a request sets. Raises Unreadable where nobody can tell."""
    try:
        edits = msgspec.convert(request.edits, tuple[Edit, ...])
    except msgspec.ValidationError as error:
        raise Unreadable(request.pk, str(error)) from None
    for edit in edits:
        unknown = unknown_in(edit)
        if unknown:
            raise Unreadable(request.pk, unknown)
    return edits


def try_edits(edits: Sequence[Edit]) -> Tried:
    """Return what edits would make of the rows as they are now.

    Nothing is written. Every other change waits meanwhile, so that both books are of one moment. Raises what
    `apply_edits` raises, and ValidationError where no check could go by the book.
    """
    with transaction.atomic():
        lock_books()
        version = _newest_version()
        before = build_book(version)
        at = timezone.now()
        written = apply_edits(edits, actor=_TRYING, reason=_TRYING, at=at)
        tried = look_at(written, before, at)
        transaction.set_rollback(True)
    return tried


def look_at(written: Collection[Written[Any]], before: core.Book, at: datetime) -> Tried:
    """Return what rows mean that were written at a moment. Raises ValidationError where their book is no good."""
    after = build_next(before, {type(each.row) for each in written})
    try:
        CompiledBook(after)
    except ValueError as error:
        raise ValidationError(str(error)) from None
    judged = judge(before, after, at_us=microseconds(at))
    return Tried(before, after, tuple(map(_difference, written)), judged)


def as_published(request: ChangeRequest, book: Book) -> Tried:
    """Return what a published request did: its rows as they were made, and the books around it.

    Raises LookupError and ValueError where one of these books cannot be read.
    """
    before, after = loaded(book.version - 1), loaded(book.version)
    at_us = microseconds(book.created_at)
    return Tried(before, after, _rows_made_by(edits_of(request)), judge(before, after, at_us=at_us))


def as_asked(edit: Edit) -> RowDifference:
    """Return what an edit sets, of which nobody can say now what it would do."""
    model = EDITABLE[edit.kind]
    row = model._default_manager.filter(pk=edit.key).first() if edit.expected_version else None
    label = str(edit.fields.get("name") or edit.fields.get("symbol") or edit.key) if row is None else str(row)
    changes = tuple(
        FieldChange(str(model._meta.get_field(name).verbose_name), "", shown(value))  # type: ignore[union-attr]
        for name, value in edit.fields.items()
    )
    return RowDifference(edit.kind, edit.key, label, label, edit.expected_version == 0, "", "", changes)


def proposed_book(request: ChangeRequest) -> core.Book:
    """Return the whole book that a request would make. Raises what `try_edits` raises."""
    after = try_edits(edits_of(request)).after
    newest = latest()
    if newest is None or newest.returns is None:
        return after
    return replace(after, returns=decode_returns(newest.returns.content))


def _newest_version() -> int:
    newest = latest()
    return 0 if newest is None else newest.version


def _difference(written: Written[Any]) -> RowDifference:
    row, old = written.row, written.before
    model, new = type(row), snapshot(row)
    before = None if old is None else _row_of(row, old)
    if old is None:
        # Of a new row only what it says.
        silent: tuple[object, ...] = ("", [], new[model._meta.pk.attname])
        old = {name: value if value in silent else None for name, value in new.items()}
    return RowDifference(
        kind=_kind(model),
        key=str(row.pk),
        label=str(row),
        item=_in_book(row),
        new=written.before is None,
        words_before=_words(before),
        words_after=_words(row),
        changes=tuple(changed_fields(model, old, new)),
    )


def _rows_made_by(edits: Sequence[Edit]) -> tuple[RowDifference, ...]:
    past = past_of(edits)
    return tuple(map(_difference, (_written(edit, past[edit.kind, edit.key]) for edit in edits)))


def _written(edit: Edit, versions: Mapping[int, Managed]) -> Written[Any]:
    before = versions.get(edit.expected_version)
    return Written(versions[edit.expected_version + 1], None if before is None else snapshot(before), "")


def _row_of(row: Managed, values: dict[str, object]) -> Managed:
    """Return a row as it was when its columns had these values."""
    model = type(row)
    fields = {each.attname: each for each in model._meta.concrete_fields}
    return model(**{name: fields[name].to_python(value) for name, value in values.items()})


def _words(row: Managed | None) -> str:
    """Return what a row says, empty where it is not in force."""
    match row:
        case None:
            return ""
        case Policy():
            return sentence(row) if row.enabled else ""
        case RestrictedSymbol() | Override():
            return item_sentence(item_of(row)) if row.active else ""
    return item_sentence(item_of(row))


def _in_book(row: Managed) -> str:
    """Return what the book calls a row."""
    match row:
        case RestrictedSymbol():
            return row.symbol
        case Override():
            return row.account_id
        case Policy():
            return row.name
    return str(row.pk)


def _kind(model: type[Managed]) -> str:
    return next(kind for kind, each in EDITABLE.items() if each is model)
