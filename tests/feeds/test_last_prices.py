"""Ticks that wait to be written: the newest of each symbol, after those that its bar must have."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.apply import apply_prices
from feeds.last_prices import LastPrices
from feeds.messages import PriceReport
from state.memory_store import MemoryStore


def tick(price: int, sent_at_us: int = 0, symbol: str = "A") -> PriceReport:
    return PriceReport(symbol, Decimal(price), sent_at_us)


def waiting(*prices: int) -> LastPrices:
    found = LastPrices()
    for price in prices:
        found.put(tick(price))
    return found


def test_an_older_tick_does_not_wait() -> None:
    prices = LastPrices()
    assert prices.put(tick(1, 5))
    assert not prices.put(tick(2, 4))
    assert prices.put(tick(3, 5))
    assert prices.put(tick(4, 0))
    assert prices.take()[-1] == [tick(4, 0)]
    assert len(prices) == 0


def test_what_is_taken_waits_no_more() -> None:
    prices = waiting(1, 2, 3)
    prices.take()
    assert prices.take() == []


@pytest.mark.parametrize(
    ("ticks", "written"),
    [
        ((5,), [5]),
        ((5, 6), [5, 6]),
        ((5, 6, 7), [5, 7]),
        ((5, 9, 7, 2, 6), [5, 9, 2, 6]),
        ((5, 2, 3, 9, 8, 7, 6), [5, 2, 9, 6]),
        ((9, 5, 6, 7, 2), [9, 2]),
        ((5, 5, 5, 5, 5, 5), [5, 5]),
    ],
)
def test_the_first_the_extremes_and_the_last_are_written_in_their_order(ticks, written):
    assert [[int(report.price) for report in reports] for reports in waiting(*ticks).take()] == [[p] for p in written]


def test_every_symbol_is_in_a_round_once():
    prices = waiting(5, 9, 2, 6)
    prices.put(tick(1, symbol="B"))
    rounds = prices.take()
    assert [len(reports) for reports in rounds] == [2, 1, 1, 1]
    assert rounds[-1] == [tick(6)]


def test_of_what_could_not_be_written_the_newest_waits_unless_newer_ones_came() -> None:
    prices = LastPrices()
    prices.put(tick(2, 5))
    prices.put_back([[tick(8, 3), tick(9, 3, "B")], [tick(1, 4), tick(7, 4, "B")]])
    assert {one.symbol: one.price for reports in prices.take() for one in reports} == {"A": 2, "B": 7}


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40))
def test_the_bar_is_that_of_all_ticks(ticks):
    store = MemoryStore(lambda: 0)
    for reports in waiting(*ticks).take():
        apply_prices(store, reports)
    bar = store.bars.of(0)["A"]
    assert [int(each) for each in (bar.open, bar.high, bar.low, bar.close)] == [
        ticks[0],
        max(ticks),
        min(ticks),
        ticks[-1],
    ]
