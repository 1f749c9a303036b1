"""One second of the monitor: what it says of the firm, what it records, what it stops, and that it is alone."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from django.db import OperationalError
from msgspec.structs import replace

from bus.events import MetricsTick
from emergency.models import EmergencyStop
from feeds.books import BOOKS
from monitoring.accounts import Accounts
from monitoring.metrics import SKIPPED, UNTOLD
from monitoring.shards import EVERYTHING
from monitoring.tick import Monitor, Outcome
from riskcore.ports import Load, Loaded
from riskcore.types import RiskLevel, Side, TradingState
from riskportal.restore import Outcome as Restored
from riskportal.restore import restore_if_empty
from tests.emergency.world import ACCOUNTS, World, engage, lift, long, order, person
from tests.monitoring.conftest import INTERVAL
from tests.support.patience import PATIENCE_S
from violations.models import Alert, Violation

MINUTE_US = 60_000_000


def signal(world: World):
    return world.store.load(Load(accounts=())).signal


def skipped() -> float:
    return float(SKIPPED._value.get())


def fall(world: World, account_id: str, equity: int) -> None:
    """Report that an account that had a million has so much left."""
    world.feed(account_id=account_id, equity=equity)


# ----------------------------------------------------------------------------------------- what it says
def test_the_firm_s_risk_is_told_to_every_check(world: World, monitor: Monitor) -> None:
    assert monitor.tick() is Outcome.LOOKED
    found = signal(world)
    assert (found.risk_level, found.action_required) == (RiskLevel.INFO, False)
    assert world.approves()


def test_while_the_firm_is_at_its_limits_only_what_reduces_passes(world: World, monitor: Monitor, settings) -> None:
    settings.RISK_BREAKER_COUNT = 0
    for account_id in ACCOUNTS:
        world.feed(long(quantity="3.7"), account_id=account_id)  # 925,000 of 1,000,000 that are allowed
    assert monitor.tick() is Outcome.LOOKED
    assert signal(world).risk_level is RiskLevel.CRITICAL
    assert world.check(order()).reason == "global_risk_critical"
    assert world.check(order(side=Side.SELL)).approved


# --------------------------------------------------------------------------------------- what it records
def test_a_broken_limit_is_an_episode_and_an_alert_until_it_holds_again(world: World, monitor: Monitor) -> None:
    world.feed(long(quantity="11"), account_id="desk-1")  # 550,000 of BTCUSDT, of 500,000 that are allowed
    assert monitor.tick() is Outcome.LOOKED
    assert monitor.tick() is Outcome.LOOKED
    row = Violation.objects.get(account_id="desk-1", policy_name="Max BTCUSDT Position")
    assert (row.symbol, row.worst_value, row.closed_at) == ("BTCUSDT", Decimal(550_000), None)
    assert Alert.objects.get(account_id="desk-1", policy_name="Max BTCUSDT Position").level == "critical"
    world.feed(account_id="desk-1")
    assert monitor.tick() is Outcome.LOOKED
    row.refresh_from_db()
    assert row.closed_at is not None


def test_an_account_that_cannot_be_looked_at_keeps_its_episodes(world: World, monitor: Monitor) -> None:
    world.feed(long(quantity="11"), account_id="desk-1")
    monitor.tick()
    before = Violation.objects.filter(closed_at=None).count()
    world.lose()
    assert Monitor(world.store, BOOKS, INTERVAL, holder="one").tick() is Outcome.RECOVERING
    assert Violation.objects.filter(closed_at=None).count() == before > 0


# ----------------------------------------------------------------------------------------- what it stops
def test_a_broken_emergency_limit_stops_the_account_and_no_other(world: World, monitor: Monitor) -> None:
    fall(world, "desk-1", 740_000)
    assert monitor.tick() is Outcome.LOOKED
    stop = EmergencyStop.objects.get()
    assert (stop.scope, stop.scope_id, stop.state, stop.trigger) == ("account", "desk-1", "HALTED", "policy")
    assert "breaks" in stop.reason
    assert not world.approves()
    assert world.approves(account_id="desk-2")


def test_a_stop_is_asked_for_once(world: World, monitor: Monitor) -> None:
    fall(world, "desk-1", 740_000)
    for _ in range(3):
        assert monitor.tick() is Outcome.LOOKED
    assert EmergencyStop.objects.get().steps.filter(what="asked_again").count() == 0


def test_a_stop_that_closes_nothing_is_followed_by_one_that_does_where_that_is_wanted(
    world: World, monitor: Monitor, settings
) -> None:
    settings.RISK_EMERGENCY_UNWIND = True
    engage(scope="account", scope_id="desk-1")
    fall(world, "desk-1", 740_000)
    for _ in range(3):
        monitor.tick()
    (made,) = EmergencyStop.objects.filter(trigger="policy")
    assert (made.scope_id, made.unwind) == ("desk-1", True)


def test_what_two_people_bear_is_not_stopped_again_while_it_goes_on(world: World, monitor: Monitor) -> None:
    fall(world, "desk-1", 740_000)  # an emergency limit and two hard ones are broken
    assert monitor.tick() is Outcome.LOOKED
    lift(scope="account", scope_id="desk-1", by=person("bob"), force=True)
    lift(scope="account", scope_id="desk-1", by=person("carol"), force=True)
    for _ in range(7):
        assert monitor.tick() is Outcome.LOOKED
    assert EmergencyStop.objects.filter(lifted_at=None).count() == 0
    fall(world, "desk-1", 1_000_000)
    monitor.tick()
    fall(world, "desk-1", 740_000)
    monitor.tick()
    assert EmergencyStop.objects.filter(lifted_at=None, scope_id="desk-1").count() == 1


def test_while_the_database_is_away_a_breach_stops_whoever_bore_it(world: World, monitor: Monitor, monkeypatch) -> None:
    def away(*_arguments):
        raise OperationalError("gone")

    fall(world, "desk-1", 740_000)
    monkeypatch.setattr("monitoring.tick.lifted_in_spite", away)
    assert monitor.tick() is Outcome.LOOKED
    assert not world.approves()


def test_where_the_whole_firm_falls_everything_stops(world: World, monitor: Monitor) -> None:
    for account_id in ACCOUNTS:
        fall(world, account_id, 740_000)
    assert monitor.tick() is Outcome.LOOKED
    assert signal(world).action_required
    assert "global" in set(EmergencyStop.objects.values_list("scope", flat=True))
    assert not any(world.approves(account_id=account_id) for account_id in ACCOUNTS)


def test_stops_that_take_longer_than_an_interval_are_gone_on_with_at_the_next_look(world: World, monkeypatch) -> None:
    moments = iter(range(100, 10_000, 10))  # ten seconds from one look at the clock to the next
    for account_id in ACCOUNTS[2:]:
        world.feed(account_id=account_id, equity=5_000_000)  # the firm as a whole is far from its limits
    for account_id in ACCOUNTS[:2]:
        fall(world, account_id, 740_000)
    monitor = Monitor(world.store, BOOKS, timedelta(minutes=1), holder="one")
    with monkeypatch.context() as context:
        context.setattr("monitoring.tick.time.monotonic", lambda: next(moments))
        context.setattr(monitor, "_interval_s", 1.0)
        assert monitor.tick() is Outcome.LOOKED
    assert EmergencyStop.objects.count() == 1
    assert monitor.tick() is Outcome.LOOKED
    assert set(EmergencyStop.objects.values_list("scope_id", flat=True)) == set(ACCOUNTS[:2])


def test_an_account_that_only_reduces_is_stopped_all_the_same(world: World, monitor: Monitor) -> None:
    engage(scope="account", scope_id="desk-1", state=TradingState.REDUCING)
    fall(world, "desk-1", 740_000)
    monitor.tick()
    assert EmergencyStop.objects.filter(state="HALTED", scope_id="desk-1").exists()


def test_five_looks_at_a_broken_hard_limit_trip_the_breaker_once(world: World, monitor: Monitor) -> None:
    world.feed(long(quantity="11"), account_id="desk-1")
    for _ in range(7):
        assert monitor.tick() is Outcome.LOOKED
    assert EmergencyStop.objects.filter(trigger="breaker", scope_id="desk-1").count() == 1
    assert not world.approves()


# ---------------------------------------------------------------------------------------------- alone
def test_of_two_monitors_one_looks(world: World, monitor: Monitor) -> None:
    other = Monitor(world.store, BOOKS, INTERVAL, holder="other")
    assert [monitor.tick(), other.tick(), monitor.tick()] == [Outcome.LOOKED, Outcome.ELSEWHERE, Outcome.LOOKED]


def test_whoever_has_the_next_tick_looks(world: World, monitor: Monitor) -> None:
    one, other = (Monitor(world.store, BOOKS, timedelta(milliseconds=500), holder=name) for name in ("one", "other"))
    assert [tick_when_free(each) for each in (one, other, one)] == [Outcome.LOOKED] * 3


def tick_when_free(monitor: Monitor) -> Outcome:
    """Tick as soon as nobody rests from the last one."""
    while (outcome := monitor.tick()) is Outcome.ELSEWHERE:
        time.sleep(0.01)
    return outcome


def test_another_takes_over_from_one_that_is_silent(world: World, monitor: Monitor) -> None:
    short = Monitor(world.store, BOOKS, timedelta(microseconds=1), holder="short")
    short.tick()
    assert monitor.tick() is Outcome.LOOKED


def test_one_that_froze_while_looking_says_nothing_any_more(world: World, monitor: Monitor, monkeypatch) -> None:
    look = Accounts.look
    fall(world, "desk-1", 740_000)

    def frozen(*arguments, **named):
        """Look, then sleep for so long that another has looked meanwhile."""
        seen = look(*arguments, **named)
        later = world.store.hold_lease(EVERYTHING.lease, "one", 1)
        assert later
        while world.store.hold_lease(EVERYTHING.lease, "other", MINUTE_US) is None:
            pass
        assert world.store.put_signal(RiskLevel.INFO, action_required=False, token=later + 10**9)
        return seen

    monkeypatch.setattr("monitoring.accounts.Accounts.look", frozen)
    assert monitor.tick() is Outcome.TOO_LATE
    assert signal(world).risk_level is RiskLevel.INFO
    assert not EmergencyStop.objects.exists()
    assert not Violation.objects.exists()


def test_one_that_froze_after_its_signal_records_nothing(world: World, monitor: Monitor, monkeypatch) -> None:
    world.feed(long(quantity="11"), account_id="desk-1")

    def freeze(*_arguments):
        world.store.hold_lease(EVERYTHING.lease, "one", 1)
        while world.store.hold_lease(EVERYTHING.lease, "other", MINUTE_US) is None:
            pass

    monkeypatch.setattr("monitoring.tick._stop", freeze)
    assert monitor.tick() is Outcome.TOO_LATE
    assert not Violation.objects.exists()


def test_a_tick_that_is_due_while_one_runs_is_left_out_and_counted(world: World, monitor: Monitor, monkeypatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    look = Accounts.look

    def slow(*arguments, **named):
        begun.set()
        assert go_on.wait(PATIENCE_S)
        return look(*arguments, **named)

    monkeypatch.setattr("monitoring.accounts.Accounts.look", slow)
    thread = threading.Thread(target=monitor.tick)
    thread.start()
    assert begun.wait(PATIENCE_S)
    before = skipped()
    assert monitor.tick() is Outcome.BUSY
    go_on.set()
    thread.join()
    assert skipped() == before + 1


def test_ticks_that_nobody_made_are_counted_whoever_looks_next(world: World, monitor: Monitor, monkeypatch) -> None:
    other = Monitor(world.store, BOOKS, INTERVAL, holder="other")
    load = type(world.store).load
    monitor.tick()
    for intervals, missed in ((1.1, 0), (4, 3)):
        before = skipped()
        with monkeypatch.context() as patch:
            patch.setattr(type(world.store), "load", lambda *what, later=intervals: _later(load(*what), later))
            other._count_skipped()
        assert skipped() == before + missed


def _later(loaded: Loaded, intervals: float) -> Loaded:
    return replace(loaded, now_us=loaded.now_us + intervals * INTERVAL // timedelta(microseconds=1))


def test_before_any_state_there_is_nothing_to_see(world: World, settings) -> None:
    settings.RISK_RECOVERY_HOLD = timedelta(0)
    world.lose()
    assert restore_if_empty(world.store).outcome is Restored.RESTORED
    assert Monitor(world.store, BOOKS, INTERVAL).tick() is Outcome.NOTHING_TO_SEE
    assert signal(world).risk_level is RiskLevel.UNKNOWN


@pytest.mark.parametrize("what", ["store", "database"])
def test_the_task_goes_on_while_something_is_away(world: World, monkeypatch, caplog, what) -> None:
    from monitoring import tasks
    from state.store import StateUnavailable

    error = StateUnavailable("gone") if what == "store" else OperationalError("gone")

    def fail(_self):
        raise error

    monkeypatch.setattr(tasks, "_monitors", {})
    monkeypatch.setattr(Monitor, "tick", fail)
    tasks.tick()
    assert "not watched for now" in caplog.text


def test_what_was_seen_is_told_some_accounts_in_a_message(world: World, monitor: Monitor, monkeypatch) -> None:
    told: list[MetricsTick] = []
    monkeypatch.setattr("monitoring.telling.bus.publish", told.append)
    monkeypatch.setattr("monitoring.telling._TOGETHER", 4)
    assert monitor.tick() is Outcome.LOOKED
    assert [(one.part, one.parts, len(one.accounts)) for one in told] == [(1, 2, 4), (2, 2, 2)]
    message = msgspec.json.decode(told[0].payload())
    firm, first = message["accounts"][:2]
    assert (firm["account_id"], firm["metrics"]["gross_exposure"]) == ("", "0")
    assert (first["account_id"], first["risk_level"], first["risk_score"]) == ("desk-1", "INFO", "0.00")
    assert list(message) == ["at", "part", "parts", "accounts"]


def test_while_nats_is_away_what_was_seen_does_not_pile_up(world: World, monitor: Monitor, monkeypatch) -> None:
    told: list[MetricsTick] = []
    monkeypatch.setattr("monitoring.telling.bus.publish", told.append)
    monkeypatch.setattr("monitoring.telling.bus.waiting", lambda: 101)
    before = UNTOLD._value.get()
    assert monitor.tick() is Outcome.LOOKED
    assert told == []
    assert UNTOLD._value.get() == before + 1


def test_what_has_changed_since_is_told_as_it_is_now(world: World, monitor: Monitor, monkeypatch) -> None:
    told: list[MetricsTick] = []
    monkeypatch.setattr("monitoring.telling.bus.publish", told.append)
    monitor.tick()
    world.feed(long(quantity="2"), account_id="desk-2")
    monitor.tick()
    figures = [
        {one["account_id"]: one["metrics"]["gross_exposure"] for one in msgspec.json.decode(each.payload())["accounts"]}
        for each in told
    ]
    assert figures[0] == {**dict.fromkeys(ACCOUNTS, "0"), "": "0"}
    assert figures[1] == {**dict.fromkeys(ACCOUNTS, "0"), "": "100000", "desk-2": "100000"}
