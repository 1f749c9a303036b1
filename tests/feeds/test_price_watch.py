"""Prices that orders asked about are looked at again and again, for as long as that makes sense."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from feeds.flights import Flights, wait_for
from feeds.price_watch import MOST_WATCHED, PriceWatch

HOUR_S = 3600.0


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Looks:
    """Counts the looks at each symbol; those that begin with X have no price."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}
        self.three = threading.Event()

    def bring(self, symbols: Sequence[str]) -> dict[str, bool]:
        for symbol in symbols:
            self.of[symbol] = self.of.get(symbol, 0) + 1
        if max(self.of.values()) >= 3:
            self.three.set()
        return {symbol: not symbol.startswith("X") for symbol in symbols}


@pytest.fixture
def looks() -> Looks:
    return Looks()


@pytest.fixture
def prices(looks) -> Iterator[Flights[bool]]:
    with ThreadPoolExecutor(2) as executor:
        yield Flights(looks.bring, executor, fresh_s=HOUR_S, together=10_000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(prices, clock) -> Iterator[PriceWatch]:
    """A watch that does not get to look by itself while a test runs."""
    found = PriceWatch(prices, every_s=HOUR_S, clock=clock)
    yield found
    found.close()


def test_what_was_asked_about_is_looked_at_again_and_again(prices, looks):
    watch = PriceWatch(prices, every_s=0.001)
    watch.ask(["BTCUSDT"])
    assert looks.three.wait(30)
    watch.close()


def test_once_closed_it_looks_no_more(prices, looks):
    watch = PriceWatch(prices, every_s=0.001)
    watch.close()
    watch.ask(["BTCUSDT"])
    assert not looks.three.wait(0.05)


def test_for_an_hour_after_an_order_asked_last(watch, prices, clock):
    wait_for(prices.begin(["BTCUSDT"]), 30)
    watch.ask(["BTCUSDT"])
    clock.now_s += HOUR_S / 2
    watch.ask(["BTCUSDT"])
    clock.now_s += HOUR_S
    assert watch.watched() == ["BTCUSDT"]
    clock.now_s += 1
    assert watch.watched() == []


def test_what_has_no_price_is_soon_given_up(watch, prices, clock):
    wait_for(prices.begin(["BTCUSDT", "X"]), 30)
    watch.ask(["BTCUSDT", "X"])
    assert sorted(watch.watched()) == ["BTCUSDT", "X"]
    clock.now_s += 11
    assert watch.watched() == ["BTCUSDT"]


def test_what_could_not_be_looked_at_is_not_given_up(watch, prices, clock):
    watch.ask(["BTCUSDT"])
    clock.now_s += 11
    assert watch.watched() == ["BTCUSDT"]


def test_of_too_many_those_are_kept_that_were_asked_about_last(watch, prices, clock):
    names = [f"S{number}" for number in range(MOST_WATCHED + 1)]
    wait_for(prices.begin(names), 30)
    for name in names:
        watch.ask([name])
        clock.now_s += 0.001
    assert sorted(watch.watched()) == sorted(names[1:])
