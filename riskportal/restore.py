"""Brings an empty live state back to life from the database, before the first approval.

The live state is empty at the first start, at every start of an embedded process, and after Redis lost its
data. It then has no control, and every check is answered with `recovering`, until everything is back: the
book, the API keys, the accounts' baselines, their ledgers (open orders, message counts, the day's turnover)
with the reservations in them, the first answers to orders, and the stops in force. The control is written last.

What is known, and what is not
------------------------------
Everything decided is in the journal, and the journal is drained into the database. Where the journal has
survived (a process was killed, its journal file is there; or only the control was lost), it is drained first,
and then *nothing is missing*: a restored state grants nothing that the lost one had not left.

Where the journal was lost with the rest, the decisions of about the last second (longer if the database was
away) are gone, and nobody can say which: their reservations, a little of the day's turnover, their answers.
An approval that is gone may still be on its way to the market. So approvals are held back until every
reservation that may have been lost has run out: by then such an order is in a position that its account has
reported, or its OMS has given it up. RISK_RECOVERY_HOLD says how long; by default the longest life of a
reservation that the books or the last approvals allow. Reservations whose release was lost come back and run
out by themselves. The turnover that was lost stays lost, and an order_id whose answer was lost is decided
anew; both are bounded by the same second.

A Redis that was started anew may come back *older* than it was (state.redis_restart): it is taken for one that lost
its journal, unless it writes before it answers (`appendfsync always`). What it still has stays, and what the database
has beyond that is put back.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache

import msgspec
from django.conf import settings
from django.db import connection, transaction
from msgspec import Struct

from api.keys import publish_keys, published_records
from audit.drain import BATCH, BATCHES, drain, drain_batch
from audit.models import JournalCursor, OrderDecision
from emergency.keeping import stops_to_restore
from feeds.apply import restore_baselines
from policies.book import latest, loaded, published
from policies.models import Book
from riskcore.book import decode_book
from riskcore.calendar import microseconds, moment
from riskcore.compiled import CompiledBook
from riskcore.ports import Load
from riskportal.accounts import put_back
from riskportal.answers import remember
from riskportal.models import Recovery
from riskportal.rebuild import CannotRebuild, longest_life_us, rebuild
from state.store import JOURNAL_START, Store

logger = logging.getLogger(__name__)

# Answers put back before the first approval, and in one go afterwards.
_FIRST_ANSWERS = 20_000
_MORE_ANSWERS = 5_000

# The newest approvals are asked how long reservations live.
_ASKED = 5_000


class Outcome(StrEnum):
    """`holding`: lost decisions are being waited out. `busy`: another process restores, or the journal is drained."""

    ALIVE = "alive"
    RESTORED = "restored"
    HOLDING = "holding"
    BUSY = "busy"


class Report(Struct, frozen=True, kw_only=True):
    """What was found or done. `hold_s`: for how much longer approvals are held back, in seconds."""

    outcome: Outcome
    hold_s: float = 0.0
    book_version: int = 0
    accounts: int = 0
    reservations: int = 0
    answers: int = 0


class CannotRestore(Exception):
    """Something that is needed is not there or not as it was; the text says what."""


def restore_if_empty(store: Store) -> Report:
    """Restore the live state if it has no control. May be called by any number of processes at once.

    Raises StateUnavailable, CannotRestore and Django's database errors; nothing is approved then, and the
    next call begins anew.
    """
    if store.control() is not None:
        return Report(outcome=Outcome.ALIVE)
    with _turn() as recovery:  # nobody puts accounts back into lanes that are being left
        claim = store.claim_lanes() if recovery is not None else None
    if claim is None:
        return Report(outcome=Outcome.BUSY)
    drain(store)
    _drain_earlier_lanes(store)
    try:
        with _turn() as recovery:
            report = _refill(store, recovery, claim) if recovery is not None else Report(outcome=Outcome.BUSY)
        if report.outcome in (Outcome.HOLDING, Outcome.RESTORED):
            publish_keys(store)  # so that reports flow in while approvals are held back
        if report.outcome is not Outcome.RESTORED:
            return report
        # What has been put back is known to be complete only now that the above is committed.
        with _turn() as recovery:
            return _revive(store, recovery, report, claim) if recovery is not None else Report(outcome=Outcome.BUSY)
    except (CannotRebuild, LookupError, ValueError) as error:
        raise CannotRestore(str(error)) from error


def keep_remembering(store: Store) -> int:
    """Put back older answers that a restore has left for later, some at a time; return how many."""
    if not Recovery.objects.filter(remembered_since__isnull=False).exists() or store.control() is None:
        return 0
    with _turn() as recovery:
        if recovery is None or recovery.remembered_since is None:
            return 0
        count, recovery.remembered_since = remember(
            store, before=recovery.remembered_since, now=_now(store), most=_MORE_ANSWERS
        )
        recovery.save()
    return count


def _drain_earlier_lanes(store: Store) -> None:
    """Drain the lanes that an earlier, greater number of lanes has left behind."""
    for lane in range(store.lanes, store.journal_lanes()):
        for _ in range(BATCHES):
            if drain_batch(store, lane, BATCH) < BATCH:
                break


@contextmanager
def _turn() -> Iterator[Recovery | None]:
    """Hold the row by which one process at a time restores; None where another one has it."""
    Recovery.objects.get_or_create(pk=1)
    with transaction.atomic():
        skip_locked = connection.features.has_select_for_update_skip_locked
        yield Recovery.objects.select_for_update(skip_locked=skip_locked).filter(pk=1).first()


# ------------------------------------------------------------------------------------------ putting back
def _refill(store: Store, recovery: Recovery, claim: str) -> Report:
    """Put everything back but the control, or say why not yet."""
    if store.control() is not None:
        return Report(outcome=Outcome.ALIVE)
    if store.claim_lanes() != claim:
        return Report(outcome=Outcome.BUSY)
    journal = _journal_lives(store)
    if not _is_drained(store):
        return Report(outcome=Outcome.BUSY)
    now = _now(store)
    newest = _newest_book()
    restore_baselines(store)  # before any report, which goes on from them
    hold_s = _hold_s(recovery, journal, now, newest)
    if hold_s > 0:
        return Report(outcome=Outcome.HOLDING, hold_s=hold_s)
    book = decode_book(newest.content.encode())
    reservations = _refill_accounts(store, [account.id for account in book.accounts], now)
    answers, recovery.remembered_since = remember(store, before=now, now=now, most=_FIRST_ANSWERS)
    recovery.journal, recovery.lost_journal, recovery.lost_at_us = journal, "", 0
    recovery.save()
    return Report(outcome=Outcome.RESTORED, accounts=len(book.accounts), reservations=reservations, answers=answers)


def _refill_accounts(store: Store, account_ids: list[str], now: datetime) -> int:
    book_of = lru_cache(maxsize=16)(lambda version: CompiledBook(loaded(version)))
    count = 0
    for account_id in account_ids:
        rebuilt = rebuild(account_id, now, book_of)
        if rebuilt is not None:
            count += put_back(store, account_id, rebuilt)
    return count


def _revive(store: Store, recovery: Recovery, report: Report, claim: str) -> Report:
    """Write the control, by which the live state is alive again."""
    if store.control() is not None:
        return Report(outcome=Outcome.ALIVE)
    if store.claim_lanes() != claim:
        return Report(outcome=Outcome.BUSY)  # claimed for another number of lanes since: accounts are forgotten
    if _journal_lives(store) != recovery.journal:
        return Report(outcome=Outcome.BUSY)  # emptied once more since: what was put back is gone
    newest = _newest_book()
    generation = store.restore(
        book_version=newest.version,
        content=published(newest),
        stops=stops_to_restore(store),  # besides those that the store finds in itself
        keys=published_records(),
    )
    logger.info(
        "the live state is restored: book %s, %s accounts, %s reservations, %s answers; generation %s",
        newest.version,
        report.accounts,
        report.reservations,
        report.answers,
        generation,
    )
    return msgspec.structs.replace(report, book_version=newest.version)


def _newest_book() -> Book:
    newest = latest()
    if newest is None:
        raise CannotRestore("there is no policy book yet: run bootstrap")
    loaded(newest.version)  # it must still be what was published
    return newest


def _now(store: Store) -> datetime:
    """Return the store's time, by which reservations run out."""
    return moment(store.load(Load(accounts=())).now_us)


# ---------------------------------------------------------------------------------------- what was lost
def _journal_lives(store: Store) -> str:
    return " ".join(store.journal_generation(lane) for lane in range(store.journal_lanes()))


def _is_drained(store: Store) -> bool:
    cursors = {cursor.lane: cursor for cursor in JournalCursor.objects.all()}
    for lane in range(store.journal_lanes()):
        cursor = cursors.get(lane)
        known = cursor is not None and cursor.generation == store.journal_generation(lane)
        if store.read_journal(lane, cursor.last_id if cursor is not None and known else JOURNAL_START, 1):
            return False
    return True


def _hold_s(recovery: Recovery, journal: str, now: datetime, newest: Book) -> float:
    """Return for how many seconds approvals must still be held back, 0 where nothing can be missing."""
    if not _may_be_incomplete(recovery, journal):
        return 0.0
    now_us = microseconds(now)
    if recovery.lost_journal != journal:
        recovery.lost_journal, recovery.lost_at_us = journal, now_us
        recovery.save()
        logger.error("the live state was lost, and so may be the last decisions: approvals are held back")
    left_us = recovery.lost_at_us + _hold_us(newest) - now_us
    return max(0.0, left_us / 1e6)


def _may_be_incomplete(recovery: Recovery, journal: str) -> bool:
    if recovery.journal and set(recovery.journal.split()) <= set(journal.split()):
        return False  # lanes that came since have approved nothing yet
    # Before the first restore nothing can have been approved.
    return bool(recovery.journal) or OrderDecision.objects.exists()


def _hold_us(newest: Book) -> int:
    """Return how long a reservation that was lost may still live, in microseconds."""
    if settings.RISK_RECOVERY_HOLD is not None:
        hold: timedelta = settings.RISK_RECOVERY_HOLD
        return hold // timedelta(microseconds=1)
    # An order may ask for a life of its own: the longest that was granted lately stands for those lost.
    lives = [longest_life_us(_ASKED)]
    for row in Book.objects.filter(version__gt=newest.version - 2):
        book = decode_book(row.content.encode())
        lives += [book.parameters.reservation_ttl_us, *(account.reservation_ttl_us for account in book.accounts)]
    return max(lives)
