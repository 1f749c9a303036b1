"""Both stores in Redis while Redis stalls, dies and comes back."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
import redis as redis_py

from riskcore.ports import Committed, Load, Loaded
from state.redis_store import AsyncRedisStore, RedisStore
from state.store import StateUnavailable
from tests.contract.subjects import change, commit, query, restored, view
from tests.contract.test_races import added_one
from tests.state.conftest import frozen
from tests.support.patience import PATIENCE_S, REDIS_S

pytestmark = pytest.mark.fault

ALPHA = "account-0"
LOAD = Load(accounts=(query(ALPHA),))


@pytest.fixture
def store(redis):
    found = RedisStore(redis.url, timeout_s=REDIS_S)
    yield found
    found.close()


@pytest.fixture
def hasty(redis):
    """A store that gives up soon: what it does while Redis answers may fail as well, on a slow machine."""
    found = RedisStore(redis.url, timeout_s=0.2)
    yield found
    found.close()


def seen_in_the_end(store, account_id):
    """Return an account as a store sees it once it is answered in time."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return view(store, account_id)
        except StateUnavailable:
            if time.monotonic() > end:
                raise


def test_a_thread_waits_as_long_as_it_was_told_and_not_until_redis_is_back(redis, hasty):
    seen_in_the_end(hasty, ALPHA)
    with frozen(redis):
        begin = time.monotonic()
        with pytest.raises(StateUnavailable):
            view(hasty, ALPHA)
        assert time.monotonic() - begin > 0.15


def test_a_late_reply_meets_no_other_command_of_the_thread(redis, store, hasty):
    commit(store, change("a", ledger=b"{a}"), change("b", ledger=b"{b}"))
    assert seen_in_the_end(hasty, "a").ledger == b"{a}"
    with frozen(redis), pytest.raises(StateUnavailable):
        view(hasty, "a")
    assert seen_in_the_end(hasty, "b").ledger == b"{b}"


def test_the_reply_to_an_interrupted_command_meets_no_other(redis, store, monkeypatch):
    commit(store, change("a", ledger=b"{a}"), change("b", ledger=b"{b}"))

    def interrupted(*args) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(redis_py.Connection, "read_response", interrupted)
        with pytest.raises(KeyboardInterrupt):
            view(store, "a")
    assert view(store, "b").ledger == b"{b}"


def test_a_load_does_not_notice_that_redis_was_restarted(redis, store):
    commit(store, change(ALPHA, ledger=b"{}"))
    redis.restart()
    assert view(store, ALPHA).ledger == b"{}"


def test_a_commit_on_a_connection_that_broke_is_not_sent_twice(redis, store):
    view(store, ALPHA)
    redis.restart()
    with pytest.raises(StateUnavailable):
        commit(store, change(ALPHA, ledger=b"{}"))
    assert view(store, ALPHA).version == 0
    assert commit(store, change(ALPHA, ledger=b"{}")) == Committed()


def test_without_redis_everything_is_unavailable(redis, store):
    redis.stop()
    calls = [
        lambda: view(store, ALPHA),
        lambda: commit(store, change(ALPHA, ledger=b"{}")),
        store.control,
        lambda: store.set_stops([]),
        lambda: store.publish_book(1, b"{}"),
        lambda: store.fetch_book(1),
        lambda: restored(store),
        lambda: store.put_prices({"BTCUSDT": ("1", 0)}),
        lambda: store.prices(["BTCUSDT"]),
        store.account_ids,
        lambda: store.reservations(ALPHA),
        lambda: store.put_keys(b""),
        store.fetch_keys,
        lambda: store.read_journal(0, "0", 1),
        lambda: store.trim_journal(0, "1-1"),
        lambda: store.journal_length(0),
        lambda: store.journal_generation(0),
        store.ping,
        store.warnings,
    ]
    for call in calls:
        with pytest.raises(StateUnavailable):
            call()


def test_a_redis_that_comes_back_empty_has_no_control(redis, store):
    expect = restored(store)
    redis.restart(empty=True)
    assert store.control() is None
    reply = commit(store, change(ALPHA, ledger=b"{}"), expect=expect)
    assert isinstance(reply, Loaded)
    assert reply.control is None


def test_no_addition_acknowledged_to_a_thread_is_lost_when_redis_is_killed(redis, store):
    restored(store)
    finished = threading.Event()
    acknowledged = []

    def add() -> None:
        while not finished.is_set():
            try:
                reply = store.load(LOAD)
                while isinstance(reply, Loaded):
                    reply = store.commit(added_one(reply, LOAD))
                acknowledged.append(1)
            except StateUnavailable:
                time.sleep(0.005)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    interrupt(redis, acknowledged)
    finished.set()
    for thread in threads:
        thread.join()
    check_nothing_is_lost(store, len(acknowledged), unknown=2 * len(threads))


async def test_no_addition_acknowledged_to_a_task_is_lost_when_redis_is_killed(redis, store):
    restored(store)
    door = AsyncRedisStore(redis.url, timeout_s=REDIS_S)
    finished = threading.Event()
    acknowledged = []

    async def add() -> None:
        while not finished.is_set():
            try:
                reply: Loaded | Committed = await door.load(LOAD)
                while isinstance(reply, Loaded):
                    reply = await door.commit(added_one(reply, LOAD))
                acknowledged.append(1)
            except StateUnavailable:
                await asyncio.sleep(0.005)

    tasks = [asyncio.create_task(add()) for _ in range(16)]
    await asyncio.to_thread(interrupt, redis, acknowledged)
    finished.set()
    await asyncio.gather(*tasks)
    check_nothing_is_lost(store, len(acknowledged), unknown=2 * len(tasks))
    await door.close()


def interrupt(redis, acknowledged) -> None:
    """Kill Redis twice while additions go on, and see that they go on after."""
    for _ in range(2):
        wait_for_more(acknowledged)
        redis.kill()
        redis.restart()
    wait_for_more(acknowledged)


def wait_for_more(acknowledged) -> None:
    before, end = len(acknowledged), time.monotonic() + PATIENCE_S
    while len(acknowledged) < before + 50:
        assert time.monotonic() < end
        time.sleep(0.005)


def check_nothing_is_lost(store: RedisStore, acknowledged: int, unknown: int) -> None:
    """Check that all that was acknowledged is there, and at most what was under way besides."""
    written = int(view(store, ALPHA).ledger or 0)
    assert acknowledged <= written <= acknowledged + unknown
    assert view(store, ALPHA).version == written
    entries = store.read_journal(0, "0", written + 1)
    assert [int(entry) for _, entry in entries] == list(range(1, written + 1))
