"""Of every control: whether it was armed, how often it fired or nearly did, what it lacked, and its last drill."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from audit.models import OrderDecision
from emergency.words import Trigger
from policies.models import Policy
from policies.services import do_change_account, do_change_policy
from reports.datasets import DATASETS
from reports.effectiveness.arming import armed_limits
from reports.table import Asked
from tests.dashboard.world import decided, order
from tests.emergency.world import engage, lift, long
from tests.policies.subjects import WHO, limit
from tests.violations.subjects import broken, look

CONTROLS = DATASETS["control_effectiveness"]
EVERYBODY: frozenset[str] = frozenset()
DESK: dict[str, Any] = {"metric": "leverage", "scope": "account", "scope_ids": ["desk-1"]}


def asked(**what: Any) -> Asked:
    now = timezone.now()
    return Asked(**{"since": now - timedelta(hours=2), "until": now + timedelta(hours=1), **what})


def rows(accounts: frozenset[str] = EVERYBODY, **what: Any) -> dict[str, dict[str, Any]]:
    """Return the rows by the names of the controls, their cells by those of the columns."""
    wanted = asked(**what)
    found = list(CONTROLS.rows(wanted, accounts))
    assert CONTROLS.count(wanted, accounts) == len(found)
    names = [column.name for column in CONTROLS.columns]
    return {str(row[0]): dict(zip(names, row, strict=True)) for row in found}


def tight(**what: Any) -> Policy:
    return limit("Tight", **{**DESK, "threshold": Decimal(3), **what}).row


# ------------------------------------------------------------------------------------------------- verdicts
def test_a_limit_that_stopped_an_order_has_fired(world):
    tight()
    row = decided(world, order(quantity=Decimal(80)))
    found = rows()["Tight"]
    assert (found["verdict"], found["orders"], found["stopped"]) == ("fired", 1, 1)
    assert found["highest_used"] == Decimal("1.333333")
    assert found["last_fired"] == row.decided_at


def test_a_limit_that_nothing_came_near_was_quiet(world):
    decided(world)
    found = rows()["Max Account Leverage"]
    assert (found["verdict"], found["orders"], found["stopped"], found["near_misses"]) == ("quiet", 1, 0, 0)
    assert found["highest_used"] == Decimal("0.000005")


def test_an_approved_order_that_used_nearly_all_of_a_limit_is_a_near_miss(world):
    limit("Small orders", metric="order_quantity", threshold=Decimal("0.0011"))
    assert decided(world).approved
    found = rows()["Small orders"]
    assert (found["verdict"], found["near_misses"], found["highest_used"]) == ("near miss", 1, Decimal("0.909091"))


def test_a_limit_that_was_never_armed_in_the_period_says_so(world):
    made = limit("Asleep", enabled=False).row
    found = rows()["Asleep"]
    assert (found["verdict"], found["armed"], found["armed_percent"], found["note"]) == (
        *("not armed", False, 0, "switched off"),
    )
    assert found["policy_id"] == str(made.pk)


def test_a_limit_that_no_order_came_to_for_want_of_a_state_was_starved(world):
    _refused(decided(world, what_if=True), "stale_account_state")
    found = rows()
    assert found["Max Account Leverage"]["verdict"] == "starved"
    assert "1 were refused before" in found["Max Account Leverage"]["note"]
    assert found["Fresh account state"]["stopped"] == 1


def test_a_limit_whose_figure_had_no_value_was_starved_and_did_not_fire(world):
    world.feed(long("BTCUSDT", "0.01"), account_id="desk-1", equity=-1)
    decided(world)
    found = rows()["Max Account Leverage"]
    assert (found["verdict"], found["without_value"]) == ("starved", found["stopped"] + found["warned"])


def test_value_at_risk_without_a_history_of_prices_is_starved(world):
    limit("VaR", metric="var_95", threshold=Decimal("0.1"))
    found = rows()["VaR"]
    assert found["verdict"] == "starved"
    assert "no history of prices" in found["note"]


def test_a_soft_limit_that_warned_has_fired_and_stopped_nothing(world):
    tight(type="soft", threshold=Decimal("0.00001"))
    decided(world)
    found = rows()["Tight"]
    assert (found["verdict"], found["stopped"], found["warned"]) == ("fired", 0, 1)


# --------------------------------------------------------------------------------------------- what counts
def test_a_question_what_if_counts_nowhere(world):
    tight()
    decided(world, order(quantity=Decimal(80), what_if=True))
    found = rows()["Tight"]
    assert (found["verdict"], found["orders"], found["stopped"]) == ("quiet", 0, 0)


def test_what_was_before_the_period_or_is_of_another_account_does_not_count(world):
    tight()
    decided(world, order(quantity=Decimal(80)))
    now = timezone.now()
    assert rows(since=now, until=now + timedelta(hours=1))["Tight"]["stopped"] == 0
    assert rows(account_id="desk-2")["Profile aggressive: single trade risk"]["stopped"] == 0
    assert rows(account_id="desk-1")["Profile aggressive: single trade risk"]["stopped"] == 1


def test_violations_of_the_monitor_alerts_and_stops_are_counted(world):
    made = tight()
    look(0, broken("6", account_id="desk-1", policy_id=str(made.pk), policy_name="Tight", threshold=Decimal(3)))
    look(5, broken("9", account_id="desk-1", policy_id=str(made.pk), policy_name="Tight", threshold=Decimal(3)))
    engage(scope="account", scope_id="desk-1", trigger=Trigger.POLICY, triggered_by="policy Tight")
    found = rows()["Tight"]
    assert (found["verdict"], found["violations"], found["observations"]) == ("fired", 1, 2)
    assert (found["alerts"], found["stops"], found["highest_used"]) == (1, 1, 3)


def test_the_gates_say_what_they_refused_and_the_stop_when_it_was_tried_last(world):
    made = engage(scope="account", scope_id="desk-1", trigger=Trigger.DRILL)
    decided(world)
    lift(made.stop_id)
    found = rows()["Emergency stop"]
    assert (found["verdict"], found["kind"], found["stopped"], found["stops"]) == ("fired", "gate", 1, 0)
    assert found["last_drill"] is not None
    assert "last drill: account desk-1, in force after" in found["note"]
    assert "lifted by bob" in found["note"]


def test_gates_that_have_nothing_to_go_by_are_not_armed(world):
    found = rows()
    assert found["Restricted symbols"]["verdict"] == "not armed"
    assert found["Self-match"]["verdict"] == "quiet"


def test_bounds_of_a_profile_that_no_account_is_under_are_not_armed(world):
    found = rows()
    assert found["Profile micro: leverage"]["verdict"] == "not armed"
    assert found["Profile aggressive: leverage"]["verdict"] == "quiet"
    do_change_account(**WHO, account_id="desk-1", expected_version=1, profile="micro")
    assert rows()["Profile micro: leverage"]["note"] == "1 accounts are under it"


# ------------------------------------------------------------------------------------------------- armed
def test_how_long_a_limit_was_armed_is_a_share_of_the_period(world):
    made = tight()
    do_change_policy(**WHO, policy_id=made.pk, expected_version=1, enabled=False)
    do_change_policy(**WHO, policy_id=made.pk, expected_version=2, enabled=True, mode="shadow")
    at = [row.history_date for row in made.history.order_by("version")]
    (found,) = [each for each in armed_limits(at[0], at[2]) if each.policy_id == str(made.pk)]
    assert found.share == pytest.approx((at[1] - at[0]) / (at[2] - at[0]))
    assert found.shadow_share == 0
    later = at[2] + (at[2] - at[0])
    (found,) = [each for each in armed_limits(at[0], later) if each.policy_id == str(made.pk)]
    assert found.shadow_share == pytest.approx(0.5)
    assert (found.at_end, found.since) == (False, None)


def test_it_is_armed_since_it_was_switched_on_last_whatever_was_changed_since(world):
    made = tight()
    do_change_policy(**WHO, policy_id=made.pk, expected_version=1, threshold=Decimal(4))
    found = rows()["Tight"]
    assert found["armed_since"] == made.history.get(version=1).history_date
    assert found["armed"] is True


def test_a_limit_is_not_armed_before_its_first_day(world):
    tight(effective_from=timezone.now() + timedelta(days=1))
    assert rows()["Tight"]["verdict"] == "not armed"


# --------------------------------------------------------------------------------------------- who sees what
def test_who_is_for_some_accounts_sees_no_limit_and_no_count_of_others(world):
    tight()
    limit("Theirs", metric="leverage", threshold=Decimal(1), scope="account", scope_ids=["desk-2"])
    decided(world, order(quantity=Decimal(80)))
    found = rows(frozenset({"desk-2"}))
    assert "Tight" not in found
    assert "Theirs" in found
    assert found["Profile aggressive: single trade risk"]["stopped"] == 0
    assert rows(frozenset({"desk-2"}), account_id="desk-1") == {}


def test_one_policy_may_be_asked_for(world):
    made = tight()
    assert list(rows(policy="tight")) == ["Tight"]
    assert list(rows(policy=str(made.pk))) == ["Tight"]


# ---------------------------------------------------------------------------------------------- the summary
def test_the_summary_counts_verdicts_and_is_honest_about_what_is_not_recorded(world):
    tight()
    decided(world, order(quantity=Decimal(80)))
    said = CONTROLS.summary(asked(), EVERYBODY)
    figures = {each.label: each.value for each in said.figures}
    assert figures["Decisions"] == "1"
    assert int(figures["Fired"]) >= 1
    assert any("only violations are kept of what it sees" in note for note in said.notes)
    assert any("The period is not over" in note for note in said.notes)
    assert [len(each.labels) for each in said.charts] == [len(each.values) for each in said.charts]


def test_it_names_the_books_of_the_period(world):
    tight()
    assert CONTROLS.books(asked(), EVERYBODY) == (1, 7)


def test_a_period_that_has_not_begun_has_nothing(world):
    later = timezone.now() + timedelta(days=1)
    assert rows(since=later, until=later + timedelta(days=1)) == {}


def _refused(asked: OrderDecision, reason: str) -> None:
    """Record a decision like one that was asked what-if, refused for a reason before any limit was looked at."""
    said = {field.attname: getattr(asked, field.attname) for field in OrderDecision._meta.concrete_fields}
    answer = '{"limit_utilization":{},"violations":[],"warnings":[],"max_quantity":null}'
    refused = {"decision_id": uuid4(), "what_if": False, "approved": False, "verdict": "block", "reason": reason}
    OrderDecision.objects.create(**{**said, **refused, "answer": answer})
