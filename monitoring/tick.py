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
from enum import StrEnum

from django.conf import settings
from django.db import DatabaseError

from emergency.forced import lifted_in_spite
from emergency.services import do_engage_stop
from emergency.words import Trigger
from feeds.books import CompiledBooks, in_force
from monitoring.accounts import Accounts
from monitoring.look import is_of_firm, look
from monitoring.metrics import DURATION, SKIPPED, STAGES
from monitoring.telling import Teller
from riskcore.book import PolicyType
from riskcore.ports import Load, Stop, StopScope
from riskcore.types import RiskLevel, TradingState
from state.store import StateUnavailable, Store
from violations.observations import Observation
from violations.services import began_before, observe

logger = logging.getLogger(__name__)

LEASE = "monitor"
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
    """

    def __init__(self, store: Store, books: CompiledBooks, interval: timedelta, holder: str = _HOLDER) -> None:
        self._store, self._books, self._holder = store, books, holder
        self._interval_s = interval.total_seconds()
        self._running = threading.Lock()
        self._accounts, self._teller = Accounts(store), Teller()

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
        seen = look(self._accounts, in_force(control.book_version, self._store, self._books))
        if seen is None:
            self._store.put_signal(RiskLevel.UNKNOWN, action_required=False, token=token)
            return Outcome.NOTHING_TO_SEE
        signal = seen.signal
        required = signal.emergency_action_required
        if not self._store.put_signal(signal.risk_level, action_required=required, token=token):
            return Outcome.TOO_LATE
        with STAGES.labels("stop").time():
            observations = list(seen.observations())
            _stop(observations, control.stops)
        if self._hold(_LEASE_INTERVALS) != token:
            return Outcome.TOO_LATE
        with STAGES.labels("record").time():
            observe(observations, seen.seen, seen.at)
        if settings.NATS_URL:
            with STAGES.labels("tell").time():
                self._teller.tell(seen)
        return Outcome.LOOKED

    def _hold(self, intervals: float) -> int | None:
        return self._store.hold_lease(LEASE, self._holder, round(self._interval_s * intervals * 1_000_000))

    def _count_skipped(self) -> None:
        """Count the ticks that were due since anybody looked."""
        loaded = self._store.load(Load(accounts=()))
        if loaded.signal is not None:
            since_s = (loaded.now_us - loaded.signal.at_us) / 1_000_000
            SKIPPED.inc(max(0, round(since_s / self._interval_s) - 1))


def _stop(observations: Iterable[Observation], stops: tuple[Stop, ...]) -> None:
    """Stop trading where an emergency limit is broken: in the account, or everywhere for the firm's own figure."""
    broken = [one for one in observations if one.policy_type == PolicyType.EMERGENCY]
    broken.sort(key=lambda one: not is_of_firm(one))
    stopped: set[str] = set()
    for one in broken:
        scope = StopScope.GLOBAL if is_of_firm(one) else StopScope.ACCOUNT
        if one.account_id in stopped or _is_stopped(scope, one.account_id, stops) or _is_borne(one):
            continue
        stopped.add(one.account_id)
        do_engage_stop(
            reason=one.message,
            triggered_by=f"policy {one.policy_name}",
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
