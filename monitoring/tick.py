"""What happens each second, from top to bottom.

One process at a time holds the lease of the monitor, with a token that grows each time it changes hands. Whoever froze
and wakes up too late finds that its token is not the last one any more, and leaves it at that.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterable
from datetime import timedelta
from decimal import localcontext
from enum import StrEnum

from django.conf import settings
from django.db import DatabaseError

from audit.acting import system
from emergency.forced import lifted_in_spite
from emergency.services import do_engage_stop
from emergency.words import Trigger
from feeds.books import CompiledBooks, in_force
from feeds.seldom import Seldom
from monitoring.accounts import Accounts
from monitoring.look import Look, is_of_firm
from monitoring.metrics import DURATION, SKIPPED, STAGES
from monitoring.recording import Recorder
from monitoring.shards import EVERYTHING, MissingPart, Part, Shard, last_said_us, say, sums_of_all
from monitoring.telling import figures_of, tell
from riskcore.book import PolicyType
from riskcore.calendar import moment
from riskcore.compiled import CompiledBook
from riskcore.decimals import EXACT
from riskcore.glance import Glance
from riskcore.ports import Load, Stop, StopScope
from riskcore.signal import tier_of
from riskcore.types import TradingState
from state.store import StateUnavailable, Store
from violations.observations import Observation
from violations.services import began_before

logger = logging.getLogger(__name__)

_HOLDER = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"

# So many intervals a holder may be silent before another takes over. Once it has looked, nobody does for a part of an
# interval, and then whoever has the next tick, whichever worker that is.
_LEASE_INTERVALS = 3
_REST_INTERVALS = 0.6


class Outcome(StrEnum):
    """How a tick ended."""

    LOOKED = "looked"
    NOTHING_TO_SEE = "nothing_to_see"
    BUSY = "busy"
    ELSEWHERE = "elsewhere"
    RECOVERING = "recovering"
    TOO_LATE = "too_late"


class Monitor:
    """Looks at every account of a store, as often as `interval` says and never twice at once.

    Parameters
    ----------
    store
        The live state.
    books
        The compiled books of the process.
    interval
        The time from one tick to the next.
    holder
        The name under which the lease is held; one for each monitor.
    shard
        Which accounts; the first shard speaks for the firm.
    """

    def __init__(
        self,
        store: Store,
        books: CompiledBooks,
        interval: timedelta,
        holder: str = _HOLDER,
        shard: Shard = EVERYTHING,
    ) -> None:
        self._store, self._books, self._holder, self._shard = store, books, holder, shard
        self._interval_s = interval.total_seconds()
        self._running = threading.Lock()
        self._accounts = Accounts(store, shard)
        self._recorder = Recorder(self._interval_s * _LEASE_INTERVALS)
        self._seldom = Seldom(logger)

    def tick(self) -> Outcome:
        """Look at every account and act on what is found. Raises StateUnavailable and Django's database errors.

        A tick that is due while one still runs is left out and counted, never made up for.
        """
        if not self._running.acquire(blocking=False):
            SKIPPED.inc()
            return Outcome.BUSY
        try:
            with DURATION.time():
                return self._tick()
        finally:
            self._running.release()

    def _tick(self) -> Outcome:
        begun_s = time.monotonic()
        token = self._hold(_LEASE_INTERVALS)
        if token is None:
            return Outcome.ELSEWHERE
        try:
            return self._look(token)
        finally:
            with contextlib.suppress(StateUnavailable):  # it ends by itself
                self._hold(max(0.0, _REST_INTERVALS - (time.monotonic() - begun_s) / self._interval_s))

    def _look(self, token: int) -> Outcome:
        self._count_skipped()
        control = self._store.control()
        if control is None:
            return Outcome.RECOVERING
        book = in_force(control.book_version, self._store, self._books)
        found = self._accounts.look(book)
        part = Part(book.version, found.sums)
        if self._shard.of > 1 and not say(self._store, self._shard, part, token):
            return Outcome.TOO_LATE
        firm = self._firm(part, book, found.now_us)
        if firm is not None and not self._signal(firm, token):
            return Outcome.TOO_LATE
        seen = Look(at=moment(found.now_us), accounts=found.accounts, firm=firm)
        if not seen.accounts and not seen.seen:
            return Outcome.NOTHING_TO_SEE
        with STAGES.labels("stop").time():
            observations = list(seen.observations())
            _stop(observations, control.stops, time.monotonic() + self._interval_s)
        if self._hold(_LEASE_INTERVALS) != token:
            return Outcome.TOO_LATE
        with STAGES.labels("record").time():
            self._recorder.record(seen, observations)
        if found.figures:
            with STAGES.labels("tell").time(), localcontext(EXACT):
                tell(seen.at, (*([] if firm is None else [figures_of(firm)]), *found.figures))
        return Outcome.LOOKED

    def _firm(self, part: Part, book: CompiledBook, now_us: int) -> Glance | None:
        """Return the firm, of which this is a part; None where others say so, or where nobody knows."""
        if not self._shard.is_first:
            return None
        try:
            sums = sums_of_all(self._store, self._shard, part, now_us, self._us(_LEASE_INTERVALS))
        except MissingPart as missing:
            self._seldom.warn("nothing is said of the firm's risk for now: %s", missing)
            return None
        with STAGES.labels("firm").time():
            return self._accounts.firm(sums, book, now_us)

    def _signal(self, firm: Glance, token: int) -> bool:
        """Tell every check what the firm's risk is; return False where somebody else has since."""
        required = tier_of(firm).requires_action
        return self._store.put_signal(firm.level, action_required=required, token=token)

    def _hold(self, intervals: float) -> int | None:
        return self._store.hold_lease(self._shard.lease, self._holder, self._us(intervals))

    def _us(self, intervals: float) -> int:
        return round(self._interval_s * intervals * 1_000_000)

    def _count_skipped(self) -> None:
        """Count the ticks that were due since anybody looked."""
        loaded = self._store.load(Load(accounts=()))
        last_us = last_said_us(self._store, self._shard)
        if self._shard.of == 1 and loaded.signal is not None:
            last_us = loaded.signal.at_us
        if last_us is not None:
            since_s = (loaded.now_us - last_us) / 1_000_000
            SKIPPED.inc(max(0, round(since_s / self._interval_s) - 1))


def _stop(observations: Iterable[Observation], stops: tuple[Stop, ...], until_s: float) -> None:
    """Stop trading where an emergency limit is broken: everywhere for the firm's own figure, or else in the account.

    The first stop is engaged whatever time it is; what others there are after `until_s` are left for the next look.
    """
    broken = [one for one in observations if one.policy_type == PolicyType.EMERGENCY]
    broken.sort(key=lambda one: not is_of_firm(one))
    stopped: set[str] = set()
    for one in broken:
        scope = StopScope.GLOBAL if is_of_firm(one) else StopScope.ACCOUNT
        if one.account_id in stopped or _is_stopped(scope, one.account_id, stops) or _is_borne(one):
            continue
        if stopped and time.monotonic() > until_s:
            break
        stopped.add(one.account_id)
        do_engage_stop(
            acting=system(f"policy {one.policy_name}"),
            reason=one.message,
            trigger=Trigger.POLICY,
            scope=scope,
            scope_id=one.account_id,
            unwind=settings.RISK_EMERGENCY_UNWIND,
        )


def _is_borne(one: Observation) -> bool:
    """Return whether two people have re-enabled trading in spite of this breach, which has gone on since.

    Without the database nobody knows, and trading is stopped.
    """
    try:
        lifted_at = lifted_in_spite((one.account_id,)).get(one.account_id)
        return lifted_at is not None and began_before(one, lifted_at)
    except DatabaseError as error:
        logger.error("whether %s is borne is not known, the database is away: %s", one.message, error)
        return False


def _is_stopped(scope: StopScope, scope_id: str, stops: tuple[Stop, ...]) -> bool:
    """Return whether a stop is in force that does all that this one would."""
    covering = {(StopScope.GLOBAL, ""), (scope, scope_id)}
    return any(
        (stop.scope, stop.scope_id) in covering
        and stop.state is TradingState.HALTED
        and (stop.unwind or not settings.RISK_EMERGENCY_UNWIND)
        for stop in stops
    )
