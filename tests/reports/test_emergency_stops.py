"""The report on emergency stops: who, why, how soon, what was left, who lifted them, and who is given which."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from emergency.models import EmergencyStop, StopStep
from emergency.notes import AccountThen, StopNote
from emergency.records import record_stop
from emergency.words import Trigger
from policies.defaults import ensure_defaults
from policies.models import Policy
from reports.datasets.emergency_stops import EmergencyStops
from reports.table import Asked
from riskcore.calendar import microseconds
from riskcore.ports import StopScope
from riskcore.types import TradingState
from tests.reports.asking import ALL, cells, chart, column, figure
from tests.support.evidence import keep

pytestmark = pytest.mark.django_db

REPORT = EmergencyStops()
START = datetime(2026, 3, 2, 14, 3, 7, tzinfo=UTC)
MINE = frozenset({"desk-1"})


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def stopped(second: float = 0, *, accounts: tuple[str, ...] = (), **fields: Any) -> EmergencyStop:
    """Return a stop of everything that alice asked for, in force 250 us later."""
    wanted: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "scope": StopScope.GLOBAL,
        "scope_id": "",
        "state": TradingState.HALTED,
        "reason": "a test",
        "triggered_by": "alice",
        "trigger": Trigger.PERSON,
        "unwind": True,
        "actor": "alice",
        "asked_at_us": microseconds(at(second)),
        "engaged_at_us": microseconds(at(second)) + 250,
    }
    note = StopNote(**{**wanted, **fields})
    record_stop(note, [AccountThen(account_id=each, version=1, state="") for each in accounts])
    found: EmergencyStop = EmergencyStop.objects.get(pk=note.id)
    return found


def of_account(account_id: str, second: float = 0) -> EmergencyStop:
    return stopped(second, scope=StopScope.ACCOUNT, scope_id=account_id, accounts=(account_id,))


def went_on(stop: EmergencyStop, what: str, second: float, detail: str = "") -> None:
    keep(StopStep(id=uuid.uuid4(), stop=stop, at=at(second), what=what, detail=detail))


def changed(stop: EmergencyStop, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(stop, name, value)
    stop.save(by_service=True)


def lifted(stop: EmergencyStop, second: float, **fields: Any) -> None:
    changed(stop, lifted_at=at(second), lifted_by="bob", lifted_reason="all is well", **fields)


def test_somebody_for_some_accounts_is_given_no_stop_of_another():
    of_account("desk-1")
    of_account("desk-2")
    assert column(REPORT, "scope_id", Asked(), MINE) == ["desk-1"]
    assert figure(REPORT, "Stops", Asked(), MINE) == "1"
    assert cells(REPORT, Asked(account_id="desk-2"), MINE) == []


def test_of_a_stop_of_everything_they_are_not_told_what_it_found_in_accounts():
    stop = stopped(accounts=("desk-1", "desk-2"))
    went_on(stop, "orders_cancelled", 1, "desk-2: 3 orders")
    changed(stop, residuals=[{"account_id": "desk-2", "why": "no answer"}], given_up_reason="desk-2 is away")
    (found,) = cells(REPORT, Asked(), MINE)
    assert "desk-2" not in str(found)
    assert (found["accounts"], found["residuals"], found["given_up_reason"]) == (None, None, None)
    assert "orders_cancelled" in found["timeline"]
    assert REPORT.summary(Asked(), MINE).notes
    (everything,) = cells(REPORT)
    assert everything["residuals"] == "desk-2: no answer"


def test_a_stop_that_met_anothers_account_is_not_found_by_it():
    stopped(scope=StopScope.SYMBOL, scope_id="BTCUSDT", accounts=("desk-2",))
    assert cells(REPORT, Asked(account_id="desk-2"), MINE) == []
    assert len(cells(REPORT, Asked(account_id="desk-2"))) == 1
    assert cells(REPORT, Asked(account_id="desk-3")) == []


def test_a_row_tells_who_stopped_what_and_how_soon_it_held():
    stop = stopped(accounts=("desk-1", "desk-2"))
    (found,) = cells(REPORT)
    assert (found["asked_at"], found["in_force_after_s"]) == (START, Decimal("0.00025"))
    assert (found["scope"], found["scope_id"], found["state"], found["unwind"]) == ("global", None, "HALTED", True)
    assert (found["trigger"], found["triggered_by"], found["reason"]) == ("person", "alice", "a test")
    assert (found["accounts"], found["stop_id"], found["lifted_at"], found["in_force_s"]) == (
        2,
        str(stop.pk),
        None,
        None,
    )


def test_when_it_was_in_force_is_empty_where_nobody_knows():
    stopped(engaged_at_us=0)
    (found,) = cells(REPORT)
    assert (found["in_force_at"], found["in_force_after_s"]) == (None, None)
    assert figure(REPORT, "From asking to in force, mean") == "none"


def test_a_row_tells_how_soon_each_stage_was_reached():
    stop = stopped()
    for what, second in (("cancelled", 2), ("flat", 5.5), ("completed", 6)):
        went_on(stop, what, second)
    (found,) = cells(REPORT)
    stages = [found[f"{each}_after_s"] for each in ("cancelled", "flat", "completed")]
    assert stages == [2, Decimal("5.5"), 6]


def test_a_row_tells_who_lifted_it_and_how_long_it_was_in_force():
    stop = stopped()
    lifted(stop, 90, force_asked_by="carol", force_reason="sure", forced=True, approved_by="bob")
    (found,) = cells(REPORT)
    assert (found["lifted_at"], found["lifted_by"], found["lifted_reason"]) == (at(90), "bob", "all is well")
    assert found["in_force_s"] == Decimal("89.99975")
    assert (found["forced"], found["force_asked_by"], found["approved_by"]) == (True, "carol", "bob")
    assert figure(REPORT, "Lifted in spite of a breach") == "1"


def test_the_timeline_has_every_step_with_its_moment():
    went_on(stopped(accounts=("desk-1",)), "orders_cancelled", 1, "desk-1: 3 orders")
    (timeline,) = column(REPORT, "timeline")
    first, *_, last = timeline.split(" | ")
    assert first == "2026-03-02 14:03:07.000000 asked: HALTED global by alice: a test"
    assert last == "2026-03-02 14:03:08.000000 orders_cancelled: desk-1: 3 orders"


def test_a_timeline_that_no_cell_holds_says_how_much_is_missing():
    stop = stopped()
    for number in range(40):
        went_on(stop, "trouble", 1 + number, "x" * 1_000)
    (timeline,) = column(REPORT, "timeline")
    *told, last = timeline.split(" | ")
    assert len(timeline) < 32_767
    assert last == f"and {stop.steps.count() - len(told)} more steps"


def test_what_is_left_is_told_with_positions_and_reasons():
    position = {"symbol": "BTCUSDT", "exchange": "", "quantity": "1.5"}
    residuals = [
        {"account_id": "desk-1", "why": "the OMS is at it", "remaining": 2, "positions": [position]},
        {"account_id": "", "why": "and 3 more accounts"},
    ]
    changed(stopped(), residuals=residuals)
    told = "desk-1: the OMS is at it (2 left; BTCUSDT 1.5) | and 3 more accounts"
    assert column(REPORT, "residuals") == [told]


def test_a_period_has_what_was_in_force_in_it():
    lifted(stopped(), 10)
    stopped(20)
    assert column(REPORT, "asked_at", Asked(since=at(5), until=at(20))) == [at(0)]
    assert figure(REPORT, "Begun before the period", Asked(since=at(5), until=at(20))) == "1"
    assert column(REPORT, "asked_at", Asked(since=at(11))) == [at(20)]


def test_asked_for_a_symbol_come_its_stops_and_those_of_everything():
    for second, symbol in enumerate(("BTCUSDT", "ETHUSDT")):
        stopped(second, scope=StopScope.SYMBOL, scope_id=symbol)
    stopped(5)
    assert column(REPORT, "scope_id", Asked(symbol="btcusdt")) == ["BTCUSDT", None]


def test_asked_for_a_policy_come_the_stops_that_it_set_off_under_any_of_its_names():
    ensure_defaults()
    policy = Policy.objects.get(name="Emergency Drawdown Stop")
    stopped(trigger=Trigger.POLICY, triggered_by=f"policy {policy.name}")
    stopped(1, triggered_by=f"policy {policy.name}")
    assert column(REPORT, "trigger", Asked(policy=str(policy.pk))) == ["policy"]
    assert column(REPORT, "trigger", Asked(policy=policy.name)) == ["policy"]


@pytest.mark.parametrize("name", ["alice", "bob", "carol"])
def test_asked_for_a_person_come_the_stops_that_they_had_a_hand_in(name):
    lifted(stopped(), 10, force_asked_by="carol")
    assert len(cells(REPORT, Asked(actor=name))) == 1
    assert cells(REPORT, Asked(actor="dave")) == []


def test_the_summary_tells_how_long_stops_were_in_force():
    lifted(stopped(), 60)
    lifted(of_account("desk-1", 100), 280)
    of_account("desk-2", 300)
    assert (figure(REPORT, "Stops"), figure(REPORT, "Not lifted")) == ("3", "1")
    assert figure(REPORT, "In force until lifted, longest") == "3 min"
    longest = chart(REPORT, "Longest in force")
    assert longest.labels == (
        *("2026-03-02 14:08 account desk-2", "2026-03-02 14:04 account desk-1", "2026-03-02 14:03 global"),
    )
    assert longest.values[1] == pytest.approx(3, abs=0.001)
    assert chart(REPORT, "Stops by what set them off").values == (3.0,)


def test_of_no_stop_there_is_little_to_say():
    assert REPORT.books(Asked(), ALL) is None
    assert figure(REPORT, "Stops") == "0"
    assert cells(REPORT) == []
