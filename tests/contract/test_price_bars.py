"""Bars of prices: exact, made of the prices that are taken, whole whoever puts them, and there until fetched."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskcore.ports import Load
from state import keys
from state.bars import BARS_LIFE_S, MINUTE_US, Bar, decode_bar, encode_bar, minute_of, with_price
from state.keys import plain_text
from state.memory_bars import MemoryBars
from state.redis_store import RedisStore
from state.store import StateUnavailable, Store
from tests.support.patience import REDIS_S


def now_us(store: Store) -> int:
    return store.load(Load(accounts=())).now_us


def in_one_minute(store: Store, put: Callable[[], None]) -> int:
    """Put prices within one minute, which is returned; again where one ended meanwhile."""
    while True:
        for minute in store.bars.minutes():
            store.bars.forget(minute, store.bars.of(minute))
        first = minute_of(now_us(store))
        put()
        if minute_of(now_us(store)) == first:
            return first


def prices_of(bar: Bar) -> list[str]:
    return [plain_text(price) for price in (bar.open, bar.high, bar.low, bar.close)]


def put_all(store: Store, *prices: str, symbol: str = "BTCUSDT") -> Callable[[], None]:
    def put() -> None:
        for price in prices:
            store.put_prices({symbol: (price, 0)})

    return put


@pytest.mark.parametrize(
    ("prices", "bar"),
    [
        (["5"], ["5", "5", "5", "5"]),
        (["5", "7", "3", "6"], ["5", "7", "3", "6"]),
        (["9", "10", "100", "99.5"], ["9", "100", "9", "99.5"]),
        (["0.5", "0.45", "0.6", "0.50"], ["0.5", "0.6", "0.45", "0.5"]),
        (["1.1", "1.10", "1.09999999999999999", "1.1"], ["1.1", "1.1", "1.09999999999999999", "1.1"]),
        ([f"{2**53 + 1}", f"{2**53}"], [f"{2**53 + 1}", f"{2**53 + 1}", f"{2**53}", f"{2**53}"]),
        (["1E-12", "2E+3", "0.000000000001"], ["0.000000000001", "2000", "0.000000000001", "0.000000000001"]),
    ],
    ids=["one", "four", "more digits are more", "after the point", "the same number", "beyond doubles", "exponents"],
)
def test_a_bar_is_what_its_prices_make(store, prices, bar):
    minute = in_one_minute(store, put_all(store, *prices))
    assert prices_of(store.bars.of(minute)["BTCUSDT"]) == bar
    assert store.bars.minutes() == {minute: 1}


def test_a_bar_says_when_its_first_and_its_last_price_came(store):
    before = now_us(store)
    minute = in_one_minute(store, put_all(store, "5", "6"))
    bar = store.bars.of(minute)["BTCUSDT"]
    assert before <= bar.first_at_us <= bar.last_at_us <= now_us(store)
    assert bar.last_at_us == store.prices(["BTCUSDT"])["BTCUSDT"].received_at_us


def test_a_price_that_is_not_taken_is_in_no_bar(store):
    def put() -> None:
        store.put_prices({"BTCUSDT": ("5", 10)})
        store.put_prices({"BTCUSDT": ("900", 9)})

    store.put_prices({"BTCUSDT": ("5", 9)})
    minute = in_one_minute(store, put)
    assert prices_of(store.bars.of(minute)["BTCUSDT"]) == ["5", "5", "5", "5"]


@pytest.mark.parametrize("price", ["0", "-5", "1" * 100])
def test_what_is_no_price_to_trade_at_makes_no_bar(store, price):
    store.put_prices({"BTCUSDT": (price, 0)})
    assert store.bars.minutes() == {}


def test_every_symbol_has_its_own(store):
    def put() -> None:
        store.put_prices({"BTCUSDT": ("5", 0), 'E"T H': ("7", 0)})
        store.put_prices({"BTCUSDT": ("4", 0)})

    minute = in_one_minute(store, put)
    found = store.bars.of(minute)
    assert {symbol: prices_of(bar) for symbol, bar in found.items()} == {
        "BTCUSDT": ["5", "5", "4", "4"],
        'E"T H': ["7", "7", "7", "7"],
    }
    assert store.bars.minutes() == {minute: 2}


def test_what_is_forgotten_is_gone(store):
    minute = in_one_minute(store, put_all(store, "5"))
    store.bars.forget(minute, store.bars.of(minute))
    assert (store.bars.minutes(), store.bars.of(minute)) == ({}, {})


def test_a_bar_that_grew_since_it_was_read_stays(store):
    read: dict[str, Bar] = {}

    def put() -> None:
        store.put_prices({"BTCUSDT": ("5", 0), "ETHUSDT": ("7", 0)})
        read.update(store.bars.of(minute_of(now_us(store))))
        store.put_prices({"BTCUSDT": ("6", 0)})

    minute = in_one_minute(store, put)
    store.bars.forget(minute, read)
    assert {symbol: prices_of(bar) for symbol, bar in store.bars.of(minute).items()} == {
        "BTCUSDT": ["5", "6", "5", "6"]
    }
    assert list(store.bars.minutes()) == [minute]


def test_thousands_of_bars_are_fetched_and_forgotten(store):
    symbols = [f"S{number}" for number in range(2500)]
    minute = in_one_minute(store, lambda: store.put_prices(dict.fromkeys(symbols, ("1", 0))) and None)
    assert len(store.bars.of(minute)) == store.bars.minutes()[minute] == 2500
    store.bars.forget(minute, store.bars.of(minute))
    assert store.bars.minutes() == {}


def test_several_processes_make_one_bar(clean_redis):
    stores = [RedisStore(clean_redis, timeout_s=REDIS_S) for _ in range(3)]

    def put() -> None:
        threads = [
            threading.Thread(target=put_all(store, *(str(number) for number in range(at, 300, 3))))
            for at, store in enumerate(stores, 1)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    minute = in_one_minute(stores[0], put)
    bar = stores[0].bars.of(minute)["BTCUSDT"]
    assert (bar.high, bar.low) == (Decimal(299), Decimal(1))
    assert bar.close == stores[0].prices(["BTCUSDT"])["BTCUSDT"].price
    for store in stores:
        store.close()


# ------------------------------------------------------------------------------------------- what waits too long


def test_bars_that_nobody_fetches_run_out_of_time_but_not_unseen(clean_redis, redis_server):
    store = RedisStore(clean_redis, timeout_s=REDIS_S)
    minute = in_one_minute(store, put_all(store, "5"))
    with redis_server.connect() as client:
        key = f"{keys.prefix(0)}{keys.BARS}{minute}"
        assert 0 < client.ttl(key) <= BARS_LIFE_S
        client.delete(key)
    assert (store.bars.minutes(), store.bars.of(minute)) == ({minute: 1}, {})
    store.bars.forget(minute, {})
    assert store.bars.minutes() == {}
    store.close()


def test_in_memory_too():
    bars = MemoryBars(threading.Lock())
    bars.put("BTCUSDT", Decimal(5), 0)
    late = (BARS_LIFE_S + 60) * 1_000_000
    bars.put("BTCUSDT", Decimal(6), late)
    assert (bars.minutes(), bars.of(0)) == ({0: 1, late: 1}, {})
    bars.forget(0, {})
    assert list(bars.minutes()) == [late]


@pytest.mark.parametrize("record", ["", "1 2 3", "x 1 1 1 5 5", "1 1 1 1 a b"])
def test_a_bar_that_cannot_be_read_is_said_to_be_so(clean_redis, redis_server, record):
    store = RedisStore(clean_redis, timeout_s=REDIS_S)
    with redis_server.connect() as client:
        client.hset(f"{keys.prefix(0)}{keys.BARS}0", "BTCUSDT", record)
    with pytest.raises(StateUnavailable, match="cannot be read"):
        store.bars.of(0)
    store.close()


def test_a_bar_that_cannot_be_read_keeps_no_price_out(clean_redis, redis_server):
    store = RedisStore(clean_redis, timeout_s=REDIS_S)
    with redis_server.connect() as client:
        for later in (0, MINUTE_US):
            client.hset(f"{keys.prefix(0)}{keys.BARS}{minute_of(now_us(store)) + later}", "BTCUSDT", "what is this")
    put_all(store, "5")()
    assert store.prices(["BTCUSDT"])["BTCUSDT"].price == 5
    store.close()


# ------------------------------------------------------------------------------------- both make the same of it

PRICES = st.decimals(min_value=0, max_value=Decimal(10) ** 15, allow_nan=False, places=12).filter(bool)


@given(st.lists(PRICES, min_size=1, max_size=30))
def test_a_bar_is_the_first_the_extremes_and_the_last(prices):
    bar: Bar | None = None
    for at, price in enumerate(prices):
        bar = with_price(bar, price, at)
    assert bar is not None
    assert (bar.open, bar.high, bar.low, bar.close) == (prices[0], max(prices), min(prices), prices[-1])
    assert decode_bar(encode_bar(bar).encode()) == bar


@settings(deadline=None, max_examples=30)
@given(prices=st.lists(PRICES, min_size=1, max_size=15), symbol=st.uuids())
def test_redis_makes_what_memory_makes(redis_server, prices, symbol):
    store = RedisStore(redis_server.url, timeout_s=REDIS_S)
    minute = in_one_minute(store, put_all(store, *map(str, prices), symbol=str(symbol)))
    bar = store.bars.of(minute)[str(symbol)]
    assert (bar.open, bar.high, bar.low, bar.close) == (prices[0], max(prices), min(prices), prices[-1])
    store.close()
