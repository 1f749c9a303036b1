"""Figures of an account on several exchanges, and of one that cannot be valued."""

from __future__ import annotations

from decimal import Decimal

from riskcore.book import Scope
from riskcore.reasons import Reason
from riskcore.types import RiskLevel
from tests.riskcore.builders import (
    SELL,
    book,
    check,
    compiled,
    holding,
    marks,
    order,
    policy,
    position,
    rate,
    reservation,
    scoped,
    state,
)
from tests.riskcore.store import DictStore


def test_naming_another_exchange_makes_no_new_room_in_a_symbol() -> None:
    for metric, most in (("position_value", 500_000), ("concentration", 5)):
        store = DictStore(book(policy(metric, "<=", most)))
        assert store.ask(order(10, exchange="ONE")).approved
        again = store.ask(order(1, exchange="TWO"))
        assert (again.approved, again.reason) == (False, Reason.POLICY_VIOLATION)


def test_the_largest_quantity_counts_what_the_symbol_has_on_other_exchanges() -> None:
    under = compiled(policy("position_value", "<=", 500_000))
    held = state(position(4, exchange="ONE"))
    assert check(order(7, exchange="TWO"), under=under, at=held).max_quantity == 6
    assert check(order(6, exchange="TWO"), under=under, at=held).approved


ONE = scoped(Scope.EXCHANGE, "ONE")


def test_a_limit_of_an_exchange_is_on_what_the_account_has_there() -> None:
    held = state(position(2, exchange="ONE"), position(9, exchange="TWO"), position(1, "ETHUSDT"))
    under = compiled(policy("gross_exposure", "<=", 200_000, **ONE))
    assert check(order(1, exchange="ONE"), under=under, at=held).approved  # 150,000, and 3,000 that may be there
    refused = check(order(2, exchange="ONE"), under=under, at=held)
    assert refused.reason is Reason.POLICY_VIOLATION
    assert refused.violations[0].value == 203_000
    assert check(order(9, exchange="TWO"), under=under, at=held).approved


def test_where_nobody_knows_where_an_order_goes_all_of_the_account_counts() -> None:
    held = state(position(2, "ETHUSDT", exchange="ONE"), position(9, "ETHUSDT", exchange="TWO"))
    under = compiled(policy("gross_exposure", "<=", 60_000, **ONE))
    refused = check(order(1), under=under, at=held)
    assert [breach.value for breach in refused.violations] == [83_000]


def test_the_largest_quantity_goes_by_the_room_on_the_exchange() -> None:
    held = state(position(2, exchange="ONE"), position(1, exchange="TWO"))
    for operator, most in (("<=", 3), ("<", "2.999999999999")):
        under = compiled(policy("position_value", operator, 250_000, **ONE), policy("leverage", "<=", 100))
        assert check(order(1, exchange="ONE"), under=under, at=held).max_quantity == Decimal(most)


def test_a_position_of_nothing_needs_no_price() -> None:
    gone, held = position(0, "GONE"), position(1)
    assert check(order(1), at=state(held, gone)).approved
    with_orders = holding(reservation(1, symbol="GONE"))
    assert check(order(1), at=state(held, gone), ledger=with_orders).reason is Reason.PRICE_UNAVAILABLE


def test_an_order_that_only_reduces_needs_no_price_of_another_symbol() -> None:
    held = state(position(5), position(1, "ETHUSDT"))
    stale = {"BTCUSDT": marks()["BTCUSDT"]}
    blocked = check(order(1), at=held, prices=stale)
    assert blocked.reason is Reason.PRICE_UNAVAILABLE
    closing = check(order(5, SELL), at=held, prices=stale)
    assert closing.approved
    assert closing.max_quantity == 5
    assert closing.risk_level is RiskLevel.UNKNOWN
    assert set(closing.post_trade_metrics.values()) == {None}


def test_an_order_that_only_reduces_needs_its_own_price_and_keeps_to_the_message_rate() -> None:
    held = state(position(5), position(1, "ETHUSDT"))
    assert check(order(5, SELL), at=held, prices={}).reason is Reason.PRICE_UNAVAILABLE
    stale = {"BTCUSDT": marks()["BTCUSDT"]}
    under = compiled(rate("order_rate", 0))
    refused = check(order(5, SELL), under=under, at=held, prices=stale)
    assert refused.reason is Reason.RATE_LIMIT_EXCEEDED
    assert refused.max_quantity == 0
