"""A market that is made up, and looks as if it were not; and what desks want of it."""

from __future__ import annotations

import random
from decimal import Decimal
from statistics import stdev

import pytest

from simulator.desks import Desk
from simulator.flow import Flow
from simulator.market import PAIRS, MadeMarket, marks
from simulator.orders import BUY, SELL, STRATEGY, Fill, Order


def market(seed: int = 1) -> MadeMarket:
    return MadeMarket(random.Random(seed))


def mid(made: MadeMarket, symbol: str = "BTCUSDT") -> float:
    return float(made.quotes[symbol].mid)


def test_the_same_seed_gives_the_same_market():
    first, second, other = market(), market(), market(2)
    for each in (first, second, other):
        for _ in range(100):
            each.step(1.0)
    assert first.quotes == second.quotes
    assert first.quotes != other.quotes


def test_bid_and_ask_are_apart_on_their_ticks_and_good_for_whole_lots():
    made = market()
    for _ in range(500):
        for quote in made.step(1.0):
            listing = made.listings[quote.symbol]
            assert 0 < quote.bid < quote.ask < quote.bid * Decimal("1.01")
            assert quote.bid % listing.tick == quote.ask % listing.tick == 0
            assert quote.bid_size % listing.lot == quote.ask_size % listing.lot == 0
            assert min(quote.bid_size, quote.ask_size) > 0


@pytest.mark.parametrize("seed", range(5))
def test_a_day_moves_prices_by_per_cents_and_a_step_hardly(seed):
    made = market(seed)
    largest, before = 0.0, mid(made)
    for _ in range(24 * 360):
        made.step(10.0)
        largest = max(largest, abs(mid(made) / before - 1))
        before = mid(made)
    assert 0.0001 < largest < 0.025
    assert 0.8 < mid(made) / 64_000 < 1.25


def test_now_and_then_the_market_jumps():
    """A move of eight deviations does not come of small steps alone."""
    made, moves = market(), []
    for _ in range(20_000):
        before = mid(made)
        made.step(10.0)
        moves.append(mid(made) / before - 1)
    assert max(map(abs, moves)) > 8 * stdev(moves)


def test_years_do_not_run_away():
    made = market()
    for _ in range(3000):
        made.step(24 * 3600.0)
    for pair in PAIRS:
        assert 0.3 < mid(made, pair.symbol) / pair.price < 3


def flow(seed: int = 3, made: MadeMarket | None = None) -> Flow:
    return Flow(random.Random(seed), made or market())


def test_most_orders_are_sensible_and_some_are_mistakes():
    made = market()
    wants, desk = flow(made=made), Desk("d")
    far = large = at_market = 0
    for _ in range(1000):
        order = wants.order(desk, [])
        listing, mark = made.listings[order.symbol], made.quotes[order.symbol].mid
        assert order.quantity % listing.lot == 0 < order.quantity
        assert order.price % listing.tick == 0
        assert 0 < order.life_us <= 60_000_000
        at_market += not order.price
        far += bool(order.price) and abs(order.price / mark - 1) > Decimal("0.05")
        large += order.quantity * mark > 20_000
    assert 15 < far < 70
    assert 15 < large < 70
    assert 60 < at_market < 220


def test_ids_are_unique_also_between_two_lives_of_one_seed():
    assert len({flow().order(Desk("d"), []).order_id for _ in range(50)}) == 50


def test_an_order_is_told_in_the_words_of_riskportal():
    order = Order(
        "o", "d", "X", SELL, Decimal("1E+1"), Decimal("0.50"), life_us=2_500_000, reduce_only=True, stop_id="s"
    )
    assert order.body() == {
        "order_id": "o",
        "account_id": "d",
        "symbol": "X",
        "side": "SELL",
        "quantity": "10",
        "price": "0.50",
        "strategy_id": STRATEGY,
        "reservation_ttl": 32,
        "reduce_only": True,
        "stop_id": "s",
    }


@pytest.mark.parametrize("side", [BUY, SELL])
def test_nobody_trades_with_himself(side):
    made = market()
    wants, desk = flow(made=made), Desk("d")
    inside = {symbol: quote.ask if side == SELL else quote.bid for symbol, quote in made.quotes.items()}
    working = [Order("w", "d", symbol, side, Decimal(1), price) for symbol, price in inside.items()]
    written = [wants.order(desk, working) for _ in range(500)]
    opposite = [order for order in written if order.side != side]
    assert 100 < len(opposite) < 400
    for order in opposite:
        assert order.price > 0
        assert order.price < inside[order.symbol] if side == SELL else order.price > inside[order.symbol]


def test_beside_an_order_at_any_price_there_is_one_side_only():
    made = market()
    wants = flow(made=made)
    working = [Order("w", "d", symbol, SELL, Decimal(1)) for symbol in made.quotes]
    assert {wants.order(Desk("d"), working).side for _ in range(200)} == {SELL}


def test_a_closing_order_is_for_all_that_is_held():
    made = market()
    wants, desk = flow(made=made), Desk("d")
    wants.begin(desk, 0)
    for symbol, held in desk.holdings.items():
        order = wants.closing(desk, symbol, "stop-1")
        signed = order.quantity if order.side != SELL else -order.quantity
        assert [signed, order.price, order.reduce_only] == [-held.quantity, 0, True]
        assert order.stop_id == "stop-1"


def test_a_smaller_order_has_whole_lots_and_an_id_of_its_own():
    wants = flow()
    order = Order("o", "d", "BTCUSDT", SELL, Decimal("0.5"))
    smaller = wants.smaller(order, Decimal("0.1239"))
    assert smaller is not None
    assert (smaller.quantity, smaller.order_id != "o") == (Decimal("0.123"), True)
    assert wants.smaller(order, Decimal("0.0009")) is None
    assert wants.smaller(order, Decimal("0.5")) is None


def test_a_desk_turns_back_before_its_limits():
    made = market()
    wants, desk = flow(made=made), Desk("d")
    for number in range(5000):
        order = wants.order(desk, [])
        mark = made.quotes[order.symbol].mid
        if order.quantity * mark < 20_000:
            name = str(number)
            desk.take(Fill(name, name, "d", order.symbol, order.side, order.quantity, mark, Decimal(0), 0))
    for symbol, mark in marks(made.quotes).items():
        assert abs(desk.quantity(symbol) * mark) < 250_000
