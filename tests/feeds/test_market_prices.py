"""Prices that other programs keep as plain numbers: taken while it is known that they are young, never otherwise."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis

from devtools.servers import RedisServer
from feeds.breaker import BreakerState, CircuitBreaker
from feeds.market_prices import KnownLife, MarketPrices, SeenWritten, Sight
from riskcore.types import Price
from state.redis_connections import RedisConnections
from state.store import StateUnavailable, Store
from tests.support.patience import PATIENCE_S, REDIS_S

APART_US = 60_000_000
TOLERANCE_US = 2_000_000
LIFE_US = 5_000_000
LOOKS_APART_US = 1_000_000

# What is understood, and as what; and what is not.
FINE = {b"50000": "50000", b"0.5": "0.5", b"50000.0": "50000", b"1e-05": "0.00001", b"5E4": "50000"}
GARBAGE: tuple[bytes, ...] = (
    b"",
    b" ",
    b"abc",
    b"nan",
    b"NaN",
    b"inf",
    b"-1",
    b"0",
    b"0.0",
    b"1e400",
    b"+5",
    b".5",
    b"5.",
    b"5 ",
    b"5,5",
)
GARBAGE += (b'"5"', b"0x5", b"\xff", b"5\x00", b"1" * 50, b"0.1234567890123", "٣".encode(), b"[5]", b"null")


@pytest.fixture
def market(clean_redis, redis_server) -> Iterator[redis.Redis]:
    """The database in which the prices are."""
    with redis.Redis.from_url(redis_server.url_of(1)) as client:
        yield client


@pytest.fixture
def connections(market, redis_server) -> Iterator[RedisConnections]:
    found = RedisConnections(redis_server.url_of(1), timeout_s=REDIS_S)
    yield found
    found.close()


@pytest.fixture
def breaker() -> CircuitBreaker:
    return CircuitBreaker(failures=3, pause_s=0.1)


@pytest.fixture
def prices(connections, store, breaker) -> MarketPrices:
    return made(connections, store, breaker, SeenWritten(APART_US))


@pytest.fixture
def by_life(connections, store, breaker) -> MarketPrices:
    return made(connections, store, breaker, KnownLife(LIFE_US, LOOKS_APART_US))


def made(connections, store, breaker, writing) -> MarketPrices:
    return MarketPrices(connections, store, writing, tolerance_us=TOLERANCE_US, breaker=breaker)


def kept(store: Store, symbol: str = "BTCUSDT") -> Price | None:
    return store.prices([symbol]).get(symbol)


def now_us() -> int:
    return time.time_ns() // 1000


# -------------------------------------------------------------------------------- known by having been seen
def test_the_number_that_is_there_at_first_may_be_as_old_as_it_likes(market, prices, store):
    market.set("market:prices:BTCUSDT", "50000")
    assert prices.bring(["BTCUSDT"]) == {"BTCUSDT": True}
    assert kept(store) is None


def test_one_that_stays_the_same_says_nothing(market, prices, store):
    market.set("market:prices:BTCUSDT", "50000")
    for _ in range(5):
        market.set("market:prices:BTCUSDT", "50000")
        prices.bring(["BTCUSDT"])
    assert kept(store) is None


def test_one_that_has_changed_was_written_since_the_look_before(market, prices, store):
    market.set("market:prices:BTCUSDT", "50000")
    prices.bring(["BTCUSDT"])
    before_us = now_us()
    market.set("market:prices:BTCUSDT", "50001.5")
    prices.bring(["BTCUSDT"])
    found = kept(store)
    assert found is not None
    assert str(found.price) == "50001.5"
    assert before_us - APART_US - TOLERANCE_US <= found.sent_at_us <= now_us() - APART_US - TOLERANCE_US


def test_once_it_does_not_change_any_more_it_grows_old(market, prices, store):
    market.set("market:prices:BTCUSDT", "50000")
    prices.bring(["BTCUSDT"])
    market.set("market:prices:BTCUSDT", "50001")
    prices.bring(["BTCUSDT"])
    found = kept(store)
    for _ in range(5):
        prices.bring(["BTCUSDT"])
    assert kept(store) == found


def test_a_key_that_was_not_there_was_written_since(market, prices, store):
    assert prices.bring(["BTCUSDT"]) == {"BTCUSDT": False}
    market.set("market:prices:BTCUSDT", "50000")
    prices.bring(["BTCUSDT"])
    assert kept(store) is not None


def test_the_same_number_with_a_later_end_was_written_anew(market, prices, store):
    market.set("market:prices:BTCUSDT", "50000", px=60_000)
    prices.bring(["BTCUSDT"])
    assert kept(store) is None
    market.set("market:prices:BTCUSDT", "50000", px=70_000)
    prices.bring(["BTCUSDT"])
    assert kept(store) is not None


@pytest.mark.parametrize("change", ["expire", "persist"])
def test_to_clear_keys_away_or_keep_them_is_no_writing(market, prices, store, change):
    market.set("market:prices:BTCUSDT", "50000", px=60_000 if change == "persist" else None)
    prices.bring(["BTCUSDT"])
    market.persist("market:prices:BTCUSDT") if change == "persist" else market.expire("market:prices:BTCUSDT", 50)
    prices.bring(["BTCUSDT"])
    assert kept(store) is None


def test_looks_too_far_apart_say_nothing(market, connections, store, breaker):
    prices = made(connections, store, breaker, SeenWritten(1_000))
    market.set("market:prices:BTCUSDT", "50000")
    prices.bring(["BTCUSDT"])
    market.set("market:prices:BTCUSDT", "50001")
    time.sleep(0.01)
    prices.bring(["BTCUSDT"])
    assert kept(store) is None


def test_a_clock_that_was_put_back_says_nothing():
    before, now = Sight(b"1", 0, 1_000_000), Sight(b"2", 0, 999_999)
    assert SeenWritten(APART_US).written_since_us("BTCUSDT", now, before, 1_000_001) == 0


def test_what_the_live_state_did_not_take_is_seen_again(market, prices, store, monkeypatch):
    market.set("market:prices:BTCUSDT", "50000")
    prices.bring(["BTCUSDT"])
    market.set("market:prices:BTCUSDT", "50001")
    with monkeypatch.context() as patch:
        patch.setattr(type(store), "put_prices", _away)
        prices.bring(["BTCUSDT"])
    assert kept(store) is None
    prices.bring(["BTCUSDT"])
    assert kept(store) is not None


def _away(*_arguments: object) -> int:
    raise StateUnavailable("as the test wants it")


# ------------------------------------------------------------------------------------- known by the key's life
def test_a_key_with_a_known_life_says_its_age_at_once(market, by_life, store):
    before_us = now_us()
    market.set("market:prices:BTCUSDT", "50000", px=LIFE_US // 1000)
    after_us = now_us()
    by_life.bring(["BTCUSDT"])
    found = kept(store)
    assert found is not None
    assert before_us - 1_000 <= found.sent_at_us + TOLERANCE_US <= after_us


def test_half_of_its_life_gone_it_is_that_old(market, by_life, store):
    market.set("market:prices:BTCUSDT", "50000", px=LIFE_US // 2000)
    by_life.bring(["BTCUSDT"])
    found = kept(store)
    assert found is not None
    age_us = now_us() - found.sent_at_us - TOLERANCE_US
    assert age_us >= LIFE_US // 2


def test_to_look_again_makes_it_no_younger(market, by_life, store):
    market.set("market:prices:BTCUSDT", "50000", px=LIFE_US // 1000)
    by_life.bring(["BTCUSDT"])
    first = kept(store)
    by_life.bring(["BTCUSDT"])
    second = kept(store)
    assert first is not None
    assert second is not None
    assert second.sent_at_us == first.sent_at_us


def test_a_key_without_an_end_has_no_age(market, by_life, store):
    market.set("market:prices:BTCUSDT", "50000")
    by_life.bring(["BTCUSDT"])
    market.set("market:prices:BTCUSDT", "50001")
    by_life.bring(["BTCUSDT"])
    assert kept(store) is None


def test_a_key_that_lives_longer_than_it_should_has_none_either(market, by_life, store):
    market.set("market:prices:BTCUSDT", "50000", px=LIFE_US // 1000 + 1_000)
    by_life.bring(["BTCUSDT"])
    assert kept(store) is None


def test_the_end_of_a_longer_life_is_remembered_from_look_to_look(market, by_life, store):
    market.set("market:prices:BTCUSDT", "50000", px=60_000)
    by_life.bring(["BTCUSDT"])
    ends_ms = market.pexpiretime("market:prices:BTCUSDT")
    market.pexpireat("market:prices:BTCUSDT", ends_ms - 57_000)  # as time would: 3 s are left
    by_life.bring(["BTCUSDT"])
    by_life.bring(["BTCUSDT"])
    assert kept(store) is None
    market.set("market:prices:BTCUSDT", "50001", px=LIFE_US // 1000)
    by_life.bring(["BTCUSDT"])
    assert kept(store) is not None


# ---------------------------------------------------------------------------------------------- two clocks
class Market:
    """The market's Redis, whose clock differs from that of the live state by `apart_us`."""

    def __init__(self, connections: RedisConnections, apart_us: int) -> None:
        self._connections, self._apart_us = connections, apart_us

    def read_all(self, commands):
        replies = self._connections.read_all(commands)
        return [
            self._moved(each) if command == ("TIME",) else each for command, each in zip(commands, replies, strict=True)
        ]

    def _moved(self, reply):
        moment_us = int(reply[0]) * 1_000_000 + int(reply[1]) + self._apart_us
        return [moment_us // 1_000_000, moment_us % 1_000_000]


@pytest.mark.parametrize("apart_us", [2_000_000, -2_000_000])
def test_prices_by_a_clock_that_differs_are_not_taken(market, connections, store, breaker, caplog, apart_us):
    prices = made(Market(connections, apart_us), store, breaker, SeenWritten(APART_US))
    for price in ("50000", "50001"):
        market.set("market:prices:BTCUSDT", price)
        assert prices.bring(["BTCUSDT"]) == {}
    assert kept(store) is None
    assert "clock of MARKET_REDIS_URL differs from that of REDIS_URL" in caplog.text
    assert breaker.state is BreakerState.CLOSED


def test_a_small_difference_is_none(market, connections, store, breaker):
    prices = made(Market(connections, -200_000), store, breaker, SeenWritten(APART_US))
    for price in ("50000", "50001"):
        market.set("market:prices:BTCUSDT", price)
        prices.bring(["BTCUSDT"])
    assert kept(store) is not None


def test_while_the_live_state_does_not_say_the_time_nothing_is_taken(market, by_life, store, breaker, monkeypatch):
    market.set("market:prices:BTCUSDT", "50000", px=LIFE_US // 1000)
    with monkeypatch.context() as patch:
        patch.setattr(type(store), "load", _away)
        assert by_life.bring(["BTCUSDT"]) == {}
    assert kept(store) is None
    assert breaker.state is BreakerState.CLOSED


# --------------------------------------------------------------------------------------------- whatever it is
@pytest.mark.parametrize(("text", "price"), FINE.items(), ids=str)
def test_a_plain_number_is_a_price(market, by_life, store, text, price):
    market.set("market:prices:BTCUSDT", text, px=LIFE_US // 1000)
    by_life.bring(["BTCUSDT"])
    found = kept(store)
    assert found is not None
    assert f"{found.price:f}" == price


@pytest.mark.parametrize("text", GARBAGE, ids=str)
def test_anything_else_is_none_and_the_others_are_brought(market, by_life, store, text):
    market.set("market:prices:BTCUSDT", text, px=LIFE_US // 1000)
    market.set("market:prices:ETHUSDT", "3000", px=LIFE_US // 1000)
    by_life.bring(["BTCUSDT", "ETHUSDT"])
    assert kept(store) is None
    assert kept(store, "ETHUSDT") is not None


def test_a_key_of_another_kind_is_none(market, by_life, store):
    market.hset("market:prices:BTCUSDT", "price", "50000")
    market.expire("market:prices:BTCUSDT", 5)
    assert by_life.bring(["BTCUSDT"]) == {"BTCUSDT": False}
    assert kept(store) is None


def test_prices_of_other_databases_are_not_looked_at(market, by_life, store, redis_server):
    with redis_server.connect() as client:
        client.set("market:prices:BTCUSDT", "50000", px=LIFE_US // 1000)
    assert by_life.bring(["BTCUSDT"]) == {"BTCUSDT": False}


def test_a_newer_price_from_the_feeds_is_left_there(market, by_life, store):
    market.set("market:prices:BTCUSDT", "50000", px=LIFE_US // 1000)
    store.put_prices({"BTCUSDT": ("60000", now_us())})
    by_life.bring(["BTCUSDT"])
    found = kept(store)
    assert found is not None
    assert found.price == 60000


def test_a_redis_that_is_gone_is_left_alone_and_tried_again(store, breaker):
    with RedisServer(appendonly=False) as server:
        prices = made(
            RedisConnections(server.url_of(1), timeout_s=REDIS_S), store, breaker, KnownLife(LIFE_US, LOOKS_APART_US)
        )
        with redis.Redis.from_url(server.url_of(1)) as client:
            client.set("market:prices:BTCUSDT", "50000", px=LIFE_US // 1000)
        assert prices.bring(["BTCUSDT"]) == {"BTCUSDT": True}
        server.kill()
        for _ in range(3):
            assert prices.bring(["BTCUSDT"]) == {}
        assert not breaker.admits()
        server.restart()
        until_s = time.monotonic() + PATIENCE_S
        while prices.bring(["BTCUSDT"]) == {}:
            assert time.monotonic() < until_s
            time.sleep(0.02)
        assert breaker.state is BreakerState.CLOSED


def test_a_command_that_redis_refuses_brings_nothing_and_leaves_the_connection_sound(market, connections, by_life):
    with pytest.raises(StateUnavailable):
        connections.read_all([("TIME",), ("NO-SUCH-COMMAND",), ("GET", "market:prices:BTCUSDT")])
    market.set("market:prices:BTCUSDT", "50000")
    assert connections.read_all([("GET", "market:prices:BTCUSDT"), ("EXISTS", "nothing")]) == [b"50000", 0]
