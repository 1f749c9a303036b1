"""Messages that could not be taken: kept with their error, shown in the admin, taken again when somebody says so."""

from __future__ import annotations

import logging
import threading
from collections import deque
from datetime import datetime

from django.db import DatabaseError, InterfaceError, connection, transaction
from django.utils import timezone
from msgspec import Struct

from audit.acting import Acting
from audit.services import record
from feeds.apply import book_for_reports
from feeds.books import CompiledBooks
from feeds.intake import Outcome, take
from feeds.malformed import Malformed
from feeds.models import DeadLetter
from riskcore.intake import NotApplied
from state.store import Store

logger = logging.getLogger(__name__)

REPLAY = "feeds.replay_deadletter"

# How many wait in memory while the database is away; the oldest go first.
MOST_WAITING = 10_000
_TOGETHER = 500
_LONGEST_PAYLOAD = 64 * 1024


class NotReplayed(Exception):
    """A dead letter could not be taken, once more; it stays. The text says why."""


class Letter(Struct, frozen=True):
    """A message on its way to the dead letters."""

    received_at: datetime
    subject: str
    payload: bytes
    error: str


class DeadLetters:
    """Dead letters on their way to the database. `put` never waits; `write` does, in a thread of its own."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._waiting: deque[Letter] = deque(maxlen=most)
        self._lock = threading.Lock()

    def put(self, subject: str, payload: bytes, error: str) -> None:
        """Take a letter over."""
        if len(self._waiting) == self._waiting.maxlen:
            logger.error("too many dead letters: the oldest is lost")
        self._waiting.append(Letter(timezone.now(), subject[:255], payload[:_LONGEST_PAYLOAD], error))

    @property
    def waiting(self) -> int:
        """How many are not in the database yet."""
        return len(self._waiting)

    def write(self) -> int:
        """Write what waits and return how many that were; while the database is away it goes on waiting."""
        with self._lock:
            letters = list(self._waiting)[:_TOGETHER]
            if not letters:
                return 0
            try:
                DeadLetter.objects.bulk_create(
                    DeadLetter(received_at=one.received_at, subject=one.subject, payload=one.payload, error=one.error)
                    for one in letters
                )
            except (DatabaseError, InterfaceError) as error:
                logger.warning("%d dead letters are not written for now: %s", len(self._waiting), error)
                connection.close()
                return 0
            for one in letters:
                if self._waiting and self._waiting[0] is one:
                    self._waiting.popleft()
            return len(letters)


def do_replay_dead_letter(
    letter_id: int, *, acting: Acting, reason: str, store: Store, books: CompiledBooks
) -> Outcome:
    """Take a dead letter after all, as it came, and record who saw to it.

    A message that was taken meanwhile, or is older than what is known, changes nothing and counts as replayed.
    Raises NotAllowed, and NotReplayed where it still cannot be taken, or was already.
    """
    acting.demand(REPLAY)
    acting.demand_account("", "what came for any account")
    now = timezone.now()
    with transaction.atomic():
        letter = DeadLetter.objects.select_for_update().get(pk=letter_id)
        if letter.replayed_at is not None:
            raise NotReplayed(f"it was taken at {letter.replayed_at:%Y-%m-%d %H:%M:%S} UTC by {letter.replayed_by}")
        book = book_for_reports(store, books)
        now_us = int(now.timestamp() * 1_000_000)
        try:
            found = take(letter.subject, bytes(letter.payload), store, books, book, now_us=now_us)
        except (Malformed, NotApplied) as error:
            raise NotReplayed(str(error)) from None
        if found.outcome is Outcome.UNKNOWN:
            raise NotReplayed("there is no such account")
        letter.replayed_at, letter.replayed_by = now, acting.name
        letter.save(update_fields=["replayed_at", "replayed_by"])
        record(
            actor=acting.name,
            action="dead_letter.replay",
            object_type="feeds.DeadLetter",
            object_id=letter.pk,
            object_label=str(letter),
            reason=reason,
            after={"subject": letter.subject, "outcome": found.outcome.value},
        )
    return found.outcome
