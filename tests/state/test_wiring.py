"""Which store a process gets, from its settings."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import timedelta

import pytest

from riskcore.ports import Load
from state import wiring
from state.memory_store import MemoryStore
from state.redis_store import RedisStore
from state.store import StateUnavailable
from tests.contract.subjects import change, commit, query, restored, view
from tests.state.conftest import frozen
from tests.support.patience import REDIS_S


@pytest.fixture(autouse=True)
def fresh(settings, tmp_path):
    """Let each test have the stores of a process that has just begun."""
    settings.RISK_DATA_DIR = tmp_path
    wiring.forget_stores()
    yield
    wiring.store().close()
    wiring.forget_stores()


def test_without_a_redis_url_the_state_is_in_memory_and_its_journal_in_the_data_directory(settings, tmp_path):
    settings.REDIS_URL = ""
    store = wiring.store()
    assert isinstance(store, MemoryStore)
    commit(store, change("a"), journal=(b"entry",))
    assert any(b"entry" in path.read_bytes() for path in tmp_path.rglob("*.journal"))


def test_with_a_redis_url_the_state_is_in_redis(settings, clean_redis):
    settings.REDIS_URL, settings.RISK_LANES = clean_redis, 2
    store = wiring.store()
    assert isinstance(store, RedisStore)
    assert store.lanes == 2


def test_how_long_redis_may_take_is_what_the_setting_says(settings, redis):
    settings.REDIS_URL, settings.RISK_REDIS_TIMEOUT = redis.url, timedelta(milliseconds=200)

    async def look() -> None:
        store = wiring.async_store()
        with pytest.raises(StateUnavailable):
            await store.ping()
        await store.close()

    with frozen(redis):
        begin = time.monotonic()
        with pytest.raises(StateUnavailable):
            wiring.store().ping()
        asyncio.run(look())
        assert time.monotonic() - begin < REDIS_S, "as long as in all other tests"


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_threads_and_tasks_of_a_process_see_one_state(settings, request, kind):
    settings.REDIS_URL = request.getfixturevalue("clean_redis") if kind == "redis" else ""
    assert wiring.store() is wiring.store()
    control = restored(wiring.store())

    async def look():
        store = wiring.async_store()
        assert wiring.async_store() is store
        loaded = await store.load(Load(accounts=(query("a"),)))
        await store.close()
        return loaded.control

    assert asyncio.run(look()) == control


def test_a_child_of_a_fork_has_connections_of_its_own(settings, clean_redis):
    settings.REDIS_URL = clean_redis
    of_the_parent = wiring.store()
    commit(of_the_parent, change("a", ledger=b"{}"))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            commit(wiring.store(), change("a", 1, ledger=b"{}"))
            status = 0 if wiring.store() is not of_the_parent else 2
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert view(of_the_parent, "a").version == 2
