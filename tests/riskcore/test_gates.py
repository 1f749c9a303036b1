"""The gates of SPEC 3, each refusing and letting pass, and their order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec import Raw

from riskcore.book import Parameters, Scope
from riskcore.ports import Signal, StopScope
from riskcore.reasons import Reason
from riskcore.types import Decision, OrderType, RiskLevel, TradingState
from tests.riskcore.builders import (
    BUY,
    DAY,
    NOW,
    SECOND,
    SELL,
    account,
    check,
    compiled,
    holding,
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
    scoped,
    state,
    stop,
)

REDUCING = TradingState.REDUCING


def reason_of(of, *policies, **what) -> str | None:
    return check(of, *policies, **what).reason


# ----------------------------------------------------------------------------------- gate 1: well-formed


@pytest.mark.parametrize("kind", [OrderType.LIMIT, OrderType.STOP_LIMIT])
def test_an_order_of_a_type_that_has_a_price_needs_one(kind: OrderType) -> None:
    decision = check(order(1, order_type=kind, price=0))
    assert (decision.reason, decision.message) == (Reason.INVALID_ORDER, f"price: a {kind} order needs one")
    assert check(order(1, order_type=kind, price=50_000)).approved


def test_a_market_order_has_no_price() -> None:
    assert reason_of(market(1, price=50_000)) == Reason.INVALID_ORDER
    assert check(market(1)).approved


def test_a_stop_order_may_have_a_price_or_none() -> None:
    assert check(order(1, order_type=OrderType.STOP, price=0)).approved
    assert check(order(1, order_type=OrderType.STOP, price=49_000)).approved


@pytest.mark.parametrize(
    ("rule", "bad", "good"),
    [
        ({"tick_size": "0.5"}, {"price": "50000.3"}, {"price": "50000.5"}),
        ({"lot_size": "0.1"}, {"quantity": "0.15"}, {"quantity": "0.2"}),
        ({"min_quantity": "0.1"}, {"quantity": "0.09"}, {"quantity": "0.1"}),
        ({"max_quantity": "10"}, {"quantity": "10.1"}, {"quantity": "10"}),
    ],
)
def test_an_order_keeps_to_the_rules_of_its_instrument(rule, bad: dict[str, Any], good: dict[str, Any]) -> None:
    under = compiled(instruments=(instrument(**rule),))
    refused = check(order(**bad), under=under)
    assert refused.reason == Reason.INVALID_ORDER
    assert refused.message.startswith(f"{next(iter(bad))}: ")
    assert check(order(**good), under=under).approved


def test_rules_that_are_not_known_are_not_checked() -> None:
    under = compiled(instruments=(instrument(),))
    assert check(order("0.123456789", price="1.23456789"), under=under).approved
    assert check(order("0.123456789", price="1.23456789", symbol="ETHUSDT"), under=under).approved


def test_a_market_order_is_on_every_tick() -> None:
    assert check(market(1), under=compiled(instruments=(instrument(tick_size="0.7"),))).approved


# ------------------------------------------------------------------------------------------ gate 2: stop


def test_a_halt_stops_every_order_reducing_ones_too() -> None:
    assert reason_of(order(1), stops=(stop(),)) == Reason.EMERGENCY_STOP_ACTIVE
    assert reason_of(order(1, SELL), at=state(position(2)), stops=(stop(),)) == Reason.EMERGENCY_STOP_ACTIVE


def test_reducing_stops_what_opens_enlarges_or_flips_and_lets_the_rest_pass() -> None:
    for held, side, quantity, passes in [
        (0, BUY, 1, False),
        (2, BUY, 1, False),
        (2, SELL, 3, False),
        (2, SELL, 2, True),
        (-2, BUY, 1, True),
    ]:
        decision = check(order(quantity, side), at=state(position(held)), stops=(stop(REDUCING),))
        assert decision.approved is passes
        assert decision.trading_state is REDUCING


def test_reducing_needs_a_fresh_position_to_reduce() -> None:
    old = state(position(2), received_at_us=NOW - DAY)
    assert reason_of(order(1, SELL), at=old, stops=(stop(REDUCING),)) == Reason.EMERGENCY_STOP_ACTIVE


# ------------------------------------------------------------------------------- gate 3: the risk of the firm


def told(level: RiskLevel = RiskLevel.INFO, *, action: bool = False, seconds_ago: int = 0) -> dict[str, Any]:
    return {"signal": Signal(level, action, NOW - seconds_ago * SECOND)}


CRITICAL = told(RiskLevel.CRITICAL)
SILENCE_BLOCKS = compiled(parameters=Parameters(silence_blocks=True))


def test_nothing_is_added_while_the_firm_is_at_its_limits() -> None:
    assert reason_of(order(1), **CRITICAL) == Reason.GLOBAL_RISK_CRITICAL
    assert reason_of(order(1), **told(RiskLevel.CRITICAL, action=True)) == Reason.EMERGENCY_ACTION_REQUIRED
    for level in (RiskLevel.UNKNOWN, RiskLevel.INFO, RiskLevel.WARNING):
        assert check(order(1), **told(level)).approved


def test_what_reduces_passes_whatever_the_firm_is_at() -> None:
    demanding = told(RiskLevel.CRITICAL, action=True)
    assert check(order(1, SELL), at=state(position(2)), **demanding).approved
    assert check(order(1, SELL), at=state(position(2)), **demanding).max_quantity == 2
    assert reason_of(order(3, SELL), at=state(position(2)), **demanding) == Reason.EMERGENCY_ACTION_REQUIRED


def test_a_signal_that_is_too_old_says_nothing() -> None:
    assert check(order(1), **told(RiskLevel.CRITICAL, seconds_ago=6)).approved
    assert reason_of(order(1), **told(RiskLevel.CRITICAL, seconds_ago=5)) == Reason.GLOBAL_RISK_CRITICAL


def test_a_silent_monitor_blocks_where_it_is_set_to() -> None:
    for silence in ({}, told(seconds_ago=6)):
        decision = check(order(1), under=SILENCE_BLOCKS, **silence)
        assert decision.reason == Reason.GLOBAL_RISK_CRITICAL
        assert decision.message == "nobody knows the risk of the firm: the monitor is silent"
        assert check(order(1, SELL), at=state(position(2)), under=SILENCE_BLOCKS, **silence).approved
    assert check(order(1), under=SILENCE_BLOCKS, **told(seconds_ago=5)).approved


def test_a_block_for_the_firm_is_no_reject_of_the_account() -> None:
    left = outcome(order(1), **CRITICAL).ledger
    assert left is not None
    assert left.consecutive_rejects == 0


# -------------------------------------------------------------------------------- gate 4: restricted symbol


def restricted(of, *positions, **what) -> str | None:
    return reason_of(of, under=compiled(restrictions=(restriction(**what),)), at=state(*positions))


def test_a_restricted_symbol_is_not_traded_and_the_others_are() -> None:
    assert restricted(order(1)) == Reason.SYMBOL_BLOCKED
    assert restricted(order(1, SELL), position(2)) == Reason.SYMBOL_BLOCKED
    assert restricted(order(1, symbol="ETHUSDT")) is None


def test_a_restriction_of_one_side_leaves_the_other() -> None:
    assert restricted(order(1, BUY), side=BUY) == Reason.SYMBOL_BLOCKED
    assert restricted(order(1, SELL), side=BUY) is None


def test_a_restriction_of_one_account_leaves_the_others() -> None:
    assert restricted(order(1), account_id="A") == Reason.SYMBOL_BLOCKED
    assert restricted(order(1), account_id="B") is None


def test_a_restriction_ends_at_its_moment() -> None:
    assert restricted(order(1), until_us=NOW + 1) == Reason.SYMBOL_BLOCKED
    assert restricted(order(1), until_us=NOW) is None


def test_a_close_only_symbol_may_be_reduced_and_nothing_else() -> None:
    assert restricted(order(1), close_only=True) == Reason.SYMBOL_BLOCKED
    assert restricted(order(3, SELL), position(2), close_only=True) == Reason.SYMBOL_BLOCKED
    assert restricted(order(2, SELL), position(2), close_only=True) is None


def test_a_restriction_says_why_and_until_when() -> None:
    until = restriction(reason="earnings", until_us=NOW)
    decision = check(order(1), under=compiled(restrictions=(until,)), now_us=NOW - 1)
    assert decision.message == "BTCUSDT is restricted until 2026-01-07 12:00:00 UTC: earnings"
    decision = check(order(1), under=compiled(restrictions=(restriction(close_only=True),)))
    assert decision.message == "BTCUSDT may only be closed: a delisting"


def test_the_second_of_two_restrictions_counts_too() -> None:
    under = compiled(restrictions=(restriction(side=SELL), restriction(side=BUY)))
    assert reason_of(order(1), under=under) == Reason.SYMBOL_BLOCKED


# -------------------------------------------------------------------------- gate 5: account, state, price


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ({"accounts": ()}, "account A is not known"),
        ({"accounts": (account(enabled=False),)}, "account A is disabled"),
        ({"accounts": (account(profile="gone"),)}, "account A has no capital profile in force"),
    ],
)
def test_an_account_that_officers_do_not_let_trade_is_refused(what: dict[str, Any], text: str) -> None:
    decision = check(order(1), under=compiled(**what))
    assert (decision.reason, decision.message) == (Reason.UNKNOWN_ACCOUNT, text)


def test_an_account_without_a_state_is_refused() -> None:
    decision = check(order(1), state=Raw(b"null"))
    assert (decision.reason, decision.account_state_at) == (Reason.STALE_ACCOUNT_STATE, None)
    assert decision.message == "no state of account A has been reported"


def test_a_state_that_cannot_be_read_is_refused() -> None:
    decision = check(order(1), state=Raw(b"{}"))
    assert decision.reason == Reason.STALE_ACCOUNT_STATE
    assert decision.message == "the records of account A are unreadable"


def test_a_state_is_accepted_up_to_its_greatest_age_and_not_a_microsecond_longer() -> None:
    decision = check(order(1), at=state(received_at_us=NOW - 5 * SECOND - 1))
    assert decision.reason == Reason.STALE_ACCOUNT_STATE
    assert decision.message == "the state of account A is 5.0 s old, at most 5 s is accepted"
    assert check(order(1), at=state(received_at_us=NOW - 5 * SECOND)).approved


def test_a_state_that_was_long_on_its_way_is_refused() -> None:
    assert reason_of(order(1), at=state(sent_at_us=NOW - 60 * SECOND)) == Reason.STALE_ACCOUNT_STATE


def test_an_order_without_a_price_of_its_symbol_is_refused() -> None:
    assert reason_of(order(1, symbol="XRPUSDT")) == Reason.PRICE_UNAVAILABLE
    assert reason_of(order(1), prices={"BTCUSDT": price(1, age_us=5 * SECOND + 1)}) == Reason.PRICE_UNAVAILABLE


def test_an_account_with_a_position_that_cannot_be_valued_is_refused_in_every_symbol() -> None:
    held = state(position(5, "XRPUSDT"))
    assert reason_of(order(1), at=held) == Reason.PRICE_UNAVAILABLE
    assert check(order(1), at=held, prices=marks(XRPUSDT=1)).approved


# -------------------------------------------------------------------------------- reduce-only, gate 6 and 7


def test_a_reduce_only_order_that_would_not_strictly_reduce_is_refused() -> None:
    for held, side, quantity in [(0, SELL, 1), (2, BUY, 1), (2, SELL, 3), (-1, BUY, 2)]:
        decision = check(order(quantity, side, reduce_only=True), at=state(position(held)))
        assert decision.reason == Reason.NOT_REDUCING
        assert decision.message == "the order would not strictly reduce a position in BTCUSDT"
        assert decision.max_quantity is None


def test_a_reduce_only_order_counts_the_orders_already_open() -> None:
    held = {"at": state(position(2)), "ledger": holding(reservation(1, SELL))}
    assert reason_of(order(2, SELL, reduce_only=True), **held) == Reason.NOT_REDUCING
    assert reason_of(order(1, SELL, reduce_only=True), **held) is None


def test_a_strategy_that_the_profile_does_not_list_is_refused() -> None:
    under = compiled(profiles=(profile(strategies=("carry", "momentum")),))
    decision = check(order(1, strategy_id="gamble"), under=under)
    assert decision.reason == Reason.STRATEGY_NOT_ALLOWED
    assert decision.message == "strategy gamble is not allowed by profile free"
    assert check(order(1), under=under).message == "strategy (none named) is not allowed by profile free"
    assert check(order(1, strategy_id="momentum"), under=under).approved


def test_a_profile_without_a_list_allows_every_strategy() -> None:
    assert check(order(1, strategy_id="gamble")).approved
    assert check(order(1)).approved


def test_an_order_id_of_another_order_is_refused() -> None:
    decision = check(order(1, order_id="x"), duplicate=True)
    assert decision.reason == Reason.DUPLICATE_ORDER
    assert decision.message == "order_id x was already used for another order of this account"


# ------------------------------------------------------------------------------- gates 8 to 11 (see others)


@pytest.mark.parametrize("metric", ["order_quantity", "order_notional", "price_deviation", "open_orders"])
def test_an_order_control_stops_alone_and_before_the_account_is_looked_at(metric: str) -> None:
    decision = check(
        order(3, price=49_000), policy("leverage", "<=", 0), policy(metric, "<=", 0), at=state(equity=1_000)
    )
    assert decision.reason == Reason.POLICY_VIOLATION
    assert metrics_of(decision.violations) == [metric]


def test_an_order_type_that_the_instrument_does_not_take_is_refused() -> None:
    under = compiled(instruments=(instrument(order_types=(OrderType.LIMIT, OrderType.STOP)),))
    decision = check(market(1), under=under)
    assert decision.reason == Reason.POLICY_VIOLATION
    assert decision.message == "MARKET orders are not allowed in BTCUSDT, only LIMIT, STOP"
    assert decision.violations == ()
    assert check(order(1), under=under).approved


def test_margin_and_every_failing_limit_are_reported_together() -> None:
    decision = check(order(100), policy("leverage", "<=", 10), policy("gross_exposure", "<=", 10), at=state())
    assert decision.reason == Reason.INSUFFICIENT_MARGIN
    assert metrics_of(decision.violations) == ["margin_available", "gross_exposure", "leverage"]


def test_the_margin_of_the_specifications_example() -> None:
    decision = check(order(100, price=50_000), at=state(equity=100_000, margin_used=10_000))
    assert decision.message == "insufficient margin: need 500000.00, available 90000.00"
    (breach,) = decision.violations
    assert (breach.policy_id, breach.name, breach.type, breach.metric) == (
        None,
        "Margin available",
        "hard",
        "margin_available",
    )
    assert (breach.value, breach.operator, breach.threshold) == (Decimal(-410_000), ">=", Decimal(0))
    assert breach.message == decision.message


def test_margin_that_is_exactly_there_is_enough() -> None:
    assert reason_of(order(2, price=50_000), at=state(equity="9999.99")) == Reason.INSUFFICIENT_MARGIN
    assert check(order(2, price=50_000), at=state(equity=10_000)).approved


def test_margin_reserved_by_open_orders_is_not_available() -> None:
    decision = check(order(2), at=state(equity=20_000), ledger=holding(reservation(3)))
    assert decision.message == "insufficient margin: need 10000.00, available 5000.00"


@pytest.mark.parametrize(
    ("bound", "what"),
    [
        ({"allowed_leverage": Decimal("0.9")}, {}),
        ({"max_single_trade_risk": Decimal("0.9")}, {}),
        ({"max_daily_loss": Decimal("0.1")}, {"daily_start_equity": 120_000}),
        ({"max_weekly_loss": Decimal("0.1")}, {"weekly_start_equity": 120_000}),
        ({"max_open_positions": 0}, {}),
    ],
)
def test_a_bound_of_the_profile_refuses(bound: dict[str, Any], what: dict[str, Any]) -> None:
    decision = check(order(2), under=compiled(profiles=(profile(**bound),)), at=state(**what))
    assert decision.reason == Reason.POLICY_VIOLATION
    (breach,) = decision.violations
    assert breach.policy_id == f"profile:free:{breach.metric}"
    assert check(order(2), at=state(**what)).approved


# ------------------------------------------------------------------------------------------ their order

STALE = state(received_at_us=NOW - DAY)
# What makes an order fail at each gate: fields of the order, of the inputs, and of the book.
FAILURES: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    (Reason.INVALID_ORDER, {"price": 0}, {}, {}),
    (Reason.EMERGENCY_STOP_ACTIVE, {}, {"stops": (stop(scope=StopScope.SYMBOL, scope_id="BTCUSDT"),)}, {}),
    (Reason.EMERGENCY_ACTION_REQUIRED, {}, told(action=True), {}),
    (Reason.SYMBOL_BLOCKED, {}, {}, {"restrictions": (restriction(),)}),
    (Reason.UNKNOWN_ACCOUNT, {}, {}, {"accounts": (account(enabled=False),)}),
    (Reason.STALE_ACCOUNT_STATE, {}, {"at": STALE}, {}),
    (Reason.PRICE_UNAVAILABLE, {}, {"prices": {}}, {}),
    (Reason.NOT_REDUCING, {"reduce_only": True}, {}, {}),
    (Reason.STRATEGY_NOT_ALLOWED, {"strategy_id": "x"}, {}, {"profiles": (profile(strategies=("y",)),)}),
    (Reason.DUPLICATE_ORDER, {}, {"duplicate": True}, {}),
    (Reason.RATE_LIMIT_EXCEEDED, {}, {}, {"policies": (rate("order_rate", 0),)}),
    (Reason.SELF_MATCH, {}, {"own_price": "49000"}, {}),
    (Reason.POLICY_VIOLATION, {}, {}, {"policies": (policy("order_quantity", "<", 1_000),)}),
    (Reason.INSUFFICIENT_MARGIN, {"quantity": 1_000}, {}, {}),
    (Reason.POLICY_VIOLATION, {}, {}, {"policies": (policy("leverage", "<=", 0),)}),
]


def fail_at(*gates: int) -> Decision:
    """Decide an order that fails at each of these gates."""
    of: dict[str, Any] = {"quantity": 1_000}
    given: dict[str, Any] = {"at": state(equity=10**9)}
    rules: dict[str, Any] = {}
    for gate in gates:
        _reason, order_what, inputs_what, book_what = FAILURES[gate]
        if "quantity" in order_what:
            given = {"at": state(), **given} if given["at"] is STALE else {**given, "at": state()}
        of |= order_what
        given |= inputs_what
        policies = rules.get("policies", ()) + book_what.get("policies", ())
        rules |= {**book_what, "policies": policies}
    policies = rules.pop("policies", ())
    return check(order(**of), under=compiled(*policies, **rules), **given)


@pytest.mark.parametrize("gate", range(len(FAILURES)))
def test_each_gate_refuses_with_its_reason(gate: int) -> None:
    decision = fail_at(gate)
    assert (decision.approved, decision.reason) == (False, FAILURES[gate][0])
    assert decision.decision == "block"


@pytest.mark.parametrize(
    ("earlier", "later"),
    [(earlier, later) for later in range(len(FAILURES)) for earlier in range(later)],
)
def test_an_order_that_fails_at_two_gates_reports_the_earlier(earlier: int, later: int) -> None:
    assert fail_at(earlier, later).reason == FAILURES[earlier][0]


def test_an_order_that_fails_at_no_gate_passes() -> None:
    decision = fail_at()
    assert (decision.approved, decision.reason, decision.message) == (True, None, "approved")


def test_what_stops_before_the_figures_shows_none() -> None:
    for gate in range(7):
        decision = fail_at(gate)
        assert decision.post_trade_metrics == decision.limit_utilization == {}
        assert decision.binding_limit is None
        assert decision.max_quantity is None
        assert decision.risk_level == "UNKNOWN"


# ------------------------------------------------------------------------- what a reducing order is spared


@pytest.mark.parametrize("gate", [11, 12, 13, 14])
def test_a_reducing_order_is_spared_self_match_limits_and_margin(gate: int) -> None:
    _reason, _order, inputs_what, book_what = FAILURES[gate]
    under = compiled(*book_what.get("policies", ()))
    decision = check(order(1, SELL), under=under, at=state(position(5), equity=1), **inputs_what)
    assert decision.approved


def test_a_reducing_order_is_not_spared_the_message_rate() -> None:
    assert reason_of(order(1, SELL), rate("order_rate", 0), at=state(position(5))) == Reason.RATE_LIMIT_EXCEEDED


def test_a_reducing_order_is_not_spared_a_used_order_id_nor_a_malformed_one() -> None:
    assert reason_of(order(1, SELL), duplicate=True, at=state(position(5))) == Reason.DUPLICATE_ORDER
    assert reason_of(order(1, SELL, price=0), at=state(position(5))) == Reason.INVALID_ORDER


def test_a_reducing_order_is_spared_the_order_types_of_its_instrument() -> None:
    under = compiled(instruments=(instrument(order_types=(OrderType.LIMIT,)),))
    assert check(market(1, SELL), under=under, at=state(position(5))).approved


def test_a_reducing_order_says_why_it_was_let_through() -> None:
    decision = check(order(1, SELL), policy("leverage", "<=", 0), at=state(position(5)))
    assert decision.message == "approved: the order strictly reduces a position"
    assert metrics_of(decision.warnings) == ["leverage"]


def test_a_limit_of_another_account_stops_nobody_else() -> None:
    assert check(order(1), policy("leverage", "<=", 0, **scoped(Scope.ACCOUNT, "B"))).approved
