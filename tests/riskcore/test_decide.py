"""One order, one decision: what is in it, what it leaves behind, limits already broken, scaling down."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from msgspec import Raw

from riskcore.answer import risk_level
from riskcore.book import OnBreach, Parameters, PolicyType
from riskcore.decide import reevaluate
from riskcore.reasons import TRANSIENT, Reason
from riskcore.types import OrderType, Reservation, RiskLevel, TradingState, Verdict
from tests.riskcore.builders import (
    BUY,
    NOW,
    SECOND,
    SELL,
    account,
    check,
    compiled,
    holding,
    inputs,
    instrument,
    market,
    marks,
    metrics_of,
    order,
    outcome,
    policy,
    position,
    price,
    profile,
    rate,
    reservation,
    restriction,
    soft,
    state,
    stop,
)

D = Decimal
SCALE: dict[str, Any] = {"on_breach": OnBreach.SCALE_DOWN}


# --------------------------------------------------------------------------------------- limits already broken


def test_an_order_that_makes_a_broken_limit_worse_is_blocked() -> None:
    decision = check(order(1), policy("gross_exposure", "<=", 100_000), at=state(position(3)))
    assert decision.reason == Reason.POLICY_VIOLATION


def test_an_order_that_leaves_a_broken_limit_as_it_is_is_blocked() -> None:
    """Half of the position sold and half bought back at worst is no better than before."""
    held: dict[str, Any] = {"at": state(position(3)), "ledger": holding(reservation(2, SELL))}
    assert check(order(2, SELL), policy("gross_exposure", "<=", 100_000), **held).reason == Reason.POLICY_VIOLATION
    assert check(order(1), policy("drawdown_max", "<=", "0.1"), at=state(peak_equity=200_000)).reason


def test_an_order_that_makes_a_broken_limit_better_passes_with_a_warning() -> None:
    """A floor on what is open, and a cap on the margin ratio: both get better with every order."""
    for limit in (policy("gross_exposure", ">=", 100_000), policy("margin_ratio", "<=", 1)):
        decision = check(order(1), limit, at=state(position(-1, "ETHUSDT"), margin_used=1))
        assert decision.approved
        assert metrics_of(decision.warnings) == [limit.metric]


def test_a_reducing_order_passes_under_a_broken_limit_with_a_warning() -> None:
    decision = check(order(1, SELL), policy("gross_exposure", "<=", 100_000), at=state(position(3)))
    assert decision.approved
    assert metrics_of(decision.warnings) == ["gross_exposure"]
    assert decision.violations == ()


def test_a_limit_on_the_order_itself_is_never_broken_before_it() -> None:
    assert check(order(1), policy("order_quantity", ">=", 2), at=state()).reason == Reason.POLICY_VIOLATION


def test_an_equality_that_is_broken_blocks_whichever_way_the_metric_goes() -> None:
    for limit in (policy("open_orders", "==", 5), policy("open_positions", "!=", 1)):
        assert not check(order(1), limit).approved


def test_a_broken_soft_limit_warns_whether_the_order_passes_or_not() -> None:
    warned = soft("leverage", "<=", "0.1")
    assert metrics_of(check(order(1), warned).warnings) == ["leverage"]
    blocked = check(order(1), warned, policy("gross_exposure", "<=", 1))
    assert metrics_of(blocked.warnings) == ["leverage"]
    assert metrics_of(blocked.violations) == ["gross_exposure"]


# ---------------------------------------------------------------------------------------------- scaling down


def test_an_order_is_not_scaled_down_where_a_failing_limit_does_not_allow_it() -> None:
    decision = check(order(4), policy("gross_exposure", "<=", 100_000, **SCALE), policy("leverage", "<=", "1.5"))
    assert decision.decision is Verdict.BLOCK
    assert (decision.max_quantity, decision.scale_factor) == (D(2), D("0.5"))


def test_an_order_is_scaled_down_where_every_failing_limit_allows_it() -> None:
    decision = check(
        order(4), policy("gross_exposure", "<=", 100_000, **SCALE), policy("leverage", "<=", "1.5", **SCALE)
    )
    assert decision.decision is Verdict.SCALE_DOWN
    assert not decision.approved
    assert decision.reason == Reason.POLICY_VIOLATION
    assert (decision.max_quantity, decision.scale_factor) == (D(2), D("0.5"))
    assert decision.reservation is None


def test_an_order_scaled_by_its_factor_is_never_larger_than_the_largest_that_passes() -> None:
    decision = check(order(4), policy("order_quantity", "<=", "3.9999999", **SCALE))
    assert (decision.max_quantity, decision.scale_factor) == (D("3.9999999"), D("0.999999"))


def test_a_limit_that_holds_need_not_allow_scaling_down() -> None:
    scaled = policy("gross_exposure", "<=", 100_000, **SCALE)
    assert check(order(4), scaled, policy("leverage", "<=", 5)).decision is Verdict.SCALE_DOWN


def test_a_limit_that_holds_and_leaves_less_room_bounds_the_smaller_order() -> None:
    scaled = policy("order_notional", "<=", 190_000, **SCALE)
    decision = check(order(4), scaled, policy("open_orders", "<=", 1), policy("net_exposure", "<=", 60_000, **SCALE))
    assert (decision.decision, decision.max_quantity) == (Verdict.SCALE_DOWN, D("1.2"))


def test_an_order_is_not_scaled_down_to_less_than_a_lot() -> None:
    lots = compiled(policy("gross_exposure", "<=", 49_999, **SCALE), instruments=(instrument(lot_size=1),))
    decision = check(order(4), under=lots)
    assert (decision.decision, decision.max_quantity, decision.scale_factor) == (Verdict.BLOCK, D(0), D(0))


def test_an_order_is_not_scaled_down_to_less_than_the_smallest_order() -> None:
    least = compiled(policy("gross_exposure", "<=", 99_999, **SCALE), instruments=(instrument(min_quantity=2),))
    assert check(order(4), under=least).decision is Verdict.BLOCK


def test_an_order_without_the_margin_is_not_scaled_down() -> None:
    decision = check(order(100), policy("leverage", "<=", 10, **SCALE))
    assert (decision.decision, decision.reason) == (Verdict.BLOCK, Reason.INSUFFICIENT_MARGIN)
    assert decision.max_quantity == 20


def test_an_order_over_the_message_rate_is_not_scaled_down() -> None:
    decision = check(order(4), rate("order_rate", 0, **SCALE))
    assert (decision.decision, decision.max_quantity) == (Verdict.BLOCK, D(0))


def test_an_order_that_no_size_would_save_is_not_scaled_down() -> None:
    decision = check(order(4), policy("drawdown_max", "<=", "0.1", **SCALE), at=state(peak_equity=200_000))
    assert (decision.decision, decision.max_quantity) == (Verdict.BLOCK, D(0))


def test_an_order_that_flips_may_be_scaled_down_to_one_that_closes() -> None:
    decision = check(order(4, SELL), policy("leverage", "<=", 0, **SCALE), at=state(position(3)))
    assert (decision.decision, decision.max_quantity) == (Verdict.SCALE_DOWN, D(3))


def test_the_smaller_order_passes_when_it_is_sent() -> None:
    limits = policy("gross_exposure", "<=", 70_000, **SCALE), policy("order_quantity", "<=", 3, **SCALE)
    largest = check(order(4), *limits).max_quantity
    assert largest == D("1.4")
    assert check(order(largest), *limits).approved


# ----------------------------------------------------------------------------------------------- max_quantity


def test_an_approval_names_the_largest_quantity_that_would_have_passed() -> None:
    decision = check(order(1), policy("gross_exposure", "<=", 150_000))
    assert (decision.max_quantity, decision.scale_factor) == (D(3), D(1))


@pytest.mark.parametrize(
    "spared",
    [
        {"stops": (stop(TradingState.REDUCING),)},
        {"under": compiled(restrictions=(restriction(close_only=True),))},
        {"under": compiled(instruments=(instrument(order_types=(OrderType.MARKET,)),))},
        {"own_price": "50000"},
        {"under": compiled(policy("net_exposure", "<=", 1))},
        {"under": compiled(policy("drawdown_max", "<=", "0.1")), "at": state(position(5), peak_equity=10**6)},
    ],
)
def test_a_reducing_order_that_is_spared_something_may_not_be_larger_than_the_position(spared: dict[str, Any]) -> None:
    decision = check(order(1, SELL), **{"at": state(position(5)), **spared})
    assert decision.approved
    assert decision.max_quantity == 5
    assert not check(order(6, SELL), **{"at": state(position(5)), **spared}).approved


def test_a_reducing_order_that_is_spared_nothing_may_be_as_large_as_the_limits_let_it() -> None:
    decision = check(order(1, SELL), policy("gross_exposure", "<=", 350_000), at=state(position(5)))
    assert decision.max_quantity == 12
    assert check(order(12, SELL), policy("gross_exposure", "<=", 350_000), at=state(position(5))).approved


def test_a_reduce_only_order_may_be_as_large_as_the_position_and_whole_lots() -> None:
    lots = compiled(instruments=(instrument(lot_size="0.2"),))
    decision = check(order("0.2", SELL, reduce_only=True), at=state(position("1.5")), under=lots)
    assert decision.max_quantity == D("1.4")


def test_an_order_that_flips_is_told_whole_lots_that_would_close() -> None:
    lots = compiled(policy("leverage", "<=", 0), instruments=(instrument(lot_size=1, max_quantity=50),))
    decision = check(order(4, SELL), at=state(position("2.5")), under=lots)
    assert decision.max_quantity == 2


# ------------------------------------------------------------------------------------- what a decision holds


def test_a_decision_names_its_evidence() -> None:
    decision = check(order(1, order_id="x"), decision_id="d1", book_version=7, now_us=NOW + 1)
    assert (decision.decision_id, decision.order_id, decision.account_id) == ("d1", "x", "A")
    assert decision.policy_book_version == 7
    assert decision.account_state_at == datetime(2026, 1, 7, 12, tzinfo=UTC)
    assert decision.timestamp == datetime(2026, 1, 7, 12, 0, 0, 1, tzinfo=UTC)


def test_the_binding_limit_is_the_blocking_one_that_is_used_most() -> None:
    decision = check(
        order(1),
        policy("leverage", "<=", 2),
        policy("gross_exposure", "<=", 60_000),
        soft("concentration", "<=", "0.1"),
    )
    binding = decision.binding_limit
    assert binding is not None
    assert (binding.policy_id, binding.value, binding.threshold) == ("gross_exposure", D(50_000), D(60_000))
    assert binding.utilisation == D("0.833333")
    assert decision.limit_utilization["leverage"] == D("0.25")
    assert decision.limit_utilization["concentration"] == 5


def test_a_limit_broken_beyond_measure_binds_before_any_other() -> None:
    decision = check(
        order(1), policy("leverage", "<=", "0.001"), policy("daily_pnl", ">=", 0), at=state(daily_start_equity=200_000)
    )
    assert decision.binding_limit is not None
    assert decision.binding_limit.policy_id == "daily_pnl"
    assert decision.binding_limit.utilisation is None
    assert decision.limit_utilization["daily_pnl"] is None


def test_a_binding_limit_may_have_no_value_at_all() -> None:
    decision = check(order(1), policy("leverage", "<=", 1), at=state(equity=0))
    assert decision.binding_limit is not None
    assert (decision.binding_limit.metric, decision.binding_limit.value) == ("leverage", None)


@pytest.mark.parametrize(
    ("threshold", "level"),
    [(66_667, RiskLevel.INFO), (66_666, RiskLevel.WARNING), (55_556, RiskLevel.WARNING), (55_555, RiskLevel.CRITICAL)],
)
def test_the_risk_level_goes_by_the_binding_limit(threshold: int, level: RiskLevel) -> None:
    assert check(order(1), policy("gross_exposure", "<=", threshold)).risk_level is level


def test_an_account_without_a_limit_is_at_no_risk_that_anyone_knows() -> None:
    assert risk_level(None, D("0.75"), D("0.9")) is RiskLevel.INFO


def test_the_bounds_of_the_risk_levels_are_the_books() -> None:
    strict = Parameters(warning_utilisation=D("0.1"), critical_utilisation=D("0.5"))
    under = compiled(policy("gross_exposure", "<=", 200_000), parameters=strict)
    assert check(order(1), under=under).risk_level is RiskLevel.WARNING
    assert check(order(2), under=under).risk_level is RiskLevel.CRITICAL


def test_an_account_is_not_at_risk_because_of_limits_on_the_order_alone_or_soft_ones() -> None:
    decision = check(order(1), policy("order_quantity", "<=", 1), soft("leverage", "<=", "0.5"))
    assert decision.binding_limit is not None
    assert decision.binding_limit.metric == "order_quantity"
    assert decision.risk_level is RiskLevel.INFO
    assert check(order(1), policy("leverage", "<=", "0.5")).risk_level is RiskLevel.CRITICAL


def test_the_worked_example_of_the_specification_in_a_decision() -> None:
    """Equity 100,000, margin used 10,000, peak 105,000, day start 98,000; a closing order leaves them as they are."""
    given = state(position(1), equity=100_000, margin_used=10_000, peak_equity=105_000, daily_start_equity=98_000)
    shown = check(order(1, SELL), at=given).post_trade_metrics
    assert shown["drawdown_daily"] == 0
    assert shown["drawdown_max"] == D("0.047619")
    assert shown["margin_ratio"] == 10


# ------------------------------------------------------------------------------------- what it leaves behind


def test_a_blocked_order_holds_nothing() -> None:
    decided = outcome(order(1), policy("leverage", "<=", 0))
    assert decided.reservation is None
    assert decided.decision.reservation is None
    assert decided.ledger is not None
    assert decided.ledger.open == {}
    assert decided.ledger.daily_notional == 0
    assert (decided.ledger.consecutive_rejects, decided.ledger.last_reject_us) == (1, NOW)


def test_an_approval_holds_its_exposure() -> None:
    decided = outcome(order(2, SELL, order_id="x", price=51_000, strategy_id="carry", leverage=5), decision_id="d1")
    assert decided.reservation == Reservation(
        order_id="x",
        account_id="A",
        symbol="BTCUSDT",
        side=SELL,
        quantity=D(2),
        price=D(51_000),
        valued_at=D(51_000),
        margin_rate=D("0.2"),
        decision_id="d1",
        created_at_us=NOW,
        expires_at_us=NOW + 60 * SECOND,
        strategy_id="carry",
    )
    assert decided.reservation.id == "d1"
    held = decided.decision.reservation
    assert held is not None
    assert (held.id, held.expires_at) == ("d1", datetime(2026, 1, 7, 12, 1, tzinfo=UTC))
    assert decided.ledger is not None
    assert decided.ledger.open == holding(decided.reservation).open


def test_a_market_order_holds_exposure_at_the_mark_and_slippage() -> None:
    decided = outcome(market(1))
    assert decided.reservation is not None
    assert (decided.reservation.price, decided.reservation.margin) == (D(50_050), D(5_005))


def test_the_life_of_a_reservation_is_the_orders_or_the_accounts_or_the_books() -> None:
    patient = compiled(accounts=(account(reservation_ttl_us=20 * SECOND),))
    for of, under, life_s in [
        (order(1), compiled(), 60),
        (order(1), patient, 20),
        (order(1, ttl_us=5 * SECOND), patient, 5),
        (order(1), compiled(parameters=Parameters(reservation_ttl_us=SECOND)), 1),
    ]:
        held = outcome(of, under=under).reservation
        assert held is not None
        assert held.expires_at_us == NOW + life_s * SECOND


def test_what_has_expired_leaves_with_the_next_decision() -> None:
    gone, stays = reservation(1), reservation(2, SELL)
    decided = outcome(order(3), ledger=holding(gone, stays), expired=(gone,))
    assert decided.ledger is not None
    assert decided.reservation is not None
    assert decided.ledger.open == holding(stays, decided.reservation).open


def test_a_what_if_leaves_nothing_and_holds_nothing() -> None:
    decided = outcome(order(1, what_if=True))
    assert (decided.ledger, decided.reservation, decided.decision.reservation) == (None, None, None)
    assert decided.decision.approved
    assert decided.decision.what_if
    assert decided.decision.message == "would be approved; nothing was reserved"
    assert outcome(order(1, what_if=True), policy("leverage", "<=", 0)).ledger is None


def test_a_decision_on_what_cannot_be_read_or_is_not_known_leaves_nothing() -> None:
    assert outcome(order(1), state=Raw(b"{}")).ledger is None
    assert outcome(order(1), under=compiled(accounts=())).ledger is None


# --------------------------------------------------------------------- refusals from outside, and numbers


@pytest.mark.parametrize(
    ("reason", "text", "counted"),
    [
        (Reason.CONTENTION, "the account was changed by other orders at every attempt; send the order again", False),
        (Reason.BATCH_REJECTED, "another order of the atomic batch was blocked, so none was approved", True),
        (
            Reason.EMERGENCY_STOP_ACTIVE,
            "a stop is in force: the earlier approval of this order no longer holds",
            False,
        ),
    ],
)
def test_a_refusal_from_outside_the_rules_comes_before_them(reason: Reason, text: str, counted: bool) -> None:
    decided = outcome(order(1, price=0), rate("order_rate", 5), forced=reason)
    assert (decided.decision.reason, decided.decision.message) == (reason, text)
    assert not decided.decision.approved
    assert (decided.ledger is not None) is counted
    if decided.ledger is not None:
        assert decided.ledger.consecutive_rejects == 0
        assert sum(decided.ledger.rates["order_rate"].counts) == 1


def test_refusals_about_the_moment_are_told_from_those_about_the_order() -> None:
    assert Reason.CONTENTION in TRANSIENT
    assert Reason.POLICY_VIOLATION not in TRANSIENT


@pytest.mark.parametrize("number", ["NaN", "sNaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize(
    "field", ["equity", "balance", "margin_used", "peak_equity", "daily_start_equity", "weekly_start_equity"]
)
def test_an_amount_of_the_state_that_is_no_number_is_an_unreadable_record(field: str, number: str) -> None:
    decision = check(order(1), at=state(**{field: number}))
    assert (decision.approved, decision.reason) == (False, Reason.STALE_ACCOUNT_STATE)


@pytest.mark.parametrize("number", ["NaN", "sNaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("field", ["quantity", "entry_price", "mark_price", "margin"])
def test_an_amount_of_a_position_that_is_no_number_is_an_unreadable_record(field: str, number: str) -> None:
    held = position(number) if field == "quantity" else position(1, **{field: number})
    assert check(order(1, SELL), at=state(held)).reason == Reason.STALE_ACCOUNT_STATE


@pytest.mark.parametrize("number", ["NaN", "sNaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_price_that_is_no_number_approves_nothing(number: str, side) -> None:
    for of in (order(1, side), market(1, side)):
        assert not check(of, at=state(position(5)), prices={"BTCUSDT": price(number)}).approved
        other = marks(ETHUSDT=number)
        # What only reduces a position needs no price but its own.
        reducing_anyway = side is SELL and number == "-Infinity"
        assert check(of, at=state(position(5), position(1, "ETHUSDT")), prices=other).approved is reducing_anyway


@pytest.mark.parametrize(
    "what",
    [
        {"own_price": "cheap"},
        {"own_price": "NaN"},
        {"at": state(equity="1E+400")},
        {"at": state(position("1E+70"))},
        {"ledger": holding(reservation("1E+70"))},
        {"prices": marks(BTCUSDT="1E+90")},
    ],
)
def test_what_cannot_be_worked_out_is_a_block_that_comes_out_again(what: dict[str, Any]) -> None:
    given = inputs(order(1), **what)
    under = compiled(soft("margin_available", ">=", 500))
    decision = check(order(1), under=under, **what)
    assert (decision.approved, decision.reason) == (False, Reason.STALE_ACCOUNT_STATE)
    assert reevaluate(given, under) == reevaluate(given, under)


def test_a_profile_bounds_a_single_trade_by_its_share_of_equity() -> None:
    micro = compiled(profiles=(profile(max_single_trade_risk=D("0.002")),))
    assert check(order("0.004"), under=micro).approved
    assert not check(order("0.00401"), under=micro).approved


def test_an_emergency_limit_is_told_as_one() -> None:
    decision = check(order(1), policy("leverage", "<=", 0, type=PolicyType.EMERGENCY))
    assert decision.violations[0].type == "emergency"
