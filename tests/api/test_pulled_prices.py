"""Orders at the doors where prices are looked up in the market's Redis first."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
import redis
from prometheus_client import REGISTRY

from feeds.pull import forget_pull
from riskcore.book import Parameters
from riskcore.types import Position
from state.store import Store
from tests.api.world import ACCOUNTS, BATCH, CHECK, Answer, Door, WsgiDoor, order, publish, report
from tests.riskcore import builders
from tests.support.patience import PATIENCE_S

LIFE = timedelta(seconds=60)

_numbers = itertools.count()


class Market:
    """Another program that writes prices."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def write(self, symbol: str = "BTCUSDT", price: str = "50000", life: timedelta | None = None) -> None:
        self._client.set(f"market:prices:{symbol}", price, px=life)


class Ticking:
    """Writes a new price every few milliseconds, until it is told to stop."""

    def __init__(self, market: Market, *symbols: str) -> None:
        self._market, self._symbols = market, symbols
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ticking", daemon=True)

    def __enter__(self) -> Ticking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        for number in itertools.count():
            for symbol in self._symbols:
                self._market.write(symbol, f"{builders.MARKS[symbol]}.{number % 10}")
            if self._stop.wait(0.005):
                return


@pytest.fixture
def market(redis_server) -> Iterator[Market]:
    with redis.Redis.from_url(redis_server.url_of(1)) as client:
        client.flushdb()
        yield Market(client)
        client.flushdb()


@pytest.fixture
def pulling(store: Store, settings, market, redis_server) -> Iterator[Store]:
    """A store with fresh states and no price of anything, and a market to look prices up in."""
    settings.RISK_PRICE_PROVIDER = "redis"
    settings.MARKET_REDIS_URL = redis_server.url_of(1)
    settings.RISK_CACHE_TTL = timedelta(milliseconds=20)
    publish(store, parameters=Parameters(state_max_age_us=3_600_000_000, price_max_age_us=2_000_000))
    for name in ACCOUNTS:
        report(store, name)
    yield store
    forget_pull()


# The doors take the settings up when they are made: tests name these before them.
@pytest.fixture
def by_life(pulling: Store, settings) -> Store:
    settings.RISK_PRICE_KEY_TTL = LIFE
    return pulling


@pytest.fixture
def caching(by_life: Store, settings) -> Store:
    """What was looked at stays fresh."""
    settings.RISK_CACHE_TTL = timedelta(hours=1)
    return by_life


@pytest.fixture
def unreachable(by_life: Store, settings) -> Store:
    settings.MARKET_REDIS_URL = "redis://127.0.0.1:1/1"
    return by_life


@pytest.fixture
def not_pulling(by_life: Store, settings) -> Store:
    settings.RISK_PRICE_PROVIDER = "feeds"
    return by_life


def reason_of(answer: Answer) -> str | None:
    found: str | None = answer.json["reason"]
    return found


def ask(door: Door, **what: object) -> Answer:
    return door.post(CHECK, order(f"again-{next(_numbers)}", quantity="0.0001", **what))


def asked_until(door: Door, wanted: Callable[[Answer], bool], **what: object) -> Answer:
    """Ask about new orders until the answer is as wanted."""
    until_s = time.monotonic() + PATIENCE_S
    while not wanted(answer := ask(door, **what)):
        assert time.monotonic() < until_s, answer.json
        time.sleep(0.01)
    return answer


def counted(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


# ------------------------------------------------------------------------------ keys without a known life
def test_a_price_of_unknown_age_blocks(pulling, market, door):
    market.write()
    for _ in range(5):
        assert reason_of(ask(door)) == "price_unavailable"
        market.write()


def test_one_that_is_seen_to_change_is_taken(pulling, market, door):
    with Ticking(market, "BTCUSDT"):
        answer = asked_until(door, lambda answer: answer.json["approved"])
    assert answer.json["violations"] == []


def test_once_its_writer_ends_orders_are_blocked_though_the_key_stays(pulling, market, door):
    with Ticking(market, "BTCUSDT"):
        asked_until(door, lambda answer: answer.json["approved"])
    asked_until(door, lambda answer: reason_of(answer) == "price_unavailable")
    for _ in range(5):
        assert reason_of(ask(door)) == "price_unavailable"


def test_without_a_price_orders_are_blocked(pulling, market, door):
    assert reason_of(ask(door)) == "price_unavailable"


# --------------------------------------------------------------------------------- keys with a known life
def test_a_price_in_the_first_part_of_its_keys_life_is_taken_at_once(by_life, market, door):
    market.write(life=LIFE)
    answer = ask(door)
    assert answer.json["approved"], answer.json


def test_it_may_stay_the_same_in_a_quiet_market(by_life, market):
    door = WsgiDoor()
    until_s = time.monotonic() + 2.5  # longer than a price may be old
    while time.monotonic() < until_s:
        market.write(life=LIFE)
        assert ask(door).json["approved"]
        time.sleep(0.05)


def test_later_in_it_the_price_is_too_old(by_life, market, door):
    market.write(life=LIFE - timedelta(seconds=3))
    assert reason_of(ask(door)) == "price_unavailable"


@pytest.mark.parametrize("text", ["", "nan", "-5", "0", "a lot"])
def test_what_is_no_price_is_not_taken(by_life, market, text):
    market.write(price=text, life=LIFE)
    assert reason_of(ask(WsgiDoor())) == "price_unavailable"


def test_what_an_account_holds_has_its_prices_brought_too(by_life, market, door):
    report(by_life, "A", Position(symbol="ETHUSDT", quantity=Decimal(1)))
    market.write(life=LIFE)
    assert reason_of(ask(door)) == "price_unavailable"  # of what it holds
    market.write("ETHUSDT", "3000", life=LIFE)
    asked_until(door, lambda answer: answer.json["approved"])


def test_a_batch_has_all_its_prices_brought(by_life, market, door):
    market.write(life=LIFE)
    market.write("ETHUSDT", "3000", life=LIFE)
    orders = [order(f"o-{n}", account_id=ACCOUNTS[n % 3], quantity="0.01") for n in range(9)]
    orders += [order(f"e-{n}", symbol="ETHUSDT", quantity="0.01", price="3000") for n in range(9)]
    answer = door.post(BATCH, {"orders": orders})
    assert all(decision["approved"] for decision in answer.json["decisions"]), answer.json


def test_hits_and_misses_are_counted(caching, market, door):
    market.write(life=LIFE)
    hits, misses = counted("risk_price_cache_hits_total"), counted("risk_price_cache_misses_total")
    for _ in range(5):
        assert ask(door).json["approved"]
    assert counted("risk_price_cache_misses_total") == misses + 1
    assert counted("risk_price_cache_hits_total") == hits + 4


def test_what_was_looked_at_is_looked_at_again_soon(by_life, market, door):
    market.write(life=LIFE)
    assert ask(door).json["approved"]
    market.write(price="60000", life=LIFE)
    asked_until(door, lambda answer: by_life.prices(["BTCUSDT"])["BTCUSDT"].price == 60000)


def test_with_the_feeds_as_provider_nobody_looks(not_pulling, market, door):
    market.write(life=LIFE)
    assert reason_of(ask(door)) == "price_unavailable"
    assert not not_pulling.prices(["BTCUSDT"])


def test_while_the_market_cannot_be_reached_what_is_known_counts(unreachable, door):
    assert reason_of(ask(door)) == "price_unavailable"
    unreachable.put_prices({"BTCUSDT": ("50000", 0)})
    assert ask(door).json["approved"]
