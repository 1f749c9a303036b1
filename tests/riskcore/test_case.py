"""An order beside its account: which position it changes, which stops and limits see it, which mark it has."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from riskcore.book import Parameters, Scope
from riskcore.case import age_us, build_case, find_leg
from riskcore.ports import Stop, StopScope
from riskcore.reasons import Reason
from riskcore.types import OpenOrders, Price, Side, TradingState, position_key
from tests.riskcore.builders import (
    BUY,
    NOW,
    SECOND,
    SELL,
    account,
    book,
    check,
    compiled,
    holding,
    inputs,
    market,
    order,
    outcome,
    policy,
    position,
    price,
    reservation,
    scoped,
    state,
    stop,
)

REDUCING = TradingState.REDUCING


# ------------------------------------------------------------------------------------ the leg of an order

LEGS = [
    ("", [], ""),
    ("binance", [], "binance"),
    ("", [""], ""),
    ("binance", [""], ""),  # reported without an exchange
    ("binance", ["binance"], "binance"),
    ("binance", ["", "binance"], "binance"),
    ("binance", ["bybit"], "binance"),
    ("", ["binance"], "binance"),  # the only position in the symbol
    ("", ["binance", "bybit"], ""),
    ("", ["", "binance"], ""),
]


@pytest.mark.parametrize(("exchange", "positions", "leg"), LEGS)
def test_an_order_changes_the_leg_that_reports_and_orders_most_likely_mean(exchange, positions, leg) -> None:
    held = state(*(position(1, exchange=name) for name in positions), position(1, "ETHUSDT", exchange="kraken"))
    assert find_leg("BTCUSDT", exchange, held.positions) == (position_key("BTCUSDT", leg), leg)


def test_without_a_state_an_order_changes_the_leg_that_it_names() -> None:
    assert find_leg("BTCUSDT", "binance", {}) == (position_key("BTCUSDT", "binance"), "binance")


@pytest.mark.parametrize(("ordered_on", "reported_on"), [("binance", ""), ("", "binance")])
def test_an_order_sent_before_the_first_report_does_not_hide_the_position_from_one_to_close_it(
    ordered_on: str, reported_on: str
) -> None:
    held: dict[str, Any] = {
        "at": state(position(5, exchange=reported_on)),
        "ledger": holding(reservation(1, BUY, exchange=ordered_on), reservation(2, SELL, exchange=ordered_on)),
        "stops": (stop(REDUCING),),
    }
    assert not check(order(4, SELL, exchange=ordered_on), **held).approved
    assert check(order(3, SELL, exchange=ordered_on), **held).approved


def test_an_order_that_names_no_exchange_is_for_its_accounts() -> None:
    home = compiled(accounts=(account(exchange="binance"),))
    given = outcome(order(1), under=home)
    assert given.reservation is not None
    assert given.reservation.exchange == "binance"
    named = outcome(order(1, exchange="bybit"), under=home)
    assert named.reservation is not None
    assert named.reservation.exchange == "bybit"


def test_the_reservation_is_held_in_the_leg_that_the_order_changes() -> None:
    kept = outcome(order(1, exchange="binance"), at=state(position(2)))
    assert kept.reservation is not None
    assert kept.reservation.exchange == ""
    assert kept.ledger is not None
    assert list(kept.ledger.open) == ["BTCUSDT"]


# --------------------------------------------------------------- limits and stops by the order's exchange


def test_a_limit_of_an_exchange_holds_for_an_order_there_though_reports_name_no_exchange() -> None:
    limited = policy("position_value", "<=", 1_000, **scoped(Scope.EXCHANGE, "binance"))
    held = state(position(1))
    assert not check(order(1, exchange="binance"), limited, at=held).approved
    home = compiled(limited, accounts=(account(exchange="binance"),))
    assert not check(order(1), under=home, at=held).approved
    assert check(order(1, exchange="bybit"), limited, at=held).approved


def test_a_limit_of_an_exchange_holds_where_the_only_position_says_which_it_is() -> None:
    limited = policy("position_value", "<=", 1_000, **scoped(Scope.EXCHANGE, "binance"))
    assert not check(order(1), limited, at=state(position(1, exchange="binance"))).approved


def test_a_stop_of_another_exchange_does_not_cover_an_order_though_reports_name_no_exchange() -> None:
    bybit, binance = (stop(scope=StopScope.EXCHANGE, scope_id=name) for name in ("bybit", "binance"))
    held = state(position(1))
    assert not check(order(1, exchange="binance"), at=held, stops=(binance,)).approved
    assert check(order(1, exchange="binance"), at=held, stops=(bybit,)).approved


@pytest.mark.parametrize(
    ("scope", "scope_id", "what", "covered"),
    [
        (StopScope.GLOBAL, "", {}, True),
        (StopScope.ACCOUNT, "A", {}, True),
        (StopScope.ACCOUNT, "B", {}, False),
        (StopScope.SYMBOL, "BTCUSDT", {}, True),
        (StopScope.SYMBOL, "ETHUSDT", {}, False),
        (StopScope.STRATEGY, "momentum", {"strategy_id": "momentum"}, True),
        (StopScope.STRATEGY, "momentum", {"strategy_id": "carry"}, False),
        (StopScope.STRATEGY, "momentum", {}, False),
        (StopScope.EXCHANGE, "binance", {"exchange": "binance"}, True),
        (StopScope.EXCHANGE, "binance", {"exchange": "bybit"}, False),
        (StopScope.EXCHANGE, "binance", {}, True),  # nobody knows where it goes
    ],
)
def test_a_stop_covers_the_orders_in_its_scope(scope, scope_id, what: dict[str, Any], covered: bool) -> None:
    decision = check(order(1, **what), stops=(stop(scope=scope, scope_id=scope_id),))
    assert decision.approved is not covered
    assert decision.trading_state is (TradingState.HALTED if covered else TradingState.ACTIVE)


def test_of_several_stops_the_most_severe_holds() -> None:
    for stops in [(stop(REDUCING), stop()), (stop(), stop(REDUCING))]:
        assert check(order(1, SELL), at=state(position(2)), stops=stops).trading_state is TradingState.HALTED


# ------------------------------------------------------------------ orders that close positions for a stop (0020)
UNWINDING = stop(unwind=True)


@pytest.mark.parametrize(
    ("stops", "named"),
    [
        ((stop(),), "stop-1"),  # it does not unwind
        ((UNWINDING,), ""),
        ((UNWINDING,), "another"),
        (
            (stop(scope=StopScope.ACCOUNT, scope_id="B", unwind=True), Stop(id="2")),
            "stop-1",
        ),  # it is not for this order
    ],
)
def test_an_order_is_halted_that_closes_for_no_unwinding_stop_over_it(stops: tuple[Stop, ...], named: str) -> None:
    decision = check(order(1, SELL, stop_id=named), at=state(position(2)), stops=stops)
    assert decision.reason == Reason.EMERGENCY_STOP_ACTIVE
    assert decision.trading_state is TradingState.HALTED


@pytest.mark.parametrize(("side", "quantity"), [(BUY, 1), (SELL, 3)])
def test_for_an_unwinding_stop_nothing_is_opened_or_flipped(side: Side, quantity: int) -> None:
    for stops in [(UNWINDING,), (stop(REDUCING, unwind=True),)]:
        asked = check(order(quantity, side, stop_id="stop-1"), at=state(position(2)), stops=stops)
        assert asked.reason == Reason.EMERGENCY_STOP_ACTIVE
    assert check(order(1, BUY, stop_id="stop-1"), at=state(position(2))).reason == Reason.NOT_REDUCING, "it was lifted"


def test_for_an_unwinding_stop_a_position_is_closed_whatever_else_is_stopped() -> None:
    for stops in [(UNWINDING,), (UNWINDING, Stop(id="2")), (Stop(id="2"), UNWINDING)]:
        decision = check(order(2, SELL, stop_id="stop-1"), at=state(position(2)), stops=stops)
        assert decision.approved
        assert decision.trading_state is TradingState.REDUCING


# --------------------------------------------------------------------------------- what may close a position


def test_open_sells_anywhere_in_the_symbol_count_against_a_position_without_an_exchange() -> None:
    held, sells = state(position(5)), holding(reservation(3, SELL, exchange="bybit", price=60_000))
    assert not check(order(3, SELL), at=held, ledger=sells, stops=(stop(REDUCING),)).approved
    assert check(order(2, SELL), at=held, ledger=sells, stops=(stop(REDUCING),)).approved


def test_open_sells_without_an_exchange_count_against_a_position_on_one() -> None:
    held, sells = state(position(5, exchange="binance")), holding(reservation(3, SELL, price=60_000))
    assert not check(order(3, SELL, exchange="binance"), at=held, ledger=sells, stops=(stop(REDUCING),)).approved
    assert check(order(2, SELL, exchange="binance"), at=held, ledger=sells, stops=(stop(REDUCING),)).approved


def test_open_sells_on_another_exchange_or_of_another_symbol_do_not_count() -> None:
    held = state(position(5, exchange="binance"), position(9, "ETHUSDT"))
    others = holding(reservation(9, SELL, exchange="bybit"), reservation(9, SELL, symbol="ETHUSDT"))
    assert check(order(5, SELL, exchange="binance"), at=held, ledger=others, stops=(stop(REDUCING),)).approved


def test_open_buys_do_not_count_against_a_sell() -> None:
    assert check(
        order(5, SELL, price=60_000),
        at=state(position(5)),
        ledger=holding(reservation(9, BUY)),
        stops=(stop(REDUCING),),
    ).approved


# -------------------------------------------------------------------------------------------------- age


@pytest.mark.parametrize(
    ("received_s_ago", "sent_s_ago", "age_s"),
    [
        (3, None, 3),
        (3, 3, 3),
        (3, 5, 3),  # the sender's clock may be two seconds behind ours
        (3, 6, 4),
        (0, 60, 58),  # what was long on its way is old
        (3, -60, 3),  # a stamp ahead of our clock makes nothing younger
    ],
)
def test_a_report_is_as_old_as_its_receipt_or_its_stamp_say(received_s_ago, sent_s_ago, age_s) -> None:
    sent = 0 if sent_s_ago is None else NOW - sent_s_ago * SECOND
    assert age_us(NOW - received_s_ago * SECOND, sent, NOW, Parameters()) == age_s * SECOND


# ------------------------------------------------------------------------------------------------- marks


def mark_of(feed: Price | None, own: int = 0, state_age_s: int = 0, **what: Any) -> Decimal | None:
    """The mark that an order in BTCUSDT is valued at: of the price feed or of the account's own state."""
    decision = check(
        order(1, SELL),
        at=state(position(2, mark_price=own), received_at_us=NOW - state_age_s * SECOND, **what),
        prices={} if feed is None else {"BTCUSDT": feed},
    )
    value = decision.post_trade_metrics.get("position_value")
    return None if value is None else value / 2


def test_without_any_fresh_mark_there_is_none() -> None:
    assert mark_of(None) is None
    assert mark_of(price(100, age_us=5 * SECOND + 1)) is None
    assert mark_of(price(0)) is None
    assert mark_of(price(-5)) is None


def test_the_oldest_mark_that_is_accepted_is_exactly_as_old_as_allowed() -> None:
    assert mark_of(price(100, age_us=5 * SECOND)) == 100
    assert mark_of(None, own=200, state_age_s=5) == 200


def test_the_fresher_of_the_price_feed_and_the_states_own_mark_is_taken() -> None:
    assert mark_of(price(100, age_us=SECOND), own=200, state_age_s=2) == 100
    assert mark_of(price(100, age_us=3 * SECOND), own=200, state_age_s=2) == 200
    assert mark_of(price(100, age_us=2 * SECOND), own=200, state_age_s=2) == 100


def test_a_mark_of_the_state_stands_in_for_a_feed_that_is_old_or_silent() -> None:
    assert mark_of(price(100, age_us=60 * SECOND), own=200) == 200
    assert mark_of(None, own=200) == 200


def test_a_price_that_was_long_on_its_way_is_old() -> None:
    late = Price(Decimal(100), NOW, NOW - 60 * SECOND)
    assert mark_of(late) is None


def test_prices_may_be_accepted_older_than_states_and_the_other_way_about() -> None:
    patient = compiled(parameters=Parameters(price_max_age_us=60 * SECOND))
    old = {"BTCUSDT": price(100, age_us=30 * SECOND)}
    assert check(order(1, price=100), under=patient, prices=old).approved
    late_state = state(received_at_us=NOW - 30 * SECOND)
    assert not check(order(1, price=100), under=patient, prices=old, at=late_state).approved
    patient = compiled(parameters=Parameters(state_max_age_us=60 * SECOND))
    assert check(order(1), under=patient, at=late_state).approved


# ---------------------------------------------------------------------------------------------- records


@pytest.mark.parametrize("record", ["state", "ledger"])
@pytest.mark.parametrize("content", [b"{", b"[]", b"1", b'"text"', b"\xff", b'{"open":{"a":"\xff"}}'])
def test_a_record_that_cannot_be_understood_makes_the_case_unreadable(record: str, content: bytes) -> None:
    spoilt: dict[str, Any] = {record: Raw(content)}
    case = build_case(replace(inputs(order(1)), **spoilt), compiled())
    assert not case.readable
    assert case.state is None


def test_a_ledger_that_does_not_have_what_has_expired_is_unreadable() -> None:
    gone = reservation(1)
    assert not build_case(inputs(order(1), expired=(gone,)), compiled()).readable
    other_side = holding(reservation(1, SELL))
    assert not build_case(inputs(order(1), ledger=other_side, expired=(gone,)), compiled()).readable
    assert build_case(inputs(order(1), ledger=holding(gone), expired=(gone,)), compiled()).readable


def test_a_record_written_by_a_newer_version_with_more_in_it_is_still_read() -> None:
    known = Raw(bytes(inputs(order(1)).state)[:-1] + b',"mood":"calm"}')
    assert check(order(1), state=known).approved


def test_states_are_read_again_after_the_memory_of_them_was_full(monkeypatch) -> None:
    monkeypatch.setattr("riskcore.case._states.most", 2)
    for equity in (1, 2, 3, 4, 1_000_000):
        assert check(order(1), at=state(equity=equity)).approved is (equity == 1_000_000)


def test_open_orders_alone_are_a_leg_too() -> None:
    ledger = holding(reservation(3, symbol="XRPUSDT"))
    assert ledger.open["XRPUSDT"] == OpenOrders(
        symbol="XRPUSDT",
        buy_count=1,
        buy_quantity=Decimal(3),
        buy_notional=Decimal(300),
        buy_margin=Decimal(30),
        buy_unit_margin=Decimal(10),
    )
    missing = check(order(1), ledger=ledger)
    assert (missing.reason, missing.message) == ("price_unavailable", "no price of XRPUSDT is fresh enough")


def test_a_market_order_needs_a_mark_for_its_own_symbol() -> None:
    assert check(market(1, symbol="XRPUSDT")).reason == "price_unavailable"
    assert check(market(1, symbol="XRPUSDT"), prices={"XRPUSDT": price(1)}).approved


def test_the_book_says_who_an_account_is() -> None:
    assert build_case(inputs(order(1, account_id="nobody")), compiled()).account is None
    assert book().accounts[0].id == "A"


def test_a_receipt_ahead_of_the_clock_says_nothing_of_an_age() -> None:
    """The store's clock was put back: what was stamped before may be of any age."""
    ahead = state(received_at_us=NOW + 3600 * SECOND)
    assert not check(order(1, price=100), at=ahead).approved
    a_little = state(received_at_us=NOW + SECOND)
    assert check(order(1), at=a_little).approved
