"""The circuit breaker: so many hard violations of one account in so long stop it, once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from audit.acting import system
from emergency.words import Trigger
from riskcore.ports import Stop, StopScope
from riskcore.types import TradingState
from state.store import StateUnavailable
from tests.violations.subjects import at, broken, look
from violations import breaker
from violations.metrics import TRIPS, VIOLATION_COUNT
from violations.models import BreakerCount, BreakerTrip

pytestmark = pytest.mark.django_db(transaction=True)


class Stops:
    """Engages stops, as the emergency package does, and is the live state that has them."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.in_force: tuple[Stop, ...] = ()
        self.failures = 0
        self.away = False

    def __call__(self, **asked: Any) -> object:
        if self.failures:
            self.failures -= 1
            raise StateUnavailable("connection refused")
        self.calls.append(asked)
        self.put(asked["scope"], asked["scope_id"], asked["state"])
        return object()

    def put(self, scope: StopScope, scope_id: str, state: TradingState) -> None:
        self.in_force = (*self.in_force, Stop(id="s", scope=scope, scope_id=scope_id, state=state))

    def stops(self) -> tuple[int, tuple[Stop, ...]]:
        if self.away:
            raise StateUnavailable("connection refused")
        return 1, self.in_force


@pytest.fixture
def stops(settings, monkeypatch) -> Stops:
    """The breaker as it is by default, and what it engages."""
    settings.RISK_BREAKER_COUNT = 5
    found = Stops()
    monkeypatch.setattr(breaker, "store", lambda: found)
    monkeypatch.setattr(breaker, "do_engage_stop", found)
    return found


@pytest.fixture
def watch(stops) -> Callable[..., None]:
    """Look some seconds long at a hard limit that is broken."""

    def looks(seconds: int, *, start: int = 0, step: float = 1, **fields: Any) -> None:
        account = fields.get("account_id", "A")
        for number in range(seconds):
            look(start + number * step, broken(**fields), accounts=(account,))

    return looks


# ---------------------------------------------------------------------------------------- what trips nothing
def test_four_violations_trip_nothing(stops, watch):
    watch(4)
    assert not stops.calls


@pytest.mark.parametrize("kind", ["soft", "emergency"])
def test_only_hard_limits_count(stops, watch, kind):
    watch(9, policy_type=kind)
    assert not stops.calls


def test_five_in_longer_than_the_window_trip_nothing(stops, watch):
    watch(9, step=15)
    assert not stops.calls


def test_those_of_two_accounts_are_not_added_up(stops, watch):
    watch(4)
    watch(4, account_id="B")
    assert not stops.calls


def test_those_of_the_firm_stop_no_account(stops, watch):
    watch(9, account_id="")
    assert not stops.calls


def test_a_look_that_was_taken_before_counts_once(stops):
    for _ in range(9):
        look(1, broken())
    assert not stops.calls


def test_count_zero_never_trips(stops, watch, settings):
    settings.RISK_BREAKER_COUNT = 0
    watch(9)
    assert not stops.calls
    assert not BreakerCount.objects.exists()


def test_an_account_that_is_stopped_trips_nothing(stops, watch):
    watch(30)
    assert len(stops.calls) == BreakerTrip.objects.count() == 1


@pytest.mark.parametrize(("scope", "scope_id"), [(StopScope.GLOBAL, ""), (StopScope.ACCOUNT, "A")])
def test_neither_does_one_that_somebody_else_stopped(stops, watch, scope, scope_id):
    stops.put(scope, scope_id, TradingState.HALTED)
    watch(9)
    assert not stops.calls


def test_two_pending_trips_of_one_scope_are_refused_by_the_database():
    for _ in range(2):
        trip = BreakerTrip(account_id="A", at=at(0), violations=5, window_s=60, scope="account", scope_id="A")
        trip.state, trip.reason, trip.retry_at = "HALTED", "x", at(0)
        if BreakerTrip.objects.exists():
            with pytest.raises(IntegrityError, match=r"(?i)unique"), transaction.atomic():
                trip.save()
        else:
            trip.save()


# ------------------------------------------------------------------------------------------------ what trips
def test_the_fifth_in_a_minute_halts_the_account(stops, watch):
    before = TRIPS._value.get()
    watch(5, step=14)
    (asked,) = stops.calls
    assert asked == {
        "reason": "5 hard violations in 60 s in account A",
        "acting": system("circuit breaker"),
        "trigger": Trigger.BREAKER,
        "scope": StopScope.ACCOUNT,
        "scope_id": "A",
        "state": TradingState.HALTED,
    }
    assert TRIPS._value.get() == before + 1
    assert BreakerTrip.objects.get().engaged_at is not None


def test_several_limits_at_once_count_each(stops):
    look(0, *(broken(policy_id=f"p-{number}") for number in range(5)))
    assert len(stops.calls) == 1


def test_what_it_stops_can_be_chosen(stops, watch, settings):
    settings.RISK_BREAKER_COUNT, settings.RISK_BREAKER_WINDOW = 2, timedelta(seconds=3)
    settings.RISK_BREAKER_SCOPE, settings.RISK_BREAKER_STATE = "global", "REDUCING"
    watch(2, step=4)
    assert not stops.calls
    watch(2, start=10, step=2)
    (asked,) = stops.calls
    assert (asked["scope"], asked["scope_id"], asked["state"]) == (StopScope.GLOBAL, "", TradingState.REDUCING)


def test_two_accounts_that_trip_the_same_stop_at_once_trip_it_once(stops, settings):
    settings.RISK_BREAKER_COUNT, settings.RISK_BREAKER_SCOPE = 1, "global"
    look(0, broken(), broken(account_id="B"), accounts=("A", "B"))
    assert len(stops.calls) == 1


def test_a_stop_that_only_reduces_does_not_keep_it_from_halting(stops, watch):
    stops.put(StopScope.ACCOUNT, "A", TradingState.REDUCING)
    watch(5)
    assert len(stops.calls) == 1


def test_once_trading_is_on_again_it_counts_from_the_beginning(stops, watch):
    watch(7)
    stops.in_force = ()
    watch(2, start=7)  # two were counted while it was stopped
    assert len(stops.calls) == 1
    watch(1, start=9)
    assert len(stops.calls) == 2


def test_a_stop_that_cannot_be_engaged_is_tried_until_it_is(stops, watch):
    stops.failures = 2
    watch(5)
    assert not stops.calls
    assert BreakerTrip.objects.get().engaged_at is None
    assert breaker.engage_pending() == 0
    assert breaker.engage_pending() == 1
    assert breaker.engage_pending() == 0
    assert (len(stops.calls), BreakerTrip.objects.get().attempts) == (1, 3)


def test_with_the_live_state_away_it_trips_all_the_same(stops, watch):
    stops.away = True
    watch(5)
    assert len(stops.calls) == 1


def test_the_gauge_shows_the_account_that_has_most(stops, watch):
    watch(3, account_id="B")
    watch(2, start=3)
    assert VIOLATION_COUNT._value.get() == 3
    look(63, accounts=("A", "B"))
    assert VIOLATION_COUNT._value.get() == 1
