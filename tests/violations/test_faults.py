"""What is wrong with the system itself: an episode and an alert, that no look at the accounts ends."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import httpx
import pytest
from django.db import connection

from bus.events import EmergencyRaised
from riskcore.book import PolicyType
from state.memory_store import MemoryStore
from state.store import StateUnavailable
from state.wiring import forget_stores
from tests.emergency.world import database_away
from tests.violations.subjects import at, broken, look, only_alert, only_violation
from violations import channels, faults, outbox
from violations.faults import SILENCE, fault, tell_faults
from violations.models import Alert, AlertState, BreakerCount, Delivery, Violation
from violations.observations import Observation

pytestmark = pytest.mark.django_db(transaction=True)

PART = "system.oms"


@pytest.fixture(autouse=True)
def nobody_has_told(settings, tmp_path, monkeypatch) -> None:
    settings.REDIS_URL, settings.RISK_DATA_DIR = "", tmp_path
    forget_stores()
    monkeypatch.setattr(faults, "_told_s", {})


@pytest.fixture
def published(monkeypatch, settings) -> list[Any]:
    """What was sent to NATS."""
    settings.NATS_URL = "nats://127.0.0.1:1"
    found: list[Any] = []
    monkeypatch.setattr(outbox, "publish", found.append)
    return found


def silent(who: str = "one", *, second: float = 0, **what: Any) -> Observation:
    fields: dict[str, Any] = {"name": "OMS lease", "level": PolicyType.HARD, "metric": SILENCE, "threshold": Decimal(5)}
    said = {"value": Decimal(5) + Decimal(second), "message": f"{who} is silent", "at": at(second)}
    return fault(PART, who, **{**fields, **said, **what})


def tell(second: float, *found: str, part: str = PART, **what: Any) -> bool:
    return tell_faults(part, [silent(each, second=second, **what) for each in found], at(second))


def test_silence_is_an_alert_until_it_is_over(caplog) -> None:
    assert tell(0, "one")
    alert = only_alert()
    assert (alert.level, alert.state, alert.metric) == ("critical", "firing", "silence_seconds")
    assert (alert.value, alert.threshold, alert.message) == (Decimal(5), Decimal(5), "one is silent")
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]
    assert tell(1)
    assert only_alert().state == AlertState.RESOLVED
    assert (only_violation().kind, only_violation().closed_at) == ("fault", at(1))


def test_it_is_told_once_however_long_it_lasts(settings, caplog) -> None:
    for second in range(10):
        tell(second, "one")
    assert (only_alert().times_published, only_violation().observations) == (1, 10)
    assert only_violation().worst_value == 14
    assert len([each for each in caplog.records if each.levelname == "CRITICAL"]) == 1


def test_each_is_told_by_itself() -> None:
    tell(0, "one", "two")
    tell(1, "two")
    states = dict(Alert.objects.values_list("policy_id", "state"))
    assert states == {f"{PART}:one": "resolved", f"{PART}:two": "firing"}


def test_what_is_over_of_one_part_says_nothing_of_another() -> None:
    tell(0, "one")
    tell_faults("system.monitor", [], at(1))
    tell_faults("system", [], at(1))
    assert only_alert().state == AlertState.FIRING


def test_what_came_too_late_opens_nothing_again() -> None:
    tell(3, "one")
    tell(4)
    tell(3.5, "one")
    assert only_alert().state == AlertState.RESOLVED


def test_a_look_at_the_accounts_ends_no_fault_and_a_fault_no_episode() -> None:
    look(0, broken(account_id=""), accounts=("",))
    tell(1, "one")
    look(2, accounts=("",))
    assert sorted(Alert.objects.values_list("policy_name", "state")) == [
        ("Max Leverage", "resolved"),
        ("OMS lease", "firing"),
    ]


def test_it_does_not_count_for_the_breaker(settings) -> None:
    settings.RISK_BREAKER_COUNT = 2
    for second in range(5):
        tell(second, "one", account_id="A")
    assert not BreakerCount.objects.exists()


def test_of_many_who_tell_at_once_it_is_told_once() -> None:
    def go(number: int) -> None:
        tell(number / 10, "one")
        connection.close()

    threads = [threading.Thread(target=go, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert only_alert().times_published == 1
    assert Violation.objects.count() == 1


class TestWithoutTheDatabase:
    def test_it_is_told_on_the_bus_once_and_recorded_later(self, published, caplog) -> None:
        with database_away():
            assert not tell(0, "one", level=PolicyType.EMERGENCY)
            assert not tell(1, "one", level=PolicyType.EMERGENCY)
        (event,) = published
        assert isinstance(event, EmergencyRaised)
        assert (event.policy_id, event.metric_value, event.message) == (f"{PART}:one", Decimal(5), "one is silent")
        assert len([each for each in caplog.records if each.levelname == "CRITICAL"]) == 1
        assert tell(2, "one", level=PolicyType.EMERGENCY)
        assert only_alert().state == AlertState.FIRING
        assert [each.channel for each in Delivery.objects.all()] == ["nats"]

    def test_each_is_told_by_itself(self, published) -> None:
        with database_away():
            tell(0, "one")
            tell(1, "one", "two")
        assert [event.message for event in published] == ["one is silent", "two is silent"]

    def test_without_the_live_state_too_each_process_tells_it_once(self, published, monkeypatch) -> None:
        def away(*_arguments: object) -> None:
            raise StateUnavailable("gone")

        monkeypatch.setattr(MemoryStore, "hold_lease", away)
        with database_away():
            tell(0, "one")
            tell(1, "one")
        assert len(published) == 1

    def test_a_webhook_hears_of_it_and_its_failure_ends_nothing(self, settings, monkeypatch, caplog, published) -> None:
        settings.RISK_ALERT_WEBHOOK_URL = "https://hooks.example/secret"

        def fail(_event: object) -> None:
            raise httpx.ConnectError("no route to https://hooks.example/secret")

        monkeypatch.setattr(channels, "send_webhook", fail)
        with database_away():
            assert not tell(0, "one")
        assert len(published) == 1
        assert "was not sent by webhook: ConnectError" in caplog.text
        assert "secret" not in caplog.text

    def test_nothing_wrong_is_nothing_told(self, published) -> None:
        with database_away():
            assert not tell(0)
        assert published == []
