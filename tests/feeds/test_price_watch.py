"""Prices that orders asked about are looked at again and again, for as long as that makes sense."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from feeds.flights import Flights, wait_for
from feeds.price_watch import MOST_WATCHED, PriceWatch
from tests.support.patience import PATIENCE_S

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
    assert looks.three.wait(PATIENCE_S)
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


def test_no_flood_of_names_takes_the_place_of_what_is_traded(watch, prices, clock):
    """Nobody knows yet which of them have a price, and the flood asked last."""
    watch.ask(["BTCUSDT", "ETHUSDT"], known={"BTCUSDT"})
    clock.now_s += 1
    watch.ask([f"S{number}" for number in range(MOST_WATCHED + 1)])
    found = watch.watched()
    assert len(found) == MOST_WATCHED
    assert "BTCUSDT" in found
    assert "ETHUSDT" not in found


def test_what_was_asked_about_as_known_stays_so_when_a_stranger_asks(watch, clock):
    watch.ask(["BTCUSDT"], known={"BTCUSDT"})
    watch.ask(["BTCUSDT"])
    clock.now_s += 1
    watch.ask([f"S{number}" for number in range(MOST_WATCHED)])
    assert "BTCUSDT" in watch.watched()


def test_nor_does_a_flood_without_prices_take_that_of_what_has_one(watch, prices, clock):
    names = [f"X{number}" for number in range(MOST_WATCHED)]
    wait_for(prices.begin(["BTCUSDT", *names]), 30)
    watch.ask(["BTCUSDT"])
    clock.now_s += 1
    watch.ask(names)
    assert "BTCUSDT" in watch.watched()


def test_what_needs_no_look_is_not_looked_at(prices):
    needed = {"BTCUSDT"}
    watch = PriceWatch(prices, every_s=HOUR_S, needs=needed.__contains__)
    watch.ask(["BTCUSDT", "ETHUSDT"])
    assert watch.watched() == ["BTCUSDT"]
    needed.clear()
    assert watch.watched() == []
    watch.close()


def test_a_look_that_fails_is_told_and_the_next_one_follows(prices, looks, monkeypatch, caplog):
    failing = iter([RuntimeError("as the test wants it"), MemoryError()])
    begin = prices.begin

    def fail_at_first(*arguments):
        for error in failing:
            raise error
        return begin(*arguments)

    monkeypatch.setattr(prices, "begin", fail_at_first)
    watch = PriceWatch(prices, every_s=0.001)
    watch.ask(["BTCUSDT"])
    assert looks.three.wait(PATIENCE_S)
    watch.close()
    assert caplog.text.count("prices were not looked at") == 1
    assert "as the test wants it" in caplog.text


def test_it_is_asked_while_it_looks(watch):
    """By threads: a dict that grows while it is gone through would end the look."""
    ended = threading.Event()

    def ask() -> None:
        for number in range(30_000):
            watch.ask([f"S{number}"])
        ended.set()

    asking = threading.Thread(target=ask)
    asking.start()
    while not ended.is_set():
        watch.watched()
    asking.join()
    assert watch.watched()
