"""The circuit breaker: so many hard violations of one account within so long trip a stop, once.

A violation counts each time the monitor observes it, and each time an order is blocked for it. Counts and trips are
written with the violations, so that they are exact over all processes; the stop is engaged after that, by whoever comes
first, and again until it is engaged. While the account is stopped like that already, nothing trips.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from django.conf import settings
from django.utils import timezone

from audit.acting import Acting, system
from emergency.services import do_engage_stop
from emergency.words import Trigger
from riskcore.calendar import microseconds, moment
from riskcore.ports import Stop, StopScope
from riskcore.types import TradingState
from state.store import StateUnavailable
from state.wiring import store
from violations import bulk
from violations.metrics import VIOLATION_COUNT
from violations.models import BreakerCount, BreakerTrip

logger = logging.getLogger(__name__)

ACTOR = "circuit breaker"

# Whoever engages a stop is left alone with it for so long, before somebody else takes it for dead.
_PATIENCE = timedelta(seconds=10)


class Engage(Protocol):
    """Engages a stop, in force for every process when it returns: `emergency.services.do_engage_stop`."""

    def __call__(
        self,
        *,
        acting: Acting,
        reason: str,
        trigger: Trigger,
        scope: StopScope,
        scope_id: str = "",
        state: TradingState = TradingState.HALTED,
        unwind: bool = False,
        triggered_by: str = "",
    ) -> object: ...


@dataclass(frozen=True)
class Rule:
    """When it trips, and what that stops. `count` 0: never. `blocks`: orders that were blocked count too."""

    count: int
    blocks: bool
    window: timedelta
    scope: StopScope
    state: TradingState

    def scope_id(self, account_id: str) -> str:
        """Return what is stopped when this account trips it."""
        return account_id if self.scope is StopScope.ACCOUNT else ""


def rule() -> Rule:
    """Return the rule of the settings."""
    return Rule(
        settings.RISK_BREAKER_COUNT,
        settings.RISK_BREAKER_BLOCKS,
        settings.RISK_BREAKER_WINDOW,
        StopScope(settings.RISK_BREAKER_SCOPE),
        TradingState(settings.RISK_BREAKER_STATE),
    )


# ------------------------------------------------------------------------------------------------ counting
def count(hits: Mapping[str, Sequence[datetime]], now: datetime, by: Rule) -> list[BreakerTrip]:
    """Count hard violations by account, and return the trips that they make; none for the firm as a whole.

    Call it in the transaction of the violations, last.
    """
    accounts = sorted(account for account, at in hits.items() if account and at)
    if not accounts or not by.count:
        return []
    of = BreakerCount.objects.filter(pk__in=accounts).select_for_update().order_by("pk")
    rows = list(of)
    if len(rows) < len(accounts):
        bulk.insert([BreakerCount(account_id=each) for each in accounts])
        rows = list(of.all())
    since = microseconds(now - by.window)
    for row in rows:
        found = [*row.hits, *map(microseconds, hits[row.account_id])]
        row.hits = sorted(each for each in found if each > since)
        row.last_at = moment(row.hits[-1]) if row.hits else row.last_at
    trips = _trip([row for row in rows if len(row.hits) >= by.count], now, by)
    bulk.update(rows, ("hits", "last_at"))
    return trips


def _trip(rows: Sequence[BreakerCount], now: datetime, by: Rule) -> list[BreakerTrip]:
    """Return the trips of these accounts, written; their counts begin anew."""
    stops = _stops() if rows else ()
    trips: dict[str, BreakerTrip] = {}
    for row in rows:
        if not _is_stopped(row.account_id, stops, by):
            trips.setdefault(by.scope_id(row.account_id), _new_trip(row, now, by))
        row.hits = []
    BreakerTrip.objects.bulk_create(trips.values(), ignore_conflicts=True)
    keys = [trip.pk for trip in trips.values()]
    made = set(BreakerTrip.objects.filter(pk__in=keys).values_list("pk", flat=True)) if keys else set()
    return [trip for trip in trips.values() if trip.pk in made]


def _new_trip(row: BreakerCount, now: datetime, by: Rule) -> BreakerTrip:
    seconds = int(by.window.total_seconds())
    return BreakerTrip(
        account_id=row.account_id,
        at=now,
        violations=len(row.hits),
        window_s=seconds,
        scope=by.scope.value,
        scope_id=by.scope_id(row.account_id),
        state=by.state.value,
        reason=f"{len(row.hits)} hard violations in {seconds} s in account {row.account_id}",
        retry_at=now,
    )


def _stops() -> tuple[Stop, ...]:
    try:
        return store().stops()[1]
    except StateUnavailable:
        return ()  # better one stop too many


def _is_stopped(account_id: str, stops: Iterable[Stop], by: Rule) -> bool:
    """Return whether what the breaker would stop is stopped, at least as far."""
    enough = {TradingState.HALTED, by.state}
    return any(
        stop.state in enough
        and (stop.scope is StopScope.GLOBAL or (stop.scope is by.scope and stop.scope_id == by.scope_id(account_id)))
        for stop in stops
    )


def show_count(now: datetime, by: Rule) -> None:
    """Show what the account has in the window that has most."""
    since = microseconds(now - by.window)
    counted = BreakerCount.objects.filter(last_at__gt=now - by.window).values_list("hits", flat=True)
    VIOLATION_COUNT.set(max((sum(each > since for each in hits) for hits in counted), default=0))


# ----------------------------------------------------------------------------------------------- engaging
def engage_pending(engage: Engage | None = None) -> int:
    """Engage the stops of trips that have none yet, and return how many were engaged. Never raises.

    Not within a transaction: a stop must not wait for one, nor vanish with it.
    """
    engaged = 0
    for trip in BreakerTrip.objects.filter(engaged_at__isnull=True).order_by("at", "pk"):
        if _claim(trip):
            engaged += _engage(trip, engage or do_engage_stop)
    return engaged


def _claim(trip: BreakerTrip) -> bool:
    """Return whether this process is the one that engages the stop."""
    now = timezone.now()
    mine = BreakerTrip.objects.filter(pk=trip.pk, engaged_at__isnull=True, attempts=trip.attempts, retry_at__lte=now)
    return bool(mine.update(attempts=trip.attempts + 1, retry_at=now + _PATIENCE))


def _engage(trip: BreakerTrip, engage: Engage) -> bool:
    try:
        # To engage the same stop once more, for a process that died before it could say that it had, makes no other.
        engage(
            acting=system(ACTOR),
            reason=trip.reason,
            trigger=Trigger.BREAKER,
            scope=StopScope(trip.scope),
            scope_id=trip.scope_id,
            state=TradingState(trip.state),
        )
    except Exception:
        # Whatever it was: the next one tries again, at once.
        logger.exception("the circuit breaker of %s has tripped, and its stop is not engaged yet", trip.account_id)
        BreakerTrip.objects.filter(pk=trip.pk).update(retry_at=timezone.now())
        return False
    BreakerTrip.objects.filter(pk=trip.pk).update(engaged_at=timezone.now())
    return True
