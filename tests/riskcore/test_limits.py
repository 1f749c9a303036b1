"""A limit against a value: does it hold, how much of it is used, and how it is told."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskcore.book import Operator, PolicyType
from riskcore.decimals import INFINITY
from riskcore.limits import as_breach, describe, eases, evaluate, make_limit, profile_limits
from riskcore.metrics import METRICS, Kind
from tests.riskcore.builders import SELL, check, order, policy, position, profile, rate, soft, state
from tests.support.properties import examples

D = Decimal
VALUES = st.decimals(min_value=-(10**6), max_value=10**6, places=2)


def found(operator: str, value, threshold, metric: str = "gross_exposure"):
    return evaluate(make_limit(policy(metric, operator, threshold)), None if value is None else D(value))


@pytest.mark.parametrize("operator", ["<=", "<", ">=", ">", "==", "!="])
def test_a_value_that_is_not_defined_breaks_every_limit_beyond_measure(operator: str) -> None:
    finding = found(operator, None, 1)
    assert (finding.holds, finding.value, finding.utilisation) == (False, None, None)


@pytest.mark.parametrize(
    ("operator", "value", "threshold", "holds", "utilisation"),
    [
        # A cap above zero: how much of it the value is.
        ("<=", 0, 100, True, "0"),
        ("<=", -50, 100, True, "0"),
        ("<=", 75, 100, True, "0.75"),
        ("<=", 100, 100, True, "1"),
        ("<=", 101, 100, False, "1.01"),
        ("<", 100, 100, False, "1"),
        ("<", 99, 100, True, "0.99"),
        # A cap of zero: nothing, all of it, or beyond measure.
        ("<=", -1, 0, True, "0"),
        ("<=", 0, 0, True, "1"),
        ("<", 0, 0, False, "1"),
        ("<=", 1, 0, False, None),
        # A cap below zero (net exposure at most -100): all used when reached from below.
        ("<=", -200, -100, True, "0.5"),
        ("<=", -100, -100, True, "1"),
        ("<=", -50, -100, False, "2"),
        ("<=", 0, -100, False, None),
        # A floor above zero (margin ratio): how much of the value it is.
        (">=", 4, 1, True, "0.25"),
        (">=", 1, 1, True, "1"),
        (">", 1, 1, False, "1"),
        (">=", "0.5", 1, False, "2"),
        (">=", 0, 1, False, None),
        (">=", -3, 1, False, None),
        # A floor of zero.
        (">=", 5, 0, True, "0"),
        (">=", 0, 0, True, "1"),
        (">=", -5, 0, False, None),
        # A floor below zero (a loss of at most 5,000).
        (">=", 1000, -5000, True, "0"),
        (">=", -2500, -5000, True, "0.5"),
        (">=", -5000, -5000, True, "1"),
        (">", -5000, -5000, False, "1"),
        (">=", -6000, -5000, False, "1.2"),
        # Equalities: not at all, or beyond measure.
        ("==", 3, 3, True, "0"),
        ("==", 4, 3, False, None),
        ("!=", 4, 3, True, "0"),
        ("!=", 3, 3, False, None),
    ],
)
def test_a_limit_holds_and_is_used(operator, value, threshold, holds, utilisation) -> None:
    finding = found(operator, value, threshold)
    assert finding.holds is holds
    assert finding.utilisation == (None if utilisation is None else D(utilisation))


@given(st.sampled_from(["<=", "<", ">=", ">"]), VALUES, VALUES)
@examples(500)
def test_a_limit_holds_exactly_while_no_more_than_all_of_it_is_used(operator: str, value, threshold) -> None:
    finding = found(operator, value, threshold)
    strict = operator in ("<", ">")
    used = finding.utilisation
    assert used is None or used >= 0
    within = used is not None and (used < 1 or (used == 1 and not strict))
    assert finding.holds is within


@given(st.sampled_from(["<=", ">="]), VALUES, VALUES, VALUES)
@examples(500)
def test_a_worse_value_never_uses_less_of_a_limit(operator: str, one, other, threshold) -> None:
    better, worse = sorted((one, other), reverse=operator == ">=")
    used_better, used_worse = (found(operator, value, threshold).utilisation for value in (better, worse))
    assert used_worse is None or (used_better is not None and used_better <= used_worse)


def test_a_floor_is_not_used_by_an_infinite_margin_ratio() -> None:
    finding = found(">=", INFINITY, 1, metric="margin_ratio")
    assert (finding.holds, finding.utilisation) == (True, 0)


def test_a_cap_is_used_beyond_measure_by_an_infinite_margin_ratio() -> None:
    finding = found("<=", INFINITY, 5, metric="margin_ratio")
    assert (finding.holds, finding.utilisation) == (False, None)
    assert found("<=", 4, 5, metric="margin_ratio").utilisation == D("0.8")
    assert found("<=", -1, -5, metric="margin_ratio").utilisation == 5
    assert found("<=", 1, -5, metric="margin_ratio").utilisation is None


# ------------------------------------------------------------------------------------------------- easing


@pytest.mark.parametrize(
    ("operator", "before", "after", "better"),
    [
        ("<=", 10, 10, False),
        ("<=", 10, 11, False),
        ("<", 10, 9, True),
        (">=", 1, 1, False),
        (">", 2, 1, False),
        (">=", 1, 2, True),
        ("==", 1, 2, False),
        ("!=", 1, 2, False),
        ("<=", None, 1, False),
        ("<=", 1, None, False),
    ],
)
def test_a_metric_gets_better_only_strictly_and_only_where_there_is_a_direction(operator, before, after, better):
    limit = make_limit(policy("gross_exposure", operator, 5))
    values = (None if value is None else D(value) for value in (before, after))
    assert eases(limit, *values) is better


# --------------------------------------------------------------------------------------------- as it is told


def test_a_breach_tells_the_limit_the_value_and_the_threshold() -> None:
    breach = as_breach(found("<=", "2.50", "2.00", metric="leverage"))
    assert breach.message == "Limit on leverage: leverage 2.500000 breaks <= 2"
    assert (breach.policy_id, breach.name, breach.type) == ("leverage", "Limit on leverage", "hard")
    assert (breach.metric, breach.operator) == ("leverage", "<=")
    assert (breach.value, breach.threshold, breach.utilisation) == (D("2.5"), D(2), D("1.25"))
    assert str(breach.threshold) == "2"


def test_a_limit_that_holds_is_told_so() -> None:
    assert describe(found("<=", 1, 2)) == "Limit on gross_exposure: gross_exposure 1 meets <= 2"


def test_a_count_is_told_with_its_window() -> None:
    limit = make_limit(rate("order_rate", 5, 60))
    assert describe(evaluate(limit, D(6))) == "Limit on order_rate: order_rate in 60 s 6 breaks <= 5"


def test_an_undefined_value_is_told_as_such() -> None:
    assert "leverage undefined (equity is not above zero) breaks <= 2" in describe(found("<=", None, 2, "leverage"))


@pytest.mark.parametrize(
    ("metric", "shown"), [("leverage", "0.333333"), ("gross_exposure", "0.33333333"), ("open_orders", "0.33333333")]
)
def test_a_ratio_is_rounded_for_show_and_an_amount_is_not(metric: str, shown: str) -> None:
    assert str(METRICS[metric].show(D("0.33333333"))) == shown


def test_a_value_is_compared_exactly_and_only_shown_rounded() -> None:
    """A leverage of 2 and a millionth of a millionth is shown as 2.000000, and still breaks a limit of 2."""
    decision = check(order("2.0000000000005", price=50_000), policy("leverage", "<=", 1), at=state(equity=50_000))
    assert not decision.approved
    barely = check(order("1.000000000001", price=50_000), policy("leverage", "<=", 1), at=state(equity=50_000))
    assert not barely.approved
    assert barely.violations[0].value == 1


# ---------------------------------------------------------------------------------------- kinds of a policy


def test_a_hard_and_an_emergency_limit_block_and_a_soft_one_warns() -> None:
    assert not check(order(1), policy("leverage", "<=", "0.1")).approved
    assert not check(order(1), policy("leverage", "<=", "0.1", type=PolicyType.EMERGENCY)).approved
    decision = check(order(1), soft("leverage", "<=", "0.1"))
    assert decision.approved
    assert [warning.policy_id for warning in decision.warnings] == ["leverage"]


def test_the_bounds_of_a_profile_are_limits_like_any_other() -> None:
    bounds = {limit.policy.metric: limit for limit in profile_limits(profile("micro", max_open_positions=3))}
    assert list(bounds) == ["leverage", "single_trade_risk", "daily_loss", "weekly_loss", "open_positions"]
    assert bounds["open_positions"].threshold == 3
    assert bounds["daily_loss"].policy.name == "Profile micro: daily loss"


def test_a_limit_knows_whether_its_metric_needs_an_order() -> None:
    for name, metric in METRICS.items():
        limit = make_limit(policy(name, "<=", 1, window_s=1))
        assert limit.of_account is (metric.kind in (Kind.ACCOUNT, Kind.SYMBOL, Kind.TAIL))
        assert Operator(limit.policy.operator) is Operator.AT_MOST


def test_a_position_that_loses_too_much_stops_orders_that_enlarge_it_and_not_those_that_close_it() -> None:
    losing = state(position(2, entry_price=100_000))
    limit = policy("position_loss", "<=", "0.3")
    assert not check(order(1), limit, at=losing).approved
    closing = check(order(1, SELL), limit, at=losing)
    assert closing.approved
    assert [warning.policy_id for warning in closing.warnings] == ["position_loss"]
