"""Checks the chain of audit events: nothing changed, left out, put in or cut off."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import Struct

from audit.canonical import GENESIS
from audit.models import AuditEvent, AuditHead
from audit.services import event_hash

CHUNK = 1000


class ChainCheck(Struct, frozen=True, kw_only=True):
    """What a check of the chain found.

    `events` and `head` are the number of events and the hash of the last, as the chain's end has them.
    `broken_at` is the sequence number of the first bad row, None where all is well, and `problem` says what
    is wrong with it.
    """

    events: int
    head: str
    broken_at: int | None = None
    problem: str = ""

    @property
    def intact(self) -> bool:
        return self.broken_at is None


def verify_chain(progress: Callable[[int, int], None] | None = None) -> ChainCheck:
    """Check every event up to the chain's present end; `progress` is told how many of how many are done.

    Events that are added meanwhile are left to the next check. A chain that was cut off at its end together
    with its head cannot be told from a short one: compare `head` with one noted elsewhere.
    """
    end = AuditHead.objects.filter(pk=1).first() or AuditHead(sequence=0, hash=GENESIS)
    expected, previous = 1, GENESIS
    for event in _events(end.sequence):
        problem = _problem(event, expected, previous)
        if problem:
            return ChainCheck(events=end.sequence, head=end.hash, broken_at=expected, problem=problem)
        expected, previous = expected + 1, event.hash
        if progress is not None and event.sequence % CHUNK == 0:
            progress(event.sequence, end.sequence)
    if expected <= end.sequence:
        problem = f"event {expected} is missing; the chain's end is event {end.sequence}"
    elif previous != end.hash:
        expected, problem = end.sequence, f"event {end.sequence} is not the one that the chain ended with"
    elif AuditEvent.objects.filter(sequence=end.sequence + 1).exists() and _head_stands_still(end):
        problem = f"event {expected} is not of the chain, which ends with event {end.sequence}"
    else:
        return ChainCheck(events=end.sequence, head=end.hash)
    return ChainCheck(events=end.sequence, head=end.hash, broken_at=expected, problem=problem)


def _problem(event: AuditEvent, expected: int, previous: str) -> str:
    if event.sequence != expected:
        return f"event {expected} is missing; event {event.sequence} follows"
    if event.previous_hash != previous:
        return f"event {expected} does not name the hash of the event before it"
    try:
        matches = event_hash(event) == event.hash
    except (TypeError, ValueError) as error:
        return f"event {expected} was changed: {error}"
    return "" if matches else f"event {expected} was changed: its hash is not that of its content"


def _events(last: int) -> Iterator[AuditEvent]:
    """Yield the events from the first to number `last`, a chunk in memory at a time."""
    seen = 0
    while True:
        chunk = list(AuditEvent.objects.filter(sequence__gt=seen, sequence__lte=last).order_by("sequence")[:CHUNK])
        yield from chunk
        if len(chunk) < CHUNK:
            return
        seen = chunk[-1].sequence


def _head_stands_still(end: AuditHead) -> bool:
    """An event beyond the end that we saw is a fault only if the end has not moved since."""
    return not AuditHead.objects.filter(sequence__gt=end.sequence).exists()
