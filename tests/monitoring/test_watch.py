"""The watch over the monitor: its silence is told by one of those who watch, and is over when it looks again."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from api.key_uses import USES, KeyOutcome
from api.keys import do_create_key
from api.models import KeyUse
from audit.acting import system
from monitoring.watch import Outcome, Watch
from riskcore.types import RiskLevel
from riskportal import beside
from state.memory_store import MemoryStore
from state.store import StateUnavailable
from tests.contract.subjects import restored
from tests.emergency.world import database_away
from tests.support.patience import PATIENCE_S
from violations import outbox
from violations.models import Alert, AlertState, Violation

pytestmark = pytest.mark.django_db(transaction=True)

START_S = 1_790_000_000.0


class Installation:
    """A live state on a clock of its own, a monitor that may look, and what goes by that clock."""

    def __init__(self) -> None:
        self.now_s = START_S
        self.live = MemoryStore(clock=lambda: round(self.now_s * 1_000_000))
        restored(self.live)

    def watch(self, allowed_s: float = 5) -> Watch:
        return Watch(self.live, timedelta(seconds=allowed_s), clock=lambda: self.now_s)

    def monitor_looks(self) -> None:
        assert self.live.put_signal(RiskLevel.INFO, action_required=False, token=1)

    def pass_by(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def installation() -> Installation:
    return Installation()


@pytest.fixture
def away(monkeypatch) -> Callable[[], None]:
    """Call it, and the live state cannot be reached."""

    def refuse(*_arguments: object, **_named: object) -> None:
        raise StateUnavailable("gone")

    def go() -> None:
        for name in ("load", "hold_lease"):
            monkeypatch.setattr(MemoryStore, name, refuse)

    return go


def only_alert() -> Alert:
    found: Alert = Alert.objects.get()
    return found


def test_a_monitor_that_looks_is_no_news(installation: Installation) -> None:
    watch = installation.watch()
    for _ in range(20):
        installation.monitor_looks()
        installation.pass_by(1)
        assert watch.look() is Outcome.LOOKS
    assert not Violation.objects.exists()


def test_its_silence_is_told_once_and_over_when_it_looks_again(installation: Installation) -> None:
    watch = installation.watch()
    installation.monitor_looks()
    installation.pass_by(5)
    assert watch.look() is Outcome.LOOKS
    installation.pass_by(0.5)
    for _ in range(3):
        assert watch.look() is Outcome.SILENT
        installation.pass_by(1)
    alert = only_alert()
    assert (alert.level, alert.state, alert.times_published) == ("emergency", "firing", 1)
    assert "for 5.5 s" in alert.message
    assert "for 7.5 s" in Violation.objects.get().message
    installation.monitor_looks()
    assert watch.look() is Outcome.LOOKS
    assert only_alert().state == AlertState.RESOLVED


def test_while_all_is_well_the_database_is_not_asked_again(installation: Installation) -> None:
    watch = installation.watch()
    installation.monitor_looks()
    watch.look()
    with database_away():
        assert watch.look() is Outcome.LOOKS
        assert watch._is_settled


@pytest.mark.parametrize("before", ["it has never looked", "it looked an hour ago"])
def test_an_installation_that_starts_has_three_times_as_long(installation: Installation, before: str) -> None:
    if before == "it looked an hour ago":
        installation.monitor_looks()
        installation.pass_by(3_600)
    watch = installation.watch()
    installation.pass_by(14)
    assert watch.look() is Outcome.LOOKS
    installation.pass_by(2)
    assert watch.look() is Outcome.SILENT


def test_once_it_was_seen_at_work_it_has_no_longer(installation: Installation) -> None:
    watch = installation.watch()
    installation.monitor_looks()
    installation.pass_by(1)
    assert watch.look() is Outcome.LOOKS
    installation.pass_by(5)
    assert watch.look() is Outcome.SILENT


def test_a_restore_that_takes_its_time_is_told_as_what_it_is(installation: Installation) -> None:
    installation.live = MemoryStore(clock=lambda: round(installation.now_s * 1_000_000))
    watch = installation.watch()
    installation.pass_by(16)
    watch.look()
    assert "the live state is being restored" in only_alert().message


def test_a_live_state_that_is_away_is_watched_by_nobody_which_is_told(installation: Installation, away) -> None:
    watch = installation.watch()
    installation.monitor_looks()
    watch.look()
    away()
    installation.pass_by(4)
    assert watch.look() is Outcome.LOOKS
    installation.pass_by(2)
    assert watch.look() is Outcome.SILENT
    assert "the live state cannot be reached" in only_alert().message


class TestSeveral:
    def test_one_of_them_tells(self, installation: Installation) -> None:
        first, second = installation.watch(), installation.watch()
        installation.pass_by(16)
        assert [first.look(), second.look(), first.look()] == [Outcome.SILENT, Outcome.ELSEWHERE, Outcome.SILENT]

    def test_another_goes_on_where_one_has_died_and_says_what_is_over(self, installation: Installation) -> None:
        first, second = installation.watch(), installation.watch()
        installation.pass_by(16)
        first.look()
        second.look()
        installation.monitor_looks()
        installation.pass_by(2)
        assert second.look() is Outcome.LOOKS
        assert only_alert().state == AlertState.RESOLVED

    def test_together_without_the_live_state_they_make_one_alert(self, installation: Installation, away) -> None:
        watches = [installation.watch() for _ in range(3)]
        away()
        installation.pass_by(16)
        for watch in watches:
            assert watch.look() is Outcome.SILENT
        assert only_alert().times_published == 1


def test_without_the_database_it_is_told_on_the_bus_and_recorded_later(
    installation: Installation, settings, monkeypatch, caplog
) -> None:
    settings.NATS_URL = "nats://127.0.0.1:1"
    published: list[Any] = []
    monkeypatch.setattr(outbox, "publish", published.append)
    watch = installation.watch()
    installation.pass_by(16)
    with database_away():
        assert watch.look() is Outcome.SILENT
        assert watch.look() is Outcome.SILENT
    assert [event.subject for event in published] == ["risk.alerts.emergency"]
    assert "Nobody has looked at the accounts for 16.0 s" in caplog.text
    watch.look()
    assert only_alert().state == AlertState.FIRING


def test_a_process_watches_until_it_is_told_to_stop(installation: Installation, settings, monkeypatch) -> None:
    monkeypatch.setattr(beside, "store", lambda: installation.live)
    monkeypatch.setattr(beside, "_PAUSE_S", 0.01)
    looks: list[float] = []

    def look(_watch: Watch) -> Outcome:
        looks.append(time.monotonic())
        if len(looks) == 1:
            raise RuntimeError("whatever it is")
        return Outcome.LOOKS

    monkeypatch.setattr(Watch, "look", look)
    thread = beside.Beside()
    thread.start()
    until = time.monotonic() + PATIENCE_S
    while len(looks) < 3:
        assert time.monotonic() < until
        time.sleep(0.01)
    thread.stop()
    assert not any(each.is_alive() for each in thread._threads)


def test_a_process_that_ends_writes_what_keys_were_used_for(installation: Installation, monkeypatch) -> None:
    monkeypatch.setattr(beside, "store", lambda: installation.live)
    key = do_create_key(acting=system("root"), reason="r", name="oms", permissions=["check"])
    USES.count(key.row.pk, KeyOutcome.ADMITTED)
    thread = beside.Beside()
    thread.start()
    thread.stop()
    assert KeyUse.objects.get(key=key.row).admitted == 1
