"""Sees a stop through: has the OMS cancel and close until it is done or given up, and says how far it is.

One process at a time does it, by a lease. All that it knows is noted in the live state, so that it needs no database
and whoever takes over goes on. What is asked again is done once: an OMS knows a command by kind, stop and account.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import TypeAlias

import msgspec
from django.db import Error as DatabaseError

from bus.asking import Unanswered
from bus.publish import publish
from emergency.answers import Unreadable, read_answer, request
from emergency.cases import Case, Noted, Pace, cases_of, fold, join
from emergency.flags import now_us
from emergency.holdings import Seen, look, orders_from_before
from emergency.notes import Note, decode, encode
from emergency.records import record_notes
from emergency.timeline import ended_step, patience_step, progressed, steps
from emergency.unwinding import MOST_RESIDUALS, judged, wanted
from emergency.words import Command, Status
from emergency.work import PatienceNote, Progress, UnwindNote
from riskcore.book import Parameters, decode_book
from riskcore.ports import Control, StopScope
from state.store import Store

logger = logging.getLogger(__name__)

LEASE = "unwind"
LEASE_US = 6_000_000
_HOLDER = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"

# How long the OMS has to answer, well within the lease.
ASK_S = 1.5

# Cancelling, and then closing, without waiting for the next time.
_ROUNDS = 2

# A database that is away may take its time to say so, which no OMS should wait for; others try to record meanwhile.
_RECORD_AGAIN_S = 5.0

# Who gives up where no person does.
NOBODY = "riskportal"

Ask: TypeAlias = Callable[[Sequence[tuple[str, bytes]]], list[bytes | Unanswered]]


class Outcome(StrEnum):
    """How an attempt to see the stops through ended."""

    WENT_ON = "went_on"
    NOTHING_TO_DO = "nothing_to_do"
    BUSY = "busy"
    ELSEWHERE = "elsewhere"
    RECOVERING = "recovering"
    TOO_LATE = "too_late"


class Unwinder:
    """Sees the stops of a store through.

    Parameters
    ----------
    store
        The live state.
    ask
        Sends requests to the OMS, and returns an answer to each, or why there is none.
    timeout
        After how long without an end nothing more is asked, until a person says so.
    holder
        The name under which the lease is held; one for each.
    """

    def __init__(
        self,
        store: Store,
        ask: Ask,
        *,
        timeout: timedelta,
        holder: str = _HOLDER,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._ask, self._timeout, self._holder = store, ask, timeout, holder
        self._running = threading.Lock()
        self._clock_s, self._pace, self._record_from_s = clock_s, Pace(clock_s), 0.0
        self._parameters: tuple[int, Parameters] | None = None

    def advance(self) -> Outcome:
        """Bring every stop as far as it gets now, and say so. Raises StateUnavailable."""
        if not self._running.acquire(blocking=False):
            return Outcome.BUSY
        try:
            token = self._hold()
            return Outcome.ELSEWHERE if token is None else self._advance(token)
        finally:
            self._running.release()

    def _hold(self) -> int | None:
        return self._store.hold_lease(LEASE, self._holder, LEASE_US)

    def _advance(self, token: int) -> Outcome:
        control = self._store.control()
        if control is None:
            return Outcome.RECOVERING
        noted = Noted(decode(self._store.stop_notes()))
        at_us = now_us(self._store)
        self._end_lifted(noted, control, at_us)
        cases = cases_of(noted, control, at_us)
        self._pace.keep(case.stop.id for case in cases)
        if not cases:
            self._store.drop_stop_notes(*(note.name for note in noted.progress))
            return Outcome.NOTHING_TO_DO
        seen = self._look(cases, control)
        join(cases, seen)
        fold(cases, noted.progress, at_us)
        for _ in range(_ROUNDS):
            if not self._ask_what_is_due(cases, seen):
                break
            if self._hold() != token:
                return Outcome.TOO_LATE
        self._write(cases, seen, noted)
        self._store.drop_stop_notes(*(note.name for note in noted.progress))
        return Outcome.WENT_ON

    # ---------------------------------------------------------------------------------------------- looking
    def _look(self, cases: Sequence[Case], control: Control) -> dict[str, Seen]:
        """Return the accounts that any of the stops may be about, and those that one was about before."""
        wanted_ids = {account_id for case in cases for account_id in case.work.accounts}
        wanted_ids |= {case.stop.scope_id for case in cases if case.stop.scope is StopScope.ACCOUNT}
        if any(case.stop.scope is not StopScope.ACCOUNT for case in cases):
            wanted_ids |= set(self._store.account_ids())
        return look(self._store, sorted(wanted_ids), self._parameters_of(control.book_version))

    def _parameters_of(self, version: int) -> Parameters | None:
        """Return the book's parameters, None where it cannot be read: then no state counts as fresh."""
        if self._parameters is None or self._parameters[0] != version:
            content = self._store.fetch_book(version)
            try:
                self._parameters = None if content is None else (version, decode_book(content).parameters)
            except (msgspec.MsgspecError, ValueError) as error:
                logger.error("book %s cannot be read: %s", version, error)
                self._parameters = None
        return None if self._parameters is None else self._parameters[1]

    # ----------------------------------------------------------------------------------------------- asking
    def _ask_what_is_due(self, cases: Sequence[Case], seen: Mapping[str, Seen]) -> bool:
        """Ask for whatever it is time for, all at once, and take in the answers; return whether there was anything."""
        at_us = now_us(self._store)
        due = [
            (case, account_id, command)
            for case in cases
            for account_id, command in wanted(case.stop, case.work, seen, at_us)
            if self._pace.is_due((case.stop.id, account_id, command))
        ]
        if not due:
            return False
        answers = self._ask([request(case.stop, account_id, command) for case, account_id, command in due])
        heard: dict[str, list[tuple[str, Command, Progress | str]]] = {}
        for (case, account_id, command), answer in zip(due, answers, strict=True):
            found = _read(answer, case.stop.id, account_id, command)
            heard.setdefault(case.stop.id, []).append((account_id, command, found))
        at_us = now_us(self._store)
        for case in cases:
            self._hear(case, heard.get(case.stop.id, []), at_us)
        return True

    def _hear(self, case: Case, answers: Sequence[tuple[str, Command, Progress | str]], at_us: int) -> None:
        before = case.work.accounts
        case.hear(answers, at_us)
        for account_id, command, _ in answers:
            changed = before[account_id] != case.work.accounts[account_id]
            self._pace.asked((case.stop.id, account_id, command), changed=changed)

    # ---------------------------------------------------------------------------------------------- writing
    def _write(self, cases: Sequence[Case], seen: Mapping[str, Seen], noted: Noted) -> None:
        """Note how far stops are, the steps first: they have names, so that whoever does this again tells no news."""
        at_us = now_us(self._store)
        told: list[Note] = []
        works: list[Note] = []
        events = []
        for case in cases:
            work = self._judge(case, seen, at_us)
            patience = self._out_of_patience(work, case.patience, at_us)
            told += steps(case.stop, case.before, work, at_us)
            if patience is not None:
                told += [patience_step(patience), patience]
            if work != case.before or case.is_new:
                works.append(work.kept)
            if work.status is not case.before.status or patience is not None:
                events.append(progressed(work, given_up=patience is not None))
        self._note([*told, *works], noted.unrecorded)
        for event in events:
            publish(event)

    def _judge(self, case: Case, seen: Mapping[str, Seen], at_us: int) -> UnwindNote:
        """Return how far a stop is; orders from before it are looked for once nothing else is left."""
        work = judged(case.stop, case.work, seen, {})
        if work.status is not Status.COMPLETED:
            return work
        return judged(case.stop, case.work, seen, self._open_orders(case, seen, at_us))

    def _open_orders(self, case: Case, seen: Mapping[str, Seen], at_us: int) -> dict[str, int]:
        """Return by account how many orders from before the stop are still counted, where there are any."""
        found: dict[str, int] = {}
        for account_id in case.work.accounts:
            if len(found) < MOST_RESIDUALS and seen[account_id].open_orders(case.stop):
                count = orders_from_before(self._store, account_id, case.stop, case.work.begun_us, at_us)
                found |= {account_id: count} if count else {}
        return found

    def _out_of_patience(self, work: UnwindNote, known: PatienceNote | None, at_us: int) -> PatienceNote | None:
        """Return the note that says that it took too long, None where it did not."""
        since_us = max(work.begun_us, known.at_us if known is not None else 0)
        if work.status is Status.COMPLETED or at_us - since_us < self._timeout / timedelta(microseconds=1):
            return None
        left = f"; {work.residuals[0].account_id}: {work.residuals[0].why}" if work.residuals else ""
        reason = f"not done within {self._timeout.total_seconds():g} s{left}"
        return PatienceNote(stop_id=work.stop_id, given_up=True, at_us=at_us, by=NOBODY, reason=reason)

    def _note(self, notes: Sequence[Note], unrecorded: Sequence[Note] = ()) -> None:
        """Keep notes in the live state, and what the database takes of them there, after what it did not take before.

        A stop that was engaged just now has no record yet when its orders are cancelled.
        """
        if not notes and not unrecorded:
            return
        self._store.put_stop_notes({note.name: encode(note) for note in notes})
        if self._clock_s() < self._record_from_s:
            return
        try:
            done = record_notes([*unrecorded, *notes])
        except DatabaseError as error:
            self._record_from_s = self._clock_s() + _RECORD_AGAIN_S
            logger.warning("how far a stop has come is recorded later: %s", error)
        else:
            self._store.drop_stop_notes(*done)

    def _end_lifted(self, noted: Noted, control: Control, at_us: int) -> None:
        """Leave off stops that were lifted; one that is only missing is put back by others, and has its note."""
        known = {stop.id for stop in control.stops} | noted.stops.keys()
        works = [note for stop_id, note in noted.works.items() if stop_id not in known]
        patience = {stop_id: note for stop_id, note in noted.patience.items() if stop_id not in known}
        given_up = {stop_id for stop_id, note in patience.items() if note.given_up}
        cut_short = [
            ended_step(note, at_us)
            for note in works
            if note.status is not Status.COMPLETED and note.stop_id not in given_up
        ]
        if cut_short:
            self._note(cut_short)
        over: list[Note] = [*works, *patience.values()]
        self._store.drop_stop_notes(*(note.name for note in over))


def _read(answer: bytes | Unanswered, stop_id: str, account_id: str, command: Command) -> Progress | str:
    """Return what an answer says, or why it says nothing."""
    if isinstance(answer, Unanswered):
        return answer.why
    try:
        return read_answer(answer, stop_id, account_id, command)
    except Unreadable as error:
        return str(error)
