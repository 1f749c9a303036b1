"""What is brought before orders are decided, for many of them at once, and how the settings choose it."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
import redis

from feeds.books import BOOKS
from feeds.pull import Pull, forget_pull, pull_into
from riskcore.types import Order, OrderType, Side
from state.store import Store
from tests.api.world import publish
from tests.feeds.monitor_server import MonitorServer, position, state
from tests.policies.test_settings import KEY, shown, start
from tests.riskcore import builders

LONG = timedelta(seconds=20)


def order(account_id: str = "A", symbol: str = "BTCUSDT") -> Order:
    return Order(
        order_id="o",
        account_id=account_id,
        symbol=symbol,
        side=Side.BUY,
        quantity=Decimal(1),
        price=Decimal(0),
        order_type=OrderType.MARKET,
    )


@pytest.fixture
def server() -> Iterator[MonitorServer]:
    found = MonitorServer()
    found.start()
    yield found
    found.close()


@pytest.fixture
def ready(store) -> Iterator[Store]:
    BOOKS.forget()
    publish(store)
    yield store
    BOOKS.forget()


@pytest.fixture
def pull(ready, settings, server) -> Iterator[Pull]:
    settings.RISK_ACCOUNT_MONITOR_URL = server.url
    settings.RISK_ACCOUNT_MONITOR_TIMEOUT = LONG
    settings.RISK_CACHE_TTL = timedelta(hours=1)
    found = pull_into(ready)
    assert found is not None
    yield found
    forget_pull()


async def test_checks_of_one_account_at_the_same_time_ask_once(pull, server):
    server.going.clear()
    tasks = [asyncio.create_task(pull.bring_in_task((order(),))) for _ in range(50)]
    threads = [asyncio.create_task(asyncio.to_thread(pull.bring, (order(),))) for _ in range(4)]
    await asyncio.to_thread(server.called.wait, LONG.total_seconds())
    server.going.set()
    await asyncio.gather(*tasks, *threads)
    assert server.asked == ["A"]


async def test_what_is_fresh_is_not_waited_for(pull, server):
    await pull.bring_in_task((order(),))
    server.going.clear()
    # A coroutine that waits for nothing ends with its first step.
    with pytest.raises(StopIteration):
        pull.bring_in_task((order(),)).send(None)
    server.going.set()


async def test_one_account_does_not_wait_for_another(pull, server):
    slow = threading.Event()

    def answer(account_id: str):
        if account_id == "A":
            slow.wait(LONG.total_seconds())
        return state(account_id)

    server.answer = answer
    waiting = asyncio.create_task(pull.bring_in_task((order("A"),)))
    await pull.bring_in_task((order("B"),))
    assert not waiting.done()
    slow.set()
    await waiting


def test_many_accounts_are_asked_about_at_once(pull, ready, server):
    """As many as there are threads: were they asked about one by one, the barrier would never break."""
    names = tuple(f"many-{number}" for number in range(8))
    publish(ready, version=2, accounts=tuple(builders.account(name) for name in names))
    together = threading.Barrier(len(names), timeout=LONG.total_seconds())

    def answer(account_id: str):
        together.wait()
        return state(account_id)

    server.answer = answer
    pull.bring(tuple(order(name) for name in names))
    assert sorted(server.asked) == sorted(names)
    assert not together.broken


def test_more_accounts_than_threads_are_all_brought(pull, ready, server):
    names = tuple(f"many-{number}" for number in range(60))
    publish(ready, version=2, accounts=tuple(builders.account(name) for name in names))
    pull.bring(tuple(order(name) for name in names))
    assert sorted(server.asked) == sorted(names)
    assert set(ready.account_ids()) == set(names)


def test_a_batch_begins_no_more_once_it_has_waited_long_enough(pull, ready, server, monkeypatch):
    """Neither the batch's thread nor other orders' accounts wait for a thousand of them."""
    monkeypatch.setattr("feeds.pull._LONGEST_S", 0.0)
    names = tuple(f"many-{number}" for number in range(60))
    publish(ready, version=2, accounts=tuple(builders.account(name) for name in names))
    pull.bring(tuple(order(name) for name in names))
    assert len(server.asked) == 16


async def test_nor_does_a_task(pull, ready, server, monkeypatch):
    monkeypatch.setattr("feeds.pull._LONGEST_S", 0.0)
    names = tuple(f"many-{number}" for number in range(60))
    publish(ready, version=2, accounts=tuple(builders.account(name) for name in names))
    await pull.bring_in_task(tuple(order(name) for name in names))
    assert len(server.asked) == 16


@pytest.fixture
def with_prices(settings, redis_server) -> Iterator[redis.Redis]:
    """The market that the pull looks prices up in."""
    settings.RISK_PRICE_PROVIDER = "redis"
    settings.MARKET_REDIS_URL = redis_server.url_of(1)
    settings.RISK_PRICE_KEY_TTL = timedelta(seconds=60)
    settings.RISK_ACCOUNT_MONITOR_FAILURES = 1_000  # what is held stays held
    with redis.Redis.from_url(redis_server.url_of(1)) as client:
        client.flushdb()
        yield client
        client.flushdb()


def test_a_price_does_not_wait_for_accounts(with_prices, pull, ready, server):
    names = tuple(f"many-{number}" for number in range(60))
    accounts = tuple(builders.account(name) for name in (*names, "A"))
    publish(ready, version=2, accounts=accounts)
    pull.bring((order("A"),))
    server.going.clear()
    batch = threading.Thread(target=pull.bring, args=(tuple(order(name) for name in names),))
    batch.start()
    while len(server.asked) < 17:  # A, and one for each of the threads
        time.sleep(0.001)
    with_prices.set("market:prices:ETHUSDT", "3000", px=60_000)
    pull.bring((order("A", "ETHUSDT"),))
    assert "ETHUSDT" in ready.prices(["ETHUSDT"])
    server.going.set()
    batch.join()


def test_what_accounts_hold_and_the_book_knows_is_watched_first(with_prices, settings, ready, server):
    settings.RISK_ACCOUNT_MONITOR_URL = server.url
    settings.RISK_PRICE_KEY_TTL = None
    settings.RISK_CACHE_TTL = timedelta(hours=1)
    publish(ready, version=2, instruments=(builders.instrument("SOLUSDT"),))
    server.answer = lambda account_id: state(account_id, positions=[position("ETHUSDT")])
    found = pull_into(ready)
    assert found is not None
    found.bring((order("A", "BTCUSDT"), order("A", "SOLUSDT")))
    watch = found._watch
    assert watch is not None
    assert watch.watched()[-1] == "BTCUSDT"
    assert set(watch.watched()) == {"BTCUSDT", "ETHUSDT", "SOLUSDT"}
    forget_pull()


def test_by_the_keys_life_only_what_is_doubted_is_watched(with_prices, pull, ready):
    with_prices.set("market:prices:BTCUSDT", "50000", px=60_000)
    with_prices.set("market:prices:ETHUSDT", "3000")
    for _ in range(2):
        pull.bring((order("A", "BTCUSDT"), order("A", "ETHUSDT")))
    watch = pull._watch
    assert watch is not None
    assert watch.watched() == ["ETHUSDT"]


def test_an_account_that_officers_have_just_made_is_known(pull, ready, server):
    pull.bring((order(),))
    publish(ready, version=2, accounts=(builders.account("new"),))
    pull.bring((order("new"),))
    assert server.asked == ["A", "new"]


def test_a_disabled_account_is_not_asked_about(pull, ready, server):
    publish(ready, version=2, accounts=(builders.account("off", enabled=False),))
    pull.bring((order("off"),))
    assert not server.asked


def test_a_live_state_without_its_memory_has_nobody_asked(store, settings, server):
    BOOKS.forget()
    settings.RISK_ACCOUNT_MONITOR_URL = server.url
    found = pull_into(store)
    assert found is not None
    found.bring((order(),))
    assert not server.asked
    forget_pull()


def test_without_providers_there_is_nothing(ready):
    assert pull_into(ready) is None


def test_a_process_has_one(pull, ready):
    assert pull_into(ready) is pull


def test_a_child_has_its_own(pull, ready, server):
    """A fork has neither the threads nor the connection of its parent."""
    pull.bring((order(),))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"another" if pull_into(ready) is not pull else b"the same")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 100) == b"another"
    os.close(reading)
    os.close(writing)


# ---------------------------------------------------------------------------------------------- settings
PRODUCTION = {"RISK_SECRET_KEY": KEY}


@pytest.mark.parametrize(
    ("redis_url", "market"),
    [
        ("redis://h", "redis://h/1"),
        ("redis://:secret@h:6380/0", "redis://:secret@h:6380/1"),
        ("rediss://h:6380/7?db=3&health_check_interval=5", "rediss://h:6380/1?health_check_interval=5"),
        ("unix:///run/redis.sock?db=0", "unix:///run/redis.sock?db=1"),
    ],
)
def test_prices_are_in_database_1_of_the_same_redis_by_default(tmp_path, redis_url, market):
    assert shown(tmp_path, "s.MARKET_REDIS_URL", REDIS_URL=redis_url, **PRODUCTION) == market


def test_or_where_the_setting_says(tmp_path):
    found = shown(tmp_path, "s.MARKET_REDIS_URL", REDIS_URL="redis://h", MARKET_REDIS_URL="redis://m/4", **PRODUCTION)
    assert found == "redis://m/4"


def test_nobody_is_asked_by_default(tmp_path):
    assert shown(tmp_path, "[s.RISK_ACCOUNT_MONITOR_URL, s.RISK_PRICE_PROVIDER]") == ["", "feeds"]


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"RISK_ACCOUNT_MONITOR_URL": "monitor:50053"}, "RISK_ACCOUNT_MONITOR_URL"),
        ({"RISK_ACCOUNT_MONITOR_URL": "http://monitor:50053"}, "RISK_ACCOUNT_MONITOR_URL"),
        ({"RISK_ACCOUNT_MONITOR_URL": "grpc://monitor"}, "RISK_ACCOUNT_MONITOR_URL"),
        ({"RISK_ACCOUNT_MONITOR_URL": "grpc://:50053"}, "RISK_ACCOUNT_MONITOR_URL"),
        ({"RISK_ACCOUNT_MONITOR_URL": "grpc://user@monitor:50053"}, "RISK_ACCOUNT_MONITOR_URL"),
        ({"RISK_ACCOUNT_MONITOR_URL": "grpc://monitor:50053/path"}, "RISK_ACCOUNT_MONITOR_URL"),
        ({"RISK_ACCOUNT_MONITOR_TIMEOUT": "0s"}, "RISK_ACCOUNT_MONITOR_TIMEOUT"),
        ({"RISK_ACCOUNT_MONITOR_FAILURES": "0"}, "RISK_ACCOUNT_MONITOR_FAILURES"),
        ({"RISK_ACCOUNT_MONITOR_PAUSE": "1ms"}, "RISK_ACCOUNT_MONITOR_PAUSE"),
        ({"RISK_CACHE_TTL": "2s"}, "RISK_CACHE_TTL"),
        ({"RISK_PRICE_PROVIDER": "guess"}, "RISK_PRICE_PROVIDER"),
        ({"RISK_PRICE_PROVIDER": "redis"}, "MARKET_REDIS_URL"),
        ({"RISK_PRICE_PROVIDER": "redis", "MARKET_REDIS_URL": "http://m"}, "MARKET_REDIS_URL"),
        (
            {"RISK_PRICE_PROVIDER": "redis", "MARKET_REDIS_URL": "redis://m", "RISK_PRICE_MAX_AGE": "500ms"},
            "RISK_CACHE_TTL",
        ),
        ({"RISK_PRICE_KEY_TTL": "for ever"}, "RISK_PRICE_KEY_TTL"),
    ],
    ids=str,
)
def test_what_cannot_be_understood_stops_the_start(tmp_path, environment, name):
    done = start(tmp_path, **environment)
    assert done.returncode != 0
    assert f"ImproperlyConfigured: {name}" in done.stderr


def test_grpc_is_not_loaded_where_nobody_is_asked(tmp_path):
    code = "__import__('django').setup() or __import__('api.asgi_door') and 'grpc' in __import__('sys').modules"
    assert shown(tmp_path, code, DJANGO_SETTINGS_MODULE="riskportal.settings") is False
