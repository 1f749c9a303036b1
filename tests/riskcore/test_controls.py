"""What an account's ledger remembers between orders: rates, repeats, rejects, turnover, own orders (gates 7 and 8)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskcore.book import Parameters, Policy, Scope
from riskcore.calendar import microseconds, moment
from riskcore.reasons import Reason
from riskcore.types import Order
from tests.riskcore.builders import (
    BUY,
    NOW,
    SECOND,
    SELL,
    account,
    book,
    check,
    market,
    marks,
    order,
    policy,
    position,
    profile,
    rate,
    scoped,
    soft,
    state,
    stop,
)
from tests.riskcore.store import DictStore
from tests.support.properties import examples


def desk(*policies: Policy, **what) -> DictStore:
    """A store whose account never runs short, and whose state and prices never get old."""
    patient = Parameters(state_max_age_us=10**18, price_max_age_us=10**18, reservation_ttl_us=1)
    return DictStore(book(*policies, **{"parameters": patient, **what}), state(equity=10**9))


def send(store: DictStore, *seconds: float, of: Order | None = None) -> list[str | None]:
    """Send orders at these seconds and give their reasons."""
    reasons: list[str | None] = []
    for second in seconds:
        store.now_us = NOW + int(second * SECOND)
        number = len(store.journal)
        reasons.append(store.ask(of or order(1, price=50_000 + number, order_id=f"n{number}")).reason)
    return reasons


def one_of(field: str, which: str, **what: Any) -> Order:
    """An order whose field is this."""
    return order(1, **{**what, field: which})


LIMITED = Reason.RATE_LIMIT_EXCEEDED


# -------------------------------------------------------------------------------------------- message rate


def test_more_orders_than_the_rate_are_refused() -> None:
    assert send(desk(rate("order_rate", 3)), 0, 0, 0, 0, 5) == [None, None, None, LIMITED, LIMITED]


def test_the_rate_is_given_back_when_its_window_and_one_slice_have_passed() -> None:
    store = desk(rate("order_rate", 1))
    assert send(store, 0, 9.9, 10.9) == [None, LIMITED, LIMITED]
    store = desk(rate("order_rate", 1))
    assert send(store, 0, 11) == [None, None]


def test_a_refused_order_is_a_message_too() -> None:
    assert send(desk(rate("order_rate", 2)), 0, 9, 10, 11.5) == [None, None, LIMITED, LIMITED]


def test_a_reducing_order_is_a_message_too() -> None:
    store = desk(rate("order_rate", 1))
    store.put_state(state(position(100), equity=10**9))
    sell = [order(1, SELL, price=60_000, order_id=f"s{place}") for place in range(2)]
    assert [store.ask(one).reason for one in sell] == [None, LIMITED]


def test_a_clock_that_steps_back_forgets_no_message() -> None:
    assert send(desk(rate("order_rate", 2)), 100, 50, 100) == [None, None, LIMITED]


@pytest.mark.parametrize("window_s", [5, 20], ids=["shorter", "longer"])
def test_a_rate_forgets_no_message_when_its_window_is_changed(window_s) -> None:
    store = desk(rate("order_rate", 2, 10))
    send(store, 0)
    store.publish(book(rate("order_rate", 2, window_s), version=2))
    assert send(store, 1, 2) == [None, LIMITED]


def test_a_window_that_has_passed_is_forgotten() -> None:
    store = desk(rate("order_rate", 5, 1), rate("order_rate", 5, 1, id="eth", **scoped(Scope.SYMBOL, "ETHUSDT")))
    store.ask(order(1, symbol="ETHUSDT"))
    assert set(store.ledger().rates) == {"order_rate", "eth:ETHUSDT"}
    send(store, 1)
    assert set(store.ledger().rates) == {"order_rate", "eth:ETHUSDT"}
    send(store, 2)
    assert set(store.ledger().rates) == {"order_rate"}


@pytest.mark.parametrize(
    ("scope", "field", "mine", "other"),
    [
        (Scope.STRATEGY, "strategy_id", "carry", "momentum"),
        (Scope.SYMBOL, "symbol", "BTCUSDT", "ETHUSDT"),
        (Scope.EXCHANGE, "exchange", "binance", "bybit"),
    ],
)
def test_a_scoped_rate_counts_each_of_its_scope_by_itself(scope: Scope, field: str, mine: str, other: str) -> None:
    store = desk(rate("order_rate", 1, **scoped(scope, mine, other)))
    reasons = [
        store.ask(one_of(field, which, price=1_000 + place)).reason
        for place, which in enumerate([mine, other, mine, other])
    ]
    assert reasons == [None, None, LIMITED, LIMITED]


@pytest.mark.parametrize(
    "scope", [scoped(Scope.GLOBAL), scoped(Scope.ACCOUNT, "A", "B"), scoped(Scope.PROFILE, "free")]
)
def test_a_rate_of_a_wider_scope_counts_each_account_by_itself_and_all_of_its_orders(scope) -> None:
    store = desk(rate("order_rate", 1, **scope), accounts=(account("A"), account("B")))
    store.put_state(state(account_id="B"))
    assert store.ask(order(1)).approved
    assert store.ask(order(1, account_id="B")).approved
    assert store.ask(order(1, symbol="ETHUSDT", strategy_id="x")).reason is LIMITED


def test_a_soft_rate_warns() -> None:
    store = desk(soft("order_rate", "<=", 0, window_s=10))
    assert send(store, 0) == [None]
    assert b'"warnings":[{"policy_id":"order_rate"' in store.journal[0]


@given(st.integers(1, 4), st.integers(1, 30), st.lists(st.integers(0, 12_000_000), min_size=1, max_size=30))
@examples(300)
def test_no_window_of_any_length_has_more_orders_than_the_rate(most: int, window_s: int, gaps: list[int]) -> None:
    """And an order is refused only if there were as many within the window and one slice more."""
    store = desk(rate("order_rate", most, window_s))
    window_us, slice_us = window_s * SECOND, window_s * SECOND // 10
    sent: list[tuple[int, bool]] = []
    now = 0
    for gap in gaps:
        now += gap * window_s // 10
        (reason,) = send(store, now / SECOND)
        at = store.now_us
        earlier = [when for when, _passed in sent]
        sent.append((at, reason is None))
        if reason is None:
            passed = [when for when, fine in sent if fine and when > at - window_us]
            assert len(passed) <= most
        else:
            assert sum(when > at - window_us - slice_us for when in earlier) >= most


# ---------------------------------------------------------------------------------------- repeated orders


def repeats(store: DictStore, *orders: Order) -> list[str | None]:
    return [store.ask(one).reason for one in orders]


def test_an_order_repeated_too_often_is_refused() -> None:
    store = desk(rate("repeated_orders", 2))
    assert repeats(store, order(1), order(1), order(1)) == [None, None, LIMITED]


def test_another_order_in_between_starts_the_count_anew() -> None:
    store = desk(rate("repeated_orders", 1))
    assert repeats(store, order(1), order(2), order(1), order(1)) == [None, None, None, LIMITED]


@pytest.mark.parametrize(
    "other",
    [
        order(2),
        order(1, price=49_999),
        order(1, symbol="ETHUSDT", price=50_000),
        order(1, SELL, price=60_000),
        order(1, strategy_id="x"),
        order(1, exchange="x"),
        market(1),
    ],
)
def test_an_order_that_differs_in_anything_is_no_repetition(other: Order) -> None:
    assert repeats(desk(rate("repeated_orders", 1)), order(1), other) == [None, None]


def test_the_same_numbers_written_otherwise_are_a_repetition() -> None:
    store = desk(rate("repeated_orders", 1))
    assert repeats(store, order("1.0", price="5E+4"), order("1", price="50000.00")) == [None, LIMITED]


def test_repetitions_are_forgiven_when_the_window_has_passed() -> None:
    store = desk(rate("repeated_orders", 1))
    store.ask(order(1))
    store.now_us += 11 * SECOND
    assert store.ask(order(1)).approved


# -------------------------------------------------------------------------------------- consecutive rejects

BAD, GOOD = 1_000, 1  # quantities
REJECTS = (rate("consecutive_rejects", 2, 60), policy("order_notional", "<=", 1_000_000, priority=1))


def after(store: DictStore, *quantities: int, second: int = 0) -> list[tuple[bool, bool]]:
    """Send orders; give for each whether it passed, and whether it was for its rejects that it did not."""
    store.now_us = NOW + second * SECOND
    found = []
    for quantity in quantities:
        answer = store.ask(order(quantity))
        found.append((answer.approved, b"consecutive_rejects in" in answer.decision))
    return found


def test_too_many_rejects_in_a_row_keep_good_orders_out() -> None:
    store = desk(*REJECTS)
    assert after(store, BAD, BAD, BAD, GOOD) == [(False, False)] * 3 + [(False, True)]


def test_as_many_rejects_as_are_allowed_keep_nothing_out() -> None:
    assert after(desk(*REJECTS), BAD, BAD, GOOD)[-1] == (True, False)


def test_an_approval_ends_the_row() -> None:
    assert after(desk(*REJECTS), BAD, BAD, GOOD, BAD, BAD, GOOD)[-1] == (True, False)


def test_rejects_are_forgiven_when_the_window_after_the_last_one_has_passed() -> None:
    store = desk(*REJECTS)
    after(store, BAD, BAD, BAD)
    assert after(store, GOOD, second=60) == [(False, True)]
    assert after(store, GOOD, second=61) == [(True, False)]


def test_a_block_for_too_many_rejects_is_not_one_more() -> None:
    """Or an account that keeps asking would never get out."""
    store = desk(*REJECTS)
    after(store, BAD, BAD, BAD)
    for second in range(5, 60, 5):
        after(store, GOOD, second=second)
    assert store.ledger().consecutive_rejects == 3
    assert after(store, GOOD, second=61) == [(True, False)]


def test_blocks_of_the_moment_are_no_rejects() -> None:
    """A sender that goes on while nothing is approved has not lost its way."""
    store = DictStore(book(*REJECTS), state(equity=10**9))
    for reason, arrange, mend in (
        (Reason.EMERGENCY_STOP_ACTIVE, lambda: store.set_stops(stop()), store.set_stops),
        (Reason.PRICE_UNAVAILABLE, store.prices.clear, lambda: store.prices.update(marks())),
        (Reason.STALE_ACCOUNT_STATE, lambda: later(store, 100), lambda: later(store, -100)),
    ):
        arrange()
        assert [store.ask(order(1)).reason for _ in range(4)] == [reason] * 4
        mend()
        assert store.ledger().consecutive_rejects == 0
        assert store.ask(order(1)).approved


def later(store: DictStore, seconds: int) -> None:
    store.now_us += seconds * SECOND


def test_a_reducing_order_passes_whatever_was_rejected_before_it() -> None:
    store = desk(*REJECTS)
    after(store, BAD, BAD, BAD)
    store.put_state(state(position(5), equity=10**9))
    assert store.ask(order(1, SELL)).approved


# ------------------------------------------------------------------------------------------ daily turnover


def test_the_notional_approved_in_a_day_adds_up_to_its_limit() -> None:
    store = desk(policy("daily_notional", "<=", 100_000))
    assert [store.ask(order(1)).reason for _ in range(3)] == [None, None, Reason.POLICY_VIOLATION]


def test_a_blocked_order_and_a_what_if_do_not_count() -> None:
    store = desk(policy("daily_notional", "<=", 100_000))
    store.ask(order(1_000))
    store.ask(order(1, what_if=True))
    assert store.ledger().daily_notional == 0
    assert [store.ask(order(1)).reason for _ in range(3)] == [None, None, Reason.POLICY_VIOLATION]


def test_turnover_starts_anew_with_the_trading_day_and_not_before() -> None:
    store = desk(policy("daily_notional", "<=", 100_000))
    store.ask(order(2))
    roll = microseconds(moment(NOW).replace(day=8, hour=0))
    store.now_us = roll - 1
    assert not store.ask(order(1)).approved
    store.now_us = roll
    assert store.ask(order(2)).approved
    assert store.ledger().daily_notional == 100_000
    assert not store.ask(order(1)).approved


def test_turnover_is_counted_at_the_orders_own_price_and_a_market_orders_at_the_mark_and_slippage() -> None:
    store = desk()
    store.ask(order(1, price=40_000))
    store.ask(market(1))
    assert store.ledger().daily_notional == 40_000 + 50_050


def test_an_order_that_is_closed_stays_in_the_days_turnover() -> None:
    store = desk()
    store.ask(order(1))
    store.now_us += 10  # its reservation has run out
    store.ask(order(1, BUY, price=1))
    assert store.ledger().daily_notional == 50_001


# ----------------------------------------------------------------------------------------------- own orders


@pytest.mark.parametrize(
    ("side", "price", "own", "matches"),
    [
        (BUY, 50_000, "50001", False),
        (BUY, 50_000, "50000", True),
        (BUY, 50_000, "49999", True),
        (SELL, 50_000, "49999", False),
        (SELL, 50_000, "50000", True),
        (SELL, 50_000, "50001", True),
        (BUY, 0, "99999", True),  # a market order matches whatever there is
        (SELL, 0, "1", True),
    ],
)
def test_an_order_does_not_match_an_own_one_on_the_other_side(side, price, own, matches) -> None:
    of = order(1, side, price=price) if price else market(1, side)
    decision = check(of, own_price=own)
    assert decision.approved is not matches
    if matches:
        assert decision.reason == Reason.SELF_MATCH
        assert decision.message == f"the order would match the account's own open order in BTCUSDT at {own}"


def test_without_an_own_order_on_the_other_side_there_is_nothing_to_match() -> None:
    assert check(market(1)).approved


def test_an_own_order_on_another_exchange_or_of_another_account_does_not_match() -> None:
    store = desk(accounts=(account("A"), account("B")), parameters=Parameters())
    store.put_state(state(account_id="B", equity=10**9))
    assert store.ask(order(1, BUY, exchange="binance")).approved
    assert store.ask(order(1, SELL, exchange="bybit")).approved
    assert store.ask(order(1, SELL, exchange="binance", account_id="B")).approved
    assert store.ask(order(1, SELL, exchange="binance")).reason is Reason.SELF_MATCH


def test_open_orders_are_counted_with_this_one() -> None:
    store = desk(policy("open_orders", "<=", 2), parameters=Parameters())
    assert [store.ask(order(1)).reason for _ in range(3)] == [None, None, Reason.POLICY_VIOLATION]


def test_the_profile_of_an_account_may_list_strategies_and_bound_it_at_once() -> None:
    tight = profile(allowed_leverage=Decimal("0.0001"), strategies=("carry",))
    store = desk(profiles=(tight,))
    assert store.ask(order(1, strategy_id="x")).reason is Reason.STRATEGY_NOT_ALLOWED
    assert store.ask(order(1, strategy_id="carry")).approved
    assert store.ask(order(2, strategy_id="carry")).reason is Reason.POLICY_VIOLATION
