"""An account's records in columns: what is read, what is refused, and what it comes to at which prices."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import msgspec
import pytest

from riskcore.book import Parameters
from riskcore.decimals import EXACT
from riskcore.held import Feed, Held, Valued, marks_of, read_held, value
from riskcore.ledger import encode_ledger
from riskcore.remembered import Remembered
from riskcore.simulate import exposure_of
from riskcore.types import Ledger, Position, Price, Reservation
from tests.riskcore.builders import NOW, SECOND, SELL, holding, position, reservation, state

D = Decimal


def read(
    *positions: Position, ledger: Ledger | None = None, expired: tuple[Reservation, ...] = (), **what: Any
) -> Held | None:
    content = msgspec.json.encode(state(*positions, **what))
    return read_held(content, None if ledger is None else encode_ledger(ledger), expired)


def held(*positions: Position, **what: Any) -> Held:
    found = read(*positions, **what)
    assert found is not None
    return found


def valued(*positions: Position, **what: Any) -> Valued:
    found = held(*positions, **what)
    marks = marks_of(found, feed(BTCUSDT=Price(D(50_000), NOW), ETHUSDT=Price(D(3_000), NOW)))
    assert marks is not None
    with localcontext(EXACT):
        return value(found, marks)


def feed(**prices: Price) -> Feed:
    return Feed(prices, NOW, Parameters())


# ------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("amount", ["NaN", "-NaN", "sNaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("field", ["quantity", "entry_price", "mark_price", "margin", "equity", "drawdown_rapid"])
def test_a_state_with_an_amount_that_is_no_number_cannot_be_read(field: str, amount: str) -> None:
    plain = msgspec.to_builtins(state(position(1, mark_price=1, margin=1)), str_keys=True)
    record = plain if field in plain else plain["positions"]["BTCUSDT"]
    record[field] = amount
    with pytest.raises(ValueError, match="no number"):
        read_held(msgspec.json.encode(plain), None, ())


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"null", b'{"account_id":"\xff"}'])
def test_what_is_no_state_cannot_be_read(content: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        read_held(content, None, ())


@pytest.mark.parametrize("content", [b'"lost"', b'{"daily_notional":"-1"}'])
def test_without_its_ledger_an_account_cannot_be_read(content: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        read_held(msgspec.json.encode(state()), content, ())


def test_an_account_of_which_only_fills_have_come_was_never_reported() -> None:
    assert read(position(1), received_at_us=0) is None


def test_what_is_over_and_not_in_the_sums_is_an_error() -> None:
    with pytest.raises(ValueError, match="not in the open orders"):
        read(expired=(reservation(1),))


def test_the_columns_have_a_leg_for_each_position_and_its_cost() -> None:
    found = held(position(2, exchange="ONE", mark_price=7), position(-3, "ETHUSDT", entry_price=10))
    assert (found.symbols, found.exchanges, found.quantities) == (("BTCUSDT", "ETHUSDT"), ("ONE", ""), (D(2), D(-3)))
    assert (found.entry_prices, found.marks) == ((D(50_000), D(10)), (D(7), D(0)))
    assert (found.cost, found.repeats, found.working) == (D(99_970), False, ())
    assert found.state.positions == {}


def test_a_position_of_nothing_is_no_leg() -> None:
    assert held(position(0), position(1, "ETHUSDT")).symbols == ("ETHUSDT",)
    assert held(position(0)).symbols == ()


def test_a_position_of_nothing_with_an_open_order_is_a_leg() -> None:
    found = held(position(0), position(0, "ETHUSDT"), ledger=holding(reservation(1)))
    assert (found.symbols, found.working) == (("BTCUSDT",), (0,))


def test_an_open_order_without_a_position_is_a_leg_behind_the_others() -> None:
    found = held(position(1, "ETHUSDT"), ledger=holding(reservation(1, exchange="ONE")))
    assert (found.symbols, found.exchanges, found.working) == (("ETHUSDT", "BTCUSDT"), ("", "ONE"), (1,))


def test_what_is_over_is_not_open_any_more() -> None:
    over = reservation(1)
    assert held(position(1), ledger=holding(over), expired=(over,)).working == ()


def test_equal_columns_of_text_are_kept_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before = held(position(1), position(1, "ETHUSDT"))
    assert held(position(2), position(3, "ETHUSDT")).symbols is before.symbols
    monkeypatch.setattr("riskcore.held._texts", Remembered(0))
    after = held(position(2), position(3, "ETHUSDT"))
    assert after.symbols == before.symbols


def test_a_symbol_on_two_exchanges_repeats() -> None:
    assert held(position(1), position(1, exchange="ONE")).repeats


# --------------------------------------------------------------------------------------------------- marks


def test_the_fresher_of_feed_and_state_is_the_mark() -> None:
    older, newer = Price(D(1), NOW - SECOND), Price(D(2), NOW + SECOND)
    both = held(position(1, mark_price=9), position(1, "ETHUSDT", mark_price=8))
    assert marks_of(both, feed(BTCUSDT=older, ETHUSDT=newer)) == (D(9), D(2))
    assert marks_of(both, feed(BTCUSDT=newer, ETHUSDT=newer)) == (D(2), D(2))


def test_without_a_price_the_mark_is_that_of_the_state_however_old() -> None:
    old = held(position(1, mark_price=9), received_at_us=NOW - 10**12)
    assert marks_of(old, feed()) == (D(9),)
    assert marks_of(old, feed(ETHUSDT=Price(D(1), NOW))) == (D(9),)
    assert marks_of(old, feed(BTCUSDT=Price(D(0), NOW))) == (D(9),)


def test_without_either_the_account_cannot_be_valued() -> None:
    assert marks_of(held(position(1)), feed()) is None
    assert marks_of(held(position(1), position(1, "ETHUSDT")), feed(ETHUSDT=Price(D(1), NOW))) is None


def test_an_account_that_holds_nothing_needs_no_price() -> None:
    assert marks_of(held(), feed()) == ()


# --------------------------------------------------------------------------------------------------- value


@pytest.mark.parametrize("orders", [(), (reservation(1), reservation(3, SELL), reservation(2, SELL, symbol="ETHUSDT"))])
def test_the_sums_are_those_of_the_legs(orders: tuple[Reservation, ...]) -> None:
    found = valued(position(2), position("-0.5", exchange="ONE", entry_price=40_000), ledger=holding(*orders))
    with localcontext(EXACT):
        assert found.exposure == exposure_of(found.leg(place) for place in range(len(found.worst)))
    assert found.exposure.open_orders == len(orders)


def test_each_leg_has_its_range_and_its_worst() -> None:
    found = valued(position(2), position(1, "ETHUSDT"), ledger=holding(reservation(1), reservation(5, SELL)))
    assert (found.highs, found.lows) == ([D(150_000), D(3_000)], [D(-150_000), D(3_000)])
    assert found.worst == [D(150_000), D(3_000)]


def test_on_an_exchange_are_legs_there_and_those_that_name_none() -> None:
    everywhere = [position(1), position(2, exchange="ONE"), position(4, exchange="TWO"), position(1, "ETHUSDT")]
    with localcontext(EXACT):
        there = valued(*everywhere).on("ONE")
    assert list(there.held.symbols) == ["BTCUSDT", "BTCUSDT", "ETHUSDT"]
    assert list(there.held.exchanges) == ["", "ONE", ""]
    assert there.exposure.gross == 153_000


def test_on_an_exchange_are_its_open_orders() -> None:
    orders = holding(reservation(1, exchange="ONE"), reservation(1, exchange="TWO"), reservation(1))
    with localcontext(EXACT):
        there = valued(ledger=orders).on("TWO")
    assert list(there.held.exchanges) == ["TWO", ""]
    assert there.exposure.open_orders == 2
