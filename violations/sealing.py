"""Seals what is over: violations that were closed and alerts that were resolved, as they were then.

The rows themselves are worked on until then, and may be trimmed after; a record of each is sealed for good. What people
did about an alert is not in it: they may do it later, and each act is an audit event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import msgspec
from django.db import models, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from audit.digests import Digester
from audit.models import AuditEvent
from audit.sealing import seal
from audit.verify_batches import BadRow
from violations.models import Alert, OverRecord, Violation

# What was over for so long does not change any more, whatever window alerts have: at most a day.
SETTLED = timedelta(days=1)

TRIMMED = "violations.trim"

# Rows that are sealed with one lock of the chain.
_TOGETHER = 1_000

_BY_PEOPLE = frozenset(
    ("acknowledged_by", "acknowledged_at", "note", "silenced_by", "silenced_at", "silenced_until", "silence_reason")
)

Kept: TypeAlias = Violation | Alert

_ENDS: dict[type[Kept], str] = {Violation: "closed_at", Alert: "resolved_at"}

_encode = msgspec.json.Encoder(order="sorted").encode


def seal_what_is_over(now: datetime) -> int:
    """Seal a record of each violation and alert that was over a day ago and has none, and return how many."""
    sealed = 0
    for model in _ENDS:
        while some := list(_over(model, now - SETTLED)[:_TOGETHER]):
            with transaction.atomic():
                seal(*map(record_of, some))
            sealed += len(some)
    return sealed


def record_of(row: Kept) -> OverRecord:
    """Return the record of a row that is over."""
    return OverRecord(
        table=row._meta.label_lower,
        row_id=row.pk,
        over_at=getattr(row, _ENDS[type(row)]),
        content=_content(type(row), row),
    )


def _content(model: type[Kept], row: Kept) -> str:
    names = sorted(field.attname for field in model._meta.concrete_fields if field.attname not in _BY_PEOPLE)
    return _encode(Digester(names).content([getattr(row, name) for name in names])).decode()


def _over(model: type[Kept], before: datetime) -> QuerySet[Any]:
    """Return the rows that were over before a moment and have no record."""
    has_record = OverRecord.objects.filter(table=model._meta.label_lower, row_id=OuterRef("pk"))
    rows = model._default_manager.filter(**{f"{_ENDS[model]}__lt": before})
    if model is Alert:  # silenced, it is the same alert when it comes back
        rows = rows.filter(Q(silenced_until=None) | Q(silenced_until__lt=before))
    return rows.filter(~Exists(has_record)).order_by("pk")


def verify_what_is_over(now: datetime, told: Callable[[int, int], None]) -> BadRow | None:
    """Hold the rows that are over against their records, and return the first bad one; None: all are as they were."""
    trimmed = _trimmed_before()
    done, total = 0, OverRecord.objects.count()
    for some in _in_chunks(OverRecord.objects.order_by("pk")):
        bad = _first_bad(some, trimmed)
        if bad is not None:
            return bad
        done += len(some)
        told(done, total)
    return _without_record(now)


def _first_bad(records: Sequence[OverRecord], trimmed: datetime | None) -> BadRow | None:
    there: dict[tuple[str, Any], str] = {}
    for model in _ENDS:
        keys = [each.row_id for each in records if each.table == model._meta.label_lower]
        for row in model._default_manager.filter(pk__in=keys):
            there[model._meta.label_lower, row.pk] = _content(model, row)
    for each in records:
        found = there.get((each.table, each.row_id))
        if found is None and not (trimmed is not None and each.over_at < trimmed):
            return _bad(each, "is missing; it was not trimmed")
        if found is not None and not _says_the_same(each.content, found):
            return _bad(each, "was changed since it was sealed")
    return None


def _says_the_same(sealed: str, found: str) -> bool:
    """Return whether a row says what was sealed of it; a column that is newer than the record is not in it."""
    before, now = msgspec.json.decode(sealed), msgspec.json.decode(found)
    return all(now.get(name) == value for name, value in before.items())


def _bad(record: OverRecord, problem: str) -> BadRow:
    table, key = record.table, str(record.row_id)
    return BadRow(batch=record.batch, table=table, key=key, problem=f"row {key} of {table} {problem}")


def _without_record(now: datetime) -> BadRow | None:
    """Return a row that is over for long, and that nobody has sealed: it was put in since."""
    for model in _ENDS:
        row = _over(model, now - 2 * SETTLED).first()
        if row is not None:
            label = model._meta.label_lower
            problem = f"row {row.pk} of {label} was put in, or its record is gone: it was over two days ago"
            return BadRow(batch=0, table=label, key=str(row.pk), problem=problem)
    return None


def _trimmed_before() -> datetime | None:
    """Return up to when rows were trimmed, as the audit log has it."""
    moments = AuditEvent.objects.filter(action=TRIMMED).values_list("after__before", flat=True)
    return max((datetime.fromisoformat(moment) for moment in moments), default=None)


def _in_chunks(records: models.QuerySet[OverRecord]) -> Iterator[list[OverRecord]]:
    some: list[OverRecord] = []
    for record in records.iterator(_TOGETHER):
        some.append(record)
        if len(some) == _TOGETHER:
            yield some
            some = []
    if some:
        yield some
