"""Writes the log of changes. Every service that changes something calls `record` or `record_all` in its transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from django.db import models, transaction
from django.utils import timezone

from audit.canonical import digest, plain
from audit.models import AuditEvent, AuditHead, ChainEnd

End = TypeVar("End", bound=ChainEnd)

# Events that are written with one statement.
_TOGETHER = 500


@dataclass(frozen=True, kw_only=True)
class Happened:
    """One change, as an audit event tells of it.

    Attributes
    ----------
    actor
        Who did it, by name, as it shall read in ten years: "alice", "key:oms-1", "configuration".
    action
        What was done, as `thing.verb`.
    object_id, object_label
        The key of the object that changed, and what people call it.
    before, after
        The object on either side of the change; None where it did not exist. Decimals, dates and UUIDs are
        kept as exact text.
    at
        When, timezone-aware; the present moment if left out.
    """

    actor: str
    action: str
    object_type: str
    object_id: object
    object_label: str
    reason: str
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None
    at: datetime | None = None


def record(
    *,
    actor: str,
    action: str,
    object_type: str,
    object_id: object,
    object_label: str,
    reason: str,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    at: datetime | None = None,
) -> AuditEvent:
    """Add one event to the chain, of a `Happened` with these attributes. See `record_all`."""
    (event,) = record_all(
        [
            Happened(
                actor=actor,
                action=action,
                object_type=object_type,
                object_id=object_id,
                object_label=object_label,
                reason=reason,
                before=before,
                after=after,
                at=at,
            )
        ]
    )
    return event


def record_all(changes: Iterable[Happened]) -> list[AuditEvent]:
    """Add events to the chain in their order, which commit or vanish with the changes that they tell of.

    The chain's end is locked until then, so call this last: every other change waits meanwhile.

    Raises
    ------
    TransactionManagementError
        There is no transaction.
    ValueError, TypeError
        An actor or a reason is blank, or a value has no exact form.
    """
    head = locked_end(AuditHead)
    events = [_next(head, change) for change in changes]
    AuditEvent.objects.bulk_create(events, batch_size=_TOGETHER)
    head.save()
    return events


def _next(head: AuditHead, change: Happened) -> AuditEvent:
    """Return the event that comes after the head, which it becomes."""
    for name, text in (("actor", change.actor), ("reason", change.reason)):
        if not text.strip():
            raise ValueError(f"an audit event needs {'an' if name == 'actor' else 'a'} {name}")
    event = AuditEvent(
        sequence=head.sequence + 1,
        at=change.at or timezone.now(),
        actor=str(plain(change.actor)),
        action=change.action,
        object_type=change.object_type,
        object_id=str(plain(change.object_id)),
        object_label=change.object_label[: AuditEvent._meta.get_field("object_label").max_length],
        reason=str(plain(change.reason)),
        before=None if change.before is None else plain(dict(change.before)),
        after=None if change.after is None else plain(dict(change.after)),
        previous_hash=head.hash,
    )
    event.hash = event_hash(event)
    head.sequence, head.hash = event.sequence, event.hash
    return event


def event_hash(event: AuditEvent) -> str:
    """Return the hash that `event` must have: over everything in it, and the hash before it."""
    return digest(event_content(event))


def event_content(event: AuditEvent) -> dict[str, object]:
    """Return all that the hash of an event is over, by name."""
    names = [field.attname for field in AuditEvent._meta.concrete_fields if field.attname != "hash"]
    return {name: getattr(event, name) for name in names}


def snapshot(row: models.Model) -> dict[str, object]:
    """Return every column of `row` by name, as `before` or `after` of an event."""
    return {field.attname: plain(getattr(row, field.attname)) for field in row._meta.concrete_fields}


def locked_end(chain: type[End]) -> End:
    """Return the end of a chain, locked until the transaction ends. Raises TransactionManagementError without one."""
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("evidence is written in the transaction of what it tells of")
    end = chain._default_manager.select_for_update().filter(pk=1).first()
    if end is None:
        # The first of all. Where only the end is gone, number 1 is taken, and nothing is written.
        chain._default_manager.get_or_create(pk=1)
        end = chain._default_manager.select_for_update().get(pk=1)
    return end
