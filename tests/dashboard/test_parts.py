"""Each section of a picture: what the live state, the record and the monitor say."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from bus.events import MetricsTick
from dashboard.looking import Looking
from dashboard.parts import Reader
from dashboard.pictures import View
from dashboard.telling import Told
from feeds.books import BOOKS
from monitoring.tick import Monitor
from policies.models import Policy
from policies.services import do_create_account
from riskcore.ports import StopScope
from riskcore.types import TradingState
from tests.emergency.world import ACCOUNTS, World, database_away, engage, lift, long, order
from violations.models import Alert, Violation

pytestmark = pytest.mark.django_db(transaction=True)

EVERYTHING = View()
FIRST = View(accounts=frozenset({ACCOUNTS[0]}))
MARKUP = "<img src=x onerror=alert(1)>"


class House:
    """One who looks at a world, and a monitor that tells them."""

    def __init__(self, world: World, monkeypatch) -> None:
        self.world, self.told = world, Told()
        monkeypatch.setattr("monitoring.telling.bus.publish", self._hear)
        self.monitor = Monitor(world.store, BOOKS, timedelta(seconds=1), holder="one")
        self.looking = Looking(self.told, Reader(world.store, self.told).parts())

    def _hear(self, event: MetricsTick) -> None:
        self.looking.hear(event.subject, event.payload())

    def see(self, view: View = EVERYTHING) -> dict[str, dict[str, Any]]:
        """Have everything read now, and return it as somebody sees it."""
        self.looking.hear("risk.test", b"")
        found = self.looking.look(sorted(view.watched))
        return {
            name: {key: json.loads(bytes(raw)) for key, raw in section.seen(view).items()}
            for name, section in found.items()
        }


@pytest.fixture
def house(trading: World, monkeypatch, settings) -> House:
    settings.NATS_URL = settings.RISK_ALERT_WEBHOOK_URL = ""
    settings.RISK_ALERT_EMAIL_TO = []
    return House(trading, monkeypatch)


def trouble(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: each["why"] for name, each in found["trouble"].items()}


# -------------------------------------------------------------------------------------------- what is not known
def test_before_the_monitor_has_looked_nothing_is_said_of_accounts(house):
    found = house.see()
    assert found["accounts"] == {}
    assert found["health"]["now"]["monitor_at"] is None
    assert found["trouble"] == {}


def test_a_live_state_that_is_lost_is_said_to_recover(house):
    house.see()
    house.world.lose()
    looking = Looking(house.told, Reader(house.world.store, house.told).parts())
    found = {name: dict(section.seen(EVERYTHING)) for name, section in looking.look(()).items()}
    assert json.loads(bytes(found["trading"]["now"]))["state"] == "RECOVERING"
    assert {"limits", "firm", "accounts", "book"} <= found["trouble"].keys()


def test_without_the_database_the_record_stays_as_it_was_and_the_rest_goes_on(house):
    before = house.see()
    house.world.feed(long(quantity="2"))
    with database_away():
        found = house.see()
    assert trouble(found) == dict.fromkeys(("alerts", "violations", "book"), "the database cannot be reached")
    assert found["book"] == before["book"]
    assert found["limits"] != before["limits"]


# -------------------------------------------------------------------------------------------------- what is so
def test_accounts_are_as_the_monitor_saw_them(house):
    house.world.feed(long(quantity="2"), account_id=ACCOUNTS[1])
    house.monitor.tick()
    found = house.see()
    assert found["accounts"].keys() == set(ACCOUNTS)
    one = found["accounts"][ACCOUNTS[1]]
    assert (one["gross_exposure"], one["equity"], one["state"]) == ("100000.00", "1000000.00", "ACTIVE")
    assert one["binding"]
    firm = found["firm"]["now"]
    assert (firm["accounts"], sum(firm["by_level"].values())) == (5, 5)
    assert firm["metrics"]["gross_exposure"] == "100000"


def test_of_a_limit_the_account_is_named_that_uses_most_of_it(house):
    house.world.feed(long(quantity="2"), account_id=ACCOUNTS[1])
    house.world.feed(long(quantity="1"), account_id=ACCOUNTS[0])
    limit = str(Policy.objects.get(name="Max BTCUSDT Position").pk)
    assert (house.see()["limits"][limit]["account_id"], house.see()["limits"][limit]["utilisation"]) == (
        ACCOUNTS[1],
        "0.200000",
    )
    assert house.see(FIRST)["limits"][limit]["account_id"] == ACCOUNTS[0]


def test_a_limit_of_the_firm_is_the_firms(house):
    house.world.feed(long(quantity="2"))
    limit = str(Policy.objects.get(name="Max Gross Exposure").pk)
    assert (house.see()["limits"][limit]["account_id"], house.see()["limits"][limit]["value"]) == (None, "500000")
    assert house.see(FIRST)["limits"][limit]["value"] == "100000"


def test_a_stop_is_there_at_once_with_its_reason(house):
    made = engage(scope=StopScope.ACCOUNT, scope_id=ACCOUNTS[0], reason=MARKUP)
    house.monitor.tick()
    found = house.see()
    assert found["trading"]["now"] == {"state": "ACTIVE", "stops": 1}
    assert found["stops"][made.stop_id]["reason"] == MARKUP
    states = {name: each["state"] for name, each in found["accounts"].items()}
    assert states == {**dict.fromkeys(ACCOUNTS, "ACTIVE"), ACCOUNTS[0]: "HALTED"}
    lift(made.stop_id)
    assert house.see()["stops"] == {}


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.REDUCING])
def test_a_stop_of_everything_is_the_trading_state(house, state):
    engage(state=state)
    assert house.see()["trading"]["now"] == {"state": state.value, "stops": 1}


def test_accounts_that_no_order_passes_in_are_named(house):
    assert house.see()["stale"] == {}
    do_create_account(actor="test", reason="test", account_id="desk-6", profile="normal")
    assert house.see()["stale"] == {"desk-6": {"state_at": None}}


def test_the_book_says_who_published_it_and_why(house):
    book = house.see()["book"]["now"]
    assert book["version"] >= 1
    assert book["reason"]


def test_alerts_and_violations_are_what_the_lists_of_the_api_say(house):
    house.world.feed(long(quantity="11"), account_id=ACCOUNTS[0])  # 550,000 of 500,000
    house.monitor.tick()
    found = house.see()
    assert {each["policy_name"] for each in found["alerts"].values()} >= {"Max BTCUSDT Position"}
    assert found["alerts"].keys() == {str(key) for key in Alert.objects.values_list("pk", flat=True)}
    assert found["violations"].keys() == {str(key) for key in Violation.objects.values_list("pk", flat=True)}


def test_what_is_broken_now_is_not_crowded_out_by_blocked_orders(house, monkeypatch):
    house.world.feed(long(quantity="11"), account_id=ACCOUNTS[0])
    house.monitor.tick()
    broken = set(house.see()["violations"])
    assert broken
    some = Violation.objects.all()[0]
    later = timezone.now()
    for number in range(5):
        Violation(
            **{field.attname: getattr(some, field.attname) for field in Violation._meta.fields if not field.primary_key}
            | {"kind": "block", "symbol": f"S{number}", "opened_at": later, "worst_at": later, "last_at": later}
        ).save()
    monkeypatch.setattr("dashboard.parts._MOST_ROWS", len(broken) + 2)
    found = house.see()["violations"]
    assert broken <= found.keys()
    assert len(found) == len(broken) + 2


def test_what_is_over_for_long_is_not_shown(house):
    house.world.feed(long(quantity="11"), account_id=ACCOUNTS[0])
    house.monitor.tick()
    assert house.see()["alerts"]
    long_ago = timezone.now() - timedelta(days=2)
    Alert.objects.update(raised_at=long_ago, resolved_at=long_ago, state="resolved")
    Violation.objects.update(opened_at=long_ago, worst_at=long_ago, last_at=long_ago, closed_at=long_ago)
    found = house.see()
    assert (found["alerts"], found["violations"]) == ({}, {})


def test_a_watched_account_has_everything(house):
    house.world.feed(long(quantity="2"), account_id=ACCOUNTS[0])
    house.world.check(order(order_id="held"))
    one = house.see(View(watched=frozenset({ACCOUNTS[0], "nobody"})))["watched"]
    assert one.keys() == {ACCOUNTS[0]}
    found = one[ACCOUNTS[0]]
    assert [each["symbol"] for each in found["positions"]] == ["BTCUSDT"]
    assert [each["order_id"] for each in found["reservations"]] == ["held"]
    headrooms = {each["name"]: each["headroom"] for each in found["limits"]}
    assert headrooms["Max BTCUSDT Position"] == "399950"  # 100,000 held, 50 ordered


# ---------------------------------------------------------------------------------------------- who may see what
def test_who_is_for_one_account_sees_that_and_nothing_of_the_firm(house):
    house.world.feed(long(quantity="11"))
    house.monitor.tick()
    other = engage(scope=StopScope.ACCOUNT, scope_id=ACCOUNTS[1])
    everything = engage()
    found = house.see(FIRST)
    assert found["accounts"].keys() == {ACCOUNTS[0]}
    assert found["firm"] == {}
    assert {each["account_id"] for each in found["alerts"].values()} == {ACCOUNTS[0]}
    assert {each["account_id"] for each in found["violations"].values()} == {ACCOUNTS[0]}
    assert {each["account_id"] for each in found["limits"].values()} == {ACCOUNTS[0]}
    assert other.stop_id not in found["stops"]
    assert found["stops"][everything.stop_id]["residuals"] is None
    said = json.dumps(found)
    assert not any(each in said for each in ACCOUNTS[1:])
