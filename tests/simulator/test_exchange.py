"""The exchange: an order gets what the market offers at its price, in its turn, and never more than it asked for."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.exchange import Exchange
from simulator.market import Quote
from simulator.orders import BUY, SELL, Closed, End, Event, Fill, Order


def quote(bid: object, ask: object, size: object = 10) -> Quote:
    return Quote("X", Decimal(str(bid)), Decimal(str(ask)), Decimal(str(size)), Decimal(str(size)))


def order(
    order_id: str = "o",
    side: str = BUY,
    quantity: object = 1,
    price: object = 0,
    life_us: int = 1_000_000,
    patience_us: int = 0,
) -> Order:
    return Order(order_id, "d", "X", side, Decimal(str(quantity)), Decimal(str(price)), life_us, patience_us)


def open_at(bid: object, ask: object, size: object = 10) -> Exchange:
    exchange = Exchange("x")
    assert exchange.quote(quote(bid, ask, size), 0) == []
    return exchange


def said(events: list[Event]) -> list[tuple[str, str]]:
    """Quantity and price of each fill, and each end."""
    return [(str(each.quantity), str(each.price)) if isinstance(each, Fill) else ("end", each.end) for each in events]


def test_an_order_through_the_market_takes_the_markets_price():
    assert said(open_at(99, 101).place(order(price=105), 1)) == [("1", "101"), ("end", "filled")]
    assert said(open_at(99, 101).place(order(side=SELL, price=90), 1)) == [("1", "99"), ("end", "filled")]


def test_an_order_without_a_price_takes_what_there_is_and_waits_for_more():
    exchange = open_at(99, 101, 2)
    assert said(exchange.place(order(quantity=5), 1)) == [("2", "101")]
    assert said(exchange.quote(quote(99, 102, 2), 2)) == [("2", "102")]
    assert said(exchange.quote(quote(99, 103, 2), 3)) == [("1", "103"), ("end", "filled")]
    assert exchange.working == {}


def test_an_order_short_of_the_market_waits_and_gets_its_own_price():
    exchange = open_at(99, 101)
    assert exchange.place(order(price=100), 1) == []
    assert exchange.quote(quote("99.5", "100.5"), 2) == []
    assert said(exchange.quote(quote(97, 98), 3)) == [("1", "100"), ("end", "filled")]


def test_waiting_costs_less_than_taking():
    taken = open_at(99, 100).place(order(price=100), 1)[0]
    exchange = open_at(99, 101)
    exchange.place(order(price=100), 1)
    waited = exchange.quote(quote(99, 100), 2)[0]
    assert isinstance(taken, Fill)
    assert isinstance(waited, Fill)
    assert (taken.fee, waited.fee) == (Decimal("0.05"), Decimal("0.02"))


def test_the_better_price_goes_first_and_of_equal_ones_the_older():
    exchange = open_at(90, 110)
    for name, price in (("low", 99), ("first", 100), ("second", 100)):
        exchange.place(order(name, price=price), 1)
    filled = exchange.quote(quote(90, 95, "2.5"), 2)
    assert [(each.order_id, str(each.quantity)) for each in filled if isinstance(each, Fill)] == [
        ("first", "1"),
        ("second", "1"),
        ("low", "0.5"),
    ]


def test_what_a_quote_is_good_for_is_used_up_until_the_next_one():
    exchange = open_at(99, 101, 1)
    assert said(exchange.place(order("a", price=101), 1)) == [("1", "101"), ("end", "filled")]
    assert exchange.place(order("b", price=101), 2) == []
    assert said(exchange.place(order("c", SELL, price=99), 2)) == [("1", "99"), ("end", "filled")]
    assert said(exchange.quote(quote(99, 101, 1), 3)) == [("1", "101"), ("end", "filled")]


def test_an_order_expires_when_its_time_is_over_and_is_cancelled_when_patience_is():
    exchange = open_at(99, 101)
    exchange.place(order("expires", price=90, life_us=100), 0)
    exchange.place(order("cancelled", price=90, life_us=100, patience_us=50), 0)
    assert exchange.lapse(49) == []
    assert exchange.lapse(50) == [Closed("cancelled", "d", End.CANCELLED, 50)]
    assert exchange.lapse(99) == []
    assert exchange.lapse(100) == [Closed("expires", "d", End.EXPIRED, 100)]


def test_an_order_that_was_taken_out_does_not_trade_and_ends_once():
    exchange = open_at(99, 101)
    exchange.place(order(price=100), 1)
    assert exchange.end("o", End.CANCELLED, 2) == [Closed("o", "d", End.CANCELLED, 2)]
    assert exchange.end("o", End.CANCELLED, 3) == []
    assert exchange.quote(quote(90, 91), 4) == []


prices = st.integers(95, 105).map(Decimal)
sizes = st.decimals("0", "5", places=2)
steps = st.one_of(
    st.tuples(st.just("place"), st.sampled_from([BUY, SELL]), st.decimals("0.01", "5", places=2), prices | st.just(0)),
    st.tuples(st.just("quote"), prices, st.integers(0, 3), sizes, sizes),
    st.tuples(st.just("cancel"), st.integers(0, 20)),
    st.tuples(st.just("lapse"), st.integers(1, 20)),
)


@settings(max_examples=200)
@given(st.lists(steps, max_size=40))
def test_no_order_trades_more_than_it_asked_for_worse_than_it_said_or_after_its_end(story):
    exchange, placed, now_us = Exchange("x"), dict[str, Order](), 0
    events: list[Event] = []
    offered = Counter[str]()
    for kind, *what in story:
        now_us += 1
        if kind == "place":
            one = order(f"o{len(placed)}", what[0], what[1], what[2], life_us=30, patience_us=len(placed) % 2 * 15)
            placed[one.order_id] = one
            events += exchange.place(one, now_us)
        elif kind == "quote":
            bid, spread, bid_size, ask_size = what
            offered[SELL] += bid_size
            offered[BUY] += ask_size
            events += exchange.quote(Quote("X", bid, bid + spread, bid_size, ask_size), now_us)
        elif kind == "cancel":
            events += exchange.end(f"o{what[0]}", End.CANCELLED, now_us)
        else:
            now_us += what[0]
            events += exchange.lapse(now_us)
    filled, traded, ended = Counter[str](), Counter[str](), dict[str, End]()
    for event in events:
        assert event.order_id not in ended, "nothing happens to an order that has ended"
        if isinstance(event, Closed):
            ended[event.order_id] = event.end
            continue
        one = placed[event.order_id]
        assert event.quantity > 0
        assert not one.price or (event.price <= one.price if one.side == BUY else event.price >= one.price)
        filled[event.order_id] += event.quantity  # type: ignore[assignment]
        traded[event.side] += event.quantity  # type: ignore[assignment]
    for order_id, one in placed.items():
        left = exchange.working[order_id].left if order_id in exchange.working else None
        assert filled[order_id] <= one.quantity
        assert (ended.get(order_id) is End.FILLED) is (filled[order_id] == one.quantity)
        assert (left is None) is (order_id in ended)
        assert left is None or left == one.quantity - filled[order_id]
    assert traded[BUY] <= offered[BUY]
    assert traded[SELL] <= offered[SELL]
    fills = [event.fill_id for event in events if isinstance(event, Fill)]
    assert len(set(fills)) == len(fills)
