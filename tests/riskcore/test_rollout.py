"""A limit that is enforced on some of the accounts, and one in shadow: recorded, and without effect."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from riskcore.book import Mode, OnBreach, Policy
from riskcore.limit_set import LimitSets
from riskcore.overview import overview
from riskcore.reasons import Reason
from riskcore.rollout import bucket, holds_for
from riskcore.types import Decision
from tests.riskcore.builders import NOW, SELL, account, check, compiled, order, policy, position, soft, state, view

NAMES = [f"account-{number}" for number in range(2_000)]
SHADOW = {"mode": Mode.SHADOW}


def reached(percent: int, **what: object) -> set[str]:
    rolled = policy("leverage", "<=", 1, rollout_percent=percent, **what)
    return {name for name in NAMES if holds_for(rolled, name)}


def shadowed(decision: Decision) -> list[str]:
    return [] if decision.shadow_violations is UNSET else [one.metric for one in decision.shadow_violations]


# ---------------------------------------------------------------------------------------------- who is reached


@given(st.integers(0, 100), st.integers(0, 100))
def test_accounts_once_reached_stay(one, other):
    assert reached(min(one, other)) <= reached(max(one, other))


def test_nobody_at_nothing_and_everybody_at_all():
    assert reached(0) == set()
    assert reached(100) == set(NAMES)


@pytest.mark.parametrize("percent", [1, 10, 30, 50, 90])
def test_as_many_as_it_says(percent):
    # Of 2,000, within four standard deviations of the binomial distribution.
    spread = 4 * (2_000 * percent / 100 * (1 - percent / 100)) ** 0.5
    assert abs(len(reached(percent)) - 20 * percent) < spread


def test_policies_take_other_accounts_unless_they_are_of_one_group():
    assert reached(30, id="one") != reached(30, id="other")
    assert reached(30, id="one", test_group="pilot") == reached(30, id="other", test_group="pilot")


def test_the_place_of_an_account_is_for_ever_the_same():
    # Decisions of years ago are worked out again by it.
    assert [bucket("pilot", name) for name in ("desk-1", "desk-2", "desk-3")] == [3692, 625, 106]


# --------------------------------------------------------------------------------------------------- shadow


def test_a_limit_in_shadow_stops_nothing_and_is_recorded():
    decision = check(order(1), policy("order_notional", "<=", 1_000, **SHADOW))
    assert decision.approved
    assert decision.warnings == ()
    assert shadowed(decision) == ["order_notional"]
    assert decision.shadow_violations is not UNSET
    assert decision.shadow_violations[0].message == ("Limit on order_notional: order_notional 50000 breaks <= 1000")


def test_one_that_holds_is_not_mentioned():
    decision = check(order(1), policy("order_notional", "<=", 100_000, **SHADOW))
    assert decision.shadow_violations is UNSET


def test_beside_one_that_stops_both_are_told():
    decision = check(
        order(1),
        policy("gross_exposure", "<=", 10, **SHADOW),
        policy("leverage", "<=", "0.1"),
    )
    assert decision.reason is Reason.POLICY_VIOLATION
    assert [one.metric for one in decision.violations] == ["leverage"]
    assert shadowed(decision) == ["gross_exposure"]


def test_an_order_that_it_would_not_have_stopped_either_is_not_counted_against_it():
    limit = policy("gross_exposure", "<=", 100_000, **SHADOW)
    assert shadowed(check(order(1, SELL), limit, at=state(position(4)))) == []


def test_it_is_no_binding_limit_and_leaves_the_largest_quantity_as_it_is():
    limits = policy("gross_exposure", "<=", 10, **SHADOW), policy("leverage", "<=", 2)
    decision = check(order(1), *limits)
    assert decision.binding_limit is not None
    assert decision.binding_limit.metric == "leverage"
    assert decision.max_quantity == Decimal(4)
    assert decision.limit_utilization["gross_exposure"] == Decimal(5_000)


def test_one_that_warns_does_not_warn():
    decision = check(order(1), soft("leverage", "<=", "0.1", **SHADOW))
    assert decision.warnings == ()
    assert shadowed(decision) == ["leverage"]


def test_no_order_is_scaled_down_for_it():
    scaled = policy("order_notional", "<=", 1_000, on_breach=OnBreach.SCALE_DOWN, **SHADOW)
    assert check(order(1), scaled).approved


# ----------------------------------------------------------------------------------------------- on some accounts


def half() -> Policy:
    return policy("leverage", "<=", "0.1", rollout_percent=50)


def in_and_out() -> tuple[str, str]:
    inside = next(name for name in NAMES if holds_for(half(), name))
    return inside, next(name for name in NAMES if not holds_for(half(), name))


def test_it_stops_orders_of_accounts_that_it_has_reached_and_looks_at_those_of_the_others():
    inside, outside = in_and_out()
    under = compiled(half(), accounts=(account(inside), account(outside)))
    for name, approved in ((inside, False), (outside, True)):
        decision = check(order(1, account_id=name), under=under, at=state(account_id=name))
        assert decision.approved is approved
        assert shadowed(decision) == ([] if name == inside else ["leverage"])


def test_the_monitor_holds_it_against_those_accounts_only():
    inside, outside = in_and_out()
    accounts = account(inside), account(outside)
    sets = LimitSets(compiled(half(), policy("gross_exposure", "<=", 5, **SHADOW), accounts=accounts))
    of_inside, of_outside = (
        {
            limit.metric.name
            for line in sets.of(each).of_account
            for _, limit in line.limits
            if limit.policy.id[:8] != "profile:"
        }
        for each in accounts
    )
    assert (of_inside, of_outside) == ({"leverage"}, set())
    assert sets.of_firm.of_account == ()


def test_accounts_with_the_same_limits_share_a_set():
    inside = [name for name in NAMES[:100] if holds_for(half(), name)]
    sets = LimitSets(compiled(half(), accounts=tuple(account(name) for name in inside)))
    assert len({id(sets.of(account(name))) for name in inside}) == 1


def test_an_overview_shows_what_is_enforced():
    inside, outside = in_and_out()
    under = compiled(half(), policy("gross_exposure", "<=", 5, **SHADOW), accounts=(account(inside), account(outside)))
    for name, expected in ((inside, ["leverage"]), (outside, [])):
        seen = overview(view(state(account_id=name)), under, NOW)
        assert [limit.metric for limit in seen.limits if not limit.policy_id.startswith("profile:")] == expected
