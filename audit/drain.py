"""Moves the journal of the live state into the database: every entry exactly once, whenever it is killed.

A batch is inserted and sealed and the lane's cursor moved in one transaction, and only then is the journal trimmed.
What is read again, after a crash or in a new generation of the journal, is known by the cursor or by its decision.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from django.db import DatabaseError, DataError, IntegrityError, connection, transaction
from django.utils import timezone

from audit.entries import Row, UnfitEntry, entry_time_us, read_row
from audit.metrics import JOURNAL_LAG, JOURNAL_REJECTS
from audit.models import JournalCursor, JournalReject, OrderDecision, ReservationEnd
from audit.sealing import Sealing
from riskcore.calendar import microseconds
from state.store import JOURNAL_START

logger = logging.getLogger(__name__)

# Redis reads so many in one go, in which it answers no check.
BATCH = 200
# Bounds one call, so that a worker with a long backlog still hears that it should stop.
BATCHES = 100

# A steady drain gives way after each batch, for as long as that took but not longer than this, in seconds. With more
# entries than these waiting in a lane it does not.
_LONGEST_PAUSE_S = 0.1
_BACKLOG = 3_000

# The journals that this process has read from their start. The first time the cursor is not relied on: a power
# cut may have taken the end of a journal that is in the database already, and new entries its numbers.
_begun: set[tuple[int, str]] = set()


class Journal(Protocol):
    """What a drain uses of a store: its journals."""

    @property
    def lanes(self) -> int: ...

    def read_journal(self, lane: int, after: str, count: int) -> list[tuple[str, bytes]]: ...

    def trim_journal(self, lane: int, through: str) -> None: ...

    def journal_length(self, lane: int) -> int: ...

    def journal_generation(self, lane: int) -> str: ...


@dataclass
class _Batch:
    """What came out of a batch of entries: the rows to insert, each with its entry, and the rejects."""

    lane: int
    generation: str
    rows: dict[tuple[type[Row], UUID], tuple[Row, str, bytes]] = field(default_factory=dict)
    rejects: list[JournalReject] = field(default_factory=list)

    def reject(self, entry_id: str, content: bytes, error: object) -> None:
        self.rejects.append(
            JournalReject(
                lane=self.lane,
                generation=self.generation,
                entry_id=entry_id,
                content=content,
                error=str(error) or type(error).__name__,
                rejected_at=timezone.now(),
            )
        )


def drain(journal: Journal, *, batch: int = BATCH, batches: int = BATCHES, steadily: bool = False) -> int:
    """Drain every lane until it is empty, at most `batches` batches each; return the entries taken.

    `steadily`: half of the time is left to the checks on the same machine, as long as the journal keeps short. A
    lane that another process is draining is left to it. Raises StateUnavailable and Django's database errors; what
    was drained before stays drained.
    """
    taken = 0
    try:
        for lane in range(journal.lanes):
            for _ in range(batches):
                started = time.monotonic()
                count = drain_batch(journal, lane, batch)
                taken += count
                if count < batch:
                    break
                if steadily and journal.journal_length(lane) < _BACKLOG:
                    time.sleep(min(time.monotonic() - started, _LONGEST_PAUSE_S))
    finally:
        JOURNAL_LAG.set(lag_seconds(journal, timezone.now(), _positions()))
    return taken


def drain_batch(journal: Journal, lane: int, count: int) -> int:
    """Move up to `count` entries of a lane into the database and trim them; return how many there were."""
    JournalCursor.objects.get_or_create(lane=lane)
    with transaction.atomic():
        cursor = _locked_cursor(lane)
        if cursor is None:
            return 0
        before = (cursor.generation, cursor.last_id)
        generation = journal.journal_generation(lane)
        if cursor.generation != generation or (lane, generation) not in _begun:
            cursor.generation, cursor.last_id = generation, JOURNAL_START
        entries = journal.read_journal(lane, cursor.last_id, count)
        rejects = 0
        if entries:
            rejects = _keep(_sort(lane, generation, entries))
            cursor.last_id = entries[-1][0]
        if (cursor.generation, cursor.last_id) != before:
            cursor.save()
    _begun.add((lane, generation))
    if rejects:
        JOURNAL_REJECTS.inc(rejects)
        logger.error("lane %s: %s journal entries were kept as rejects; see the admin", lane, rejects)
    # Without entries there may still be some to trim, of a drain that was killed before it could.
    if (entries or journal.journal_length(lane)) and journal.journal_generation(lane) == generation:
        journal.trim_journal(lane, cursor.last_id)
    return len(entries)


def lag_seconds(journal: Journal, now: datetime, positions: Mapping[int, str]) -> float:
    """Return the age in seconds of the oldest entry that is not in the database, 0 where there is none.

    `positions` has the last id drained by lane; a lane that is not in it is measured by all its journal holds.
    """
    oldest = [journal.read_journal(lane, positions.get(lane, JOURNAL_START), 1) for lane in range(journal.lanes)]
    times = [entry_time_us(entries[0][1]) for entries in oldest if entries]
    ages = [(microseconds(now) - time) / 1e6 for time in times if time is not None]
    return max([0.0, *ages])


def _positions() -> dict[int, str]:
    """Return the last id drained by lane; nothing while the database is away, for which the lag must grow."""
    try:
        return dict(JournalCursor.objects.values_list("lane", "last_id"))
    except DatabaseError:
        return {}


def _locked_cursor(lane: int) -> JournalCursor | None:
    """Return the lane's cursor, locked; None where another process holds it."""
    skip_locked = connection.features.has_select_for_update_skip_locked
    return JournalCursor.objects.select_for_update(skip_locked=skip_locked).filter(lane=lane).first()


def _sort(lane: int, generation: str, entries: Iterable[tuple[str, bytes]]) -> _Batch:
    """Tell rows from rejects. Of equal entries one is left."""
    batch = _Batch(lane, generation)
    for entry_id, content in entries:
        try:
            row = read_row(content)
        except UnfitEntry as error:
            batch.reject(entry_id, content, error)
            continue
        key = (type(row), row.pk)
        earlier = batch.rows.setdefault(key, (row, entry_id, content))
        if not _same(earlier[0], row):
            batch.reject(entry_id, content, f"{row.pk} was journaled before with other content")
    return batch


def _keep(batch: _Batch) -> int:
    """Insert and seal what is not there yet, and return how many entries were rejected."""
    for model in (OrderDecision, ReservationEnd):
        _leave_out_known(batch, model)
    sealing = Sealing()
    for model in (OrderDecision, ReservationEnd):
        of_model = [each for (kind, _), each in batch.rows.items() if kind is model]
        try:
            with transaction.atomic():
                sealing.add([row for row, _, _ in of_model])
        except (DataError, IntegrityError):
            _insert_singly(batch, sealing, of_model)
    sealing.add(_new_rejects(batch))
    sealing.close()
    return len(batch.rejects)


def _new_rejects(batch: _Batch) -> list[JournalReject]:
    """Return the rejects that an earlier drain of this journal has not kept."""
    if not batch.rejects:
        return []
    kept = JournalReject.objects.filter(
        lane=batch.lane, generation=batch.generation, entry_id__in=[each.entry_id for each in batch.rejects]
    )
    known = set(kept.values_list("entry_id", flat=True))
    # One entry may be rejected twice, as not the first of its decision and by the database: once is enough.
    return [each for each in {each.entry_id: each for each in batch.rejects}.values() if each.entry_id not in known]


def _leave_out_known(batch: _Batch, model: type[Row]) -> None:
    """Take rows out that an earlier generation's drain has kept; what differs from them is rejected."""
    wanted = [pk for kind, pk in batch.rows if kind is model]
    # Their keys first: nearly always there are none, and the rows are wide.
    known = list(model.objects.filter(pk__in=wanted).values_list("pk", flat=True)) if wanted else []
    for kept in model.objects.filter(pk__in=known) if known else []:
        row, entry_id, content = batch.rows.pop((model, kept.pk))
        if not _same(kept, row):
            batch.reject(entry_id, content, f"{row.pk} was kept before with other content")


def _same(one: Row, other: Row) -> bool:
    """Return whether two rows keep the same entry, in whichever batch."""
    names = [each.attname for each in one._meta.concrete_fields if each.attname != "batch"]
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _insert_singly(batch: _Batch, sealing: Sealing, rows: Sequence[tuple[Row, str, bytes]]) -> None:
    """Insert one by one, so that a row which the database refuses does not hold up the others."""
    for row, entry_id, content in rows:
        try:
            with transaction.atomic():
                sealing.add([row])
        except (DataError, IntegrityError) as error:
            batch.reject(entry_id, content, error)
