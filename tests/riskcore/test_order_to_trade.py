"""Orders asked for in a trading day over its trades (gate 8): what counts as either, and when both begin anew."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from riskcore.book import Mode, OnBreach, Override, Parameters, Policy, Scope
from riskcore.calendar import microseconds, moment
from riskcore.ledger import decode_ledger, encode_ledger, orders_to_trades
from riskcore.reasons import Reason
from riskcore.types import Ledger, Verdict
from tests.riskcore.builders import (
    DAY,
    NOW,
    SECOND,
    SELL,
    Number,
    account,
    book,
    check,
    holding,
    metrics_of,
    order,
    policy,
    position,
    scoped,
    soft,
    state,
    stop,
)
from tests.riskcore.store import DictStore
from tests.riskcore.test_fills import closed, fill, take
from tests.support.properties import examples

D = Decimal
VIOLATION = Reason.POLICY_VIOLATION
MIDNIGHT = microseconds(moment(NOW).replace(day=8, hour=0))


def ratio(most: Number, **what: Any) -> Policy:
    return policy("order_to_trade", "<=", most, **what)


def desk(*policies: Policy, **what: Any) -> DictStore:
    """A store whose account never runs short, and whose state and prices never get old."""
    patient = Parameters(state_max_age_us=10**18, price_max_age_us=10**18)
    return DictStore(book(*policies, **{"parameters": patient, **what}), state(equity=10**9))


def ask(store: DictStore, number: int = 1) -> list[str | None]:
    return [store.ask(order(1)).reason for _ in range(number)]


def counts(store: DictStore) -> tuple[int, int]:
    return store.ledger().daily_orders, store.ledger().daily_fills


def today(orders: int, fills: int, **what: Any) -> Ledger:
    return Ledger(daily_orders=orders, daily_fills=fills, **{"day_end_us": NOW + DAY, **what})


# ------------------------------------------------------------------------------------------------- what it stops


def test_more_orders_for_each_trade_than_the_limit_are_blocked() -> None:
    assert ask(desk(ratio(2)), 4) == [None, None, VIOLATION, VIOLATION]


def test_a_trade_makes_room_for_more_orders() -> None:
    store, first = desk(ratio(2)), order(1)
    store.ask(first)
    assert ask(store, 2) == [None, VIOLATION]
    take(store, fill(first, "0.4", 1))
    take(store, fill(first, "0.6", 2))
    assert ask(store, 2) == [None, VIOLATION]  # the fourth of 2 x 2, and the fifth


@pytest.mark.parametrize(("fills", "value"), [(0, "8"), (1, "8"), (2, "4"), (3, "2.666667"), (16, "0.5")])
def test_it_is_orders_with_this_one_over_trades_of_which_there_is_at_least_one(fills: int, value: str) -> None:
    decision = check(order(1), soft("order_to_trade", "<=", 0), ledger=today(7, fills))
    assert decision.warnings[0].value == D(value)


def test_it_is_compared_exactly_and_not_as_it_is_shown() -> None:
    third = ratio("2.66666666")
    assert not check(order(1), third, ledger=today(7, 3)).approved
    assert check(order(1), ratio("2.66666667"), ledger=today(7, 3)).approved


def test_the_message_says_the_ratio() -> None:
    decision = check(order(1), ratio(2), ledger=today(7, 3))
    assert decision.message == "Limit on order_to_trade: order_to_trade 2.666667 breaks <= 2"
    assert (decision.reason, metrics_of(decision.violations)) == (VIOLATION, ["order_to_trade"])


def test_no_quantity_would_pass_and_none_is_offered() -> None:
    decision = check(order(1), ratio(2, on_breach=OnBreach.SCALE_DOWN), ledger=today(7, 3))
    assert (decision.max_quantity, decision.decision) == (D(0), Verdict.BLOCK)


def test_what_reduces_a_position_passes_whatever_the_ratio() -> None:
    decision = check(order(1, SELL), ratio(2), at=state(position(2)), ledger=today(7, 0))
    assert decision.approved
    assert metrics_of(decision.warnings) == ["order_to_trade"]
    assert check(order(9, SELL), ratio(2), at=state(position(2)), ledger=today(7, 0)).max_quantity == 2


def test_a_soft_limit_warns_and_one_in_shadow_is_only_told() -> None:
    decision = check(order(1), soft("order_to_trade", "<=", 2), ledger=today(7, 0))
    assert (decision.approved, metrics_of(decision.warnings)) == (True, ["order_to_trade"])
    decision = check(order(1), ratio(2, mode=Mode.SHADOW), ledger=today(7, 0))
    assert (decision.approved, metrics_of(decision.shadow_violations or ())) == (True, ["order_to_trade"])


def test_an_override_lets_an_order_through() -> None:
    granted = Override(id="O", account_id="A", reason="the venue was down", until_us=NOW + 60 * SECOND)
    store = desk(ratio(1), overrides=(granted,))
    assert ask(store, 3) == [None, None, VIOLATION]


def test_it_is_of_the_account_whichever_orders_it_is_put_on() -> None:
    """A limit on one symbol is held against that symbol's orders, with all of the account's."""
    store = desk(ratio(2, **scoped(Scope.SYMBOL, "ETHUSDT")), accounts=(account(), account("B")))
    store.put_state(state(account_id="B", equity=10**9))
    assert ask(store, 3) == [None] * 3
    assert store.ask(order(1, symbol="ETHUSDT")).reason is VIOLATION
    assert store.ask(order(1, symbol="ETHUSDT", account_id="B")).approved


# -------------------------------------------------------------------------------------------- what is an order


def test_a_blocked_order_was_asked_for_too() -> None:
    store = desk(policy("order_quantity", "<=", 5))
    store.ask(order(9))
    store.set_stops(stop())
    store.ask(order(1))
    assert counts(store) == (2, 0)


def test_a_what_if_counts_nothing_and_is_held_against_what_was_counted() -> None:
    store = desk(ratio(2))
    for _ in range(5):
        assert store.ask(order(1, what_if=True)).approved
    assert ask(store, 2) == [None, None]
    assert store.ask(order(1, what_if=True)).reason is VIOLATION
    assert counts(store) == (2, 0)


def test_an_order_that_gets_its_first_answer_again_counts_once() -> None:
    store, once = desk(), order(1)
    store.ask(once)
    assert store.ask(once).replayed
    assert counts(store) == (1, 0)


def test_the_orders_of_a_batch_count_one_after_the_other() -> None:
    store = desk(ratio(2))
    assert [answer.reason for answer in store.check(order(1), order(1), order(1))] == [None, None, VIOLATION]
    assert counts(store) == (3, 0)


def test_an_order_that_is_closed_stays_in_the_days_count() -> None:
    store, of = desk(ratio(1)), order(1)
    store.ask(of)
    take(store, closed(of))
    assert counts(store) == (1, 0)
    assert ask(store) == [VIOLATION]


# --------------------------------------------------------------------------------------------- what is a trade


def test_a_fill_that_is_told_twice_is_one_trade() -> None:
    store, of = desk(), order(2)
    store.ask(of)
    for _ in range(2):
        take(store, fill(of, 1, 1))
    take(store, fill(of, 1, 2))
    assert counts(store) == (1, 2)


def test_a_fill_of_an_order_that_holds_nothing_any_more_is_a_trade() -> None:
    store, of = desk(), order(2)
    store.ask(of)
    take(store, closed(of))
    take(store, fill(of, 1))
    assert counts(store) == (1, 1)


def test_a_fill_of_an_order_that_nobody_asked_about_is_a_trade_of_an_account_that_was_asked_about() -> None:
    store = desk()
    store.ask(order(1))
    take(store, fill(order(1), 1))
    assert counts(store) == (1, 1)


def test_a_fill_begins_no_ledger() -> None:
    """The one that was lost is put back whole, by what was recorded of it, and only where there is none."""
    store, of = desk(), order(1)
    take(store, fill(of, 1))
    assert store.accounts["A"].ledger is None
    store.ask(of)
    assert counts(store) == (1, 0)


def test_a_fill_that_is_not_taken_is_no_trade() -> None:
    store, of = desk(), order(5)
    store.ask(of)
    with pytest.raises(Exception, match=r"but order .* does not"):
        take(store, fill(of, 1, side=SELL))
    assert counts(store) == (1, 0)


# --------------------------------------------------------------------------------------------------- the day


def test_both_counts_begin_anew_with_the_trading_day_and_not_before() -> None:
    store, of = desk(ratio(2)), order(2)
    store.now_us = MIDNIGHT - 1
    store.ask(of)
    take(store, fill(of, 1))
    assert ask(store, 2) == [None, VIOLATION]
    store.now_us = MIDNIGHT
    assert ask(store, 3) == [None, None, VIOLATION]
    assert counts(store) == (3, 0)


def test_a_fill_counts_in_the_day_in_which_it_is_told() -> None:
    store, of = desk(), order(2)
    store.now_us = MIDNIGHT - 1
    store.ask(of)
    store.now_us = MIDNIGHT
    take(store, fill(of, 1))
    assert counts(store) == (0, 1)
    assert store.ledger().daily_notional == 0


def test_a_blocked_order_begins_the_day_as_well() -> None:
    store = desk(policy("order_quantity", "<=", 5))
    store.ask(order(1))
    store.now_us = MIDNIGHT
    store.ask(order(9))
    assert (counts(store), store.ledger().daily_notional) == ((1, 0), D(0))


def test_the_day_begins_when_the_settings_say_so() -> None:
    new_york = Parameters(day_zone="America/New_York", day_roll_minute=17 * 60, state_max_age_us=10**18)
    store = desk(ratio(1), parameters=new_york)
    store.ask(order(1))
    assert store.ledger().day_end_us == microseconds(moment(NOW).replace(hour=22))


def test_without_an_order_it_is_what_the_day_has_until_now() -> None:
    assert orders_to_trades(today(7, 2), NOW) == D("3.5")
    assert orders_to_trades(today(7, 2), NOW + DAY) == 0
    assert orders_to_trades(Ledger(), NOW) == 0


# --------------------------------------------------------------------------------------- what was written before


def test_a_ledger_from_before_there_were_counts_has_none() -> None:
    ledger = decode_ledger(b'{"daily_notional":"700","day_end_us":%d}' % (NOW + DAY))
    assert (ledger.daily_orders, ledger.daily_fills) == (0, 0)
    assert check(order(1), ratio(1), ledger=Raw(encode_ledger(ledger))).approved


def test_a_ledger_without_counts_is_written_as_it_always_was() -> None:
    assert encode_ledger(holding(daily_notional=D(700))) == b'{"daily_notional":"700"}'


@pytest.mark.parametrize("content", [b'{"daily_orders":-1}', b'{"daily_fills":-1}', b'{"daily_orders":1.5}'])
def test_a_count_that_cannot_be_one_blocks_every_order(content: bytes) -> None:
    assert check(order(1), ledger=Raw(content)).reason is Reason.STALE_ACCOUNT_STATE


# ------------------------------------------------------------------------------------------------- at random


@given(st.randoms(use_true_random=False))
@examples(150)
def test_whatever_comes_the_counts_are_those_of_a_list_of_what_came(random: Random) -> None:
    store = desk(ratio(random.choice((1, 2, "2.5", 5))))
    most = store.books[1].book.policies[0].threshold
    asked: list[int] = []
    traded: list[int] = []
    sent = [order(2)]
    for place in range(random.randint(1, 25)):
        store.now_us += random.choice((0, SECOND, 3_600 * SECOND, 9 * 3_600 * SECOND))
        day = store.now_us // DAY
        if random.random() < 0.6:
            sent.append(order(2, what_if=random.random() < 0.2, ttl_us=10**15))
            answer = store.ask(sent[-1])
            expected = D(sum(one == day for one in asked) + 1) / max(1, sum(one == day for one in traded))
            assert answer.approved is (expected <= most)
            asked += [] if sent[-1].what_if else [day]
        elif take(store, fill(random.choice(sent), "0.001", random.randint(1, 4))).is_new and asked:
            traded.append(day)
        if asked:
            orders, fills = (sum(one == day for one in each) for each in (asked, traded))
            assert orders_to_trades(store.ledger(), store.now_us) == D(orders) / max(1, fills), place
