"""A Redis that was started anew may have lost the end of what it answered: then it has no control any more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from devtools.servers import RedisServer
from riskcore.ports import Committed, Load, Loaded
from state.redis_store import AsyncRedisStore, RedisStore
from state.store import StateUnavailable
from tests.contract.subjects import change, commit, query, restored, view
from tests.support.patience import REDIS_S

pytestmark = pytest.mark.fault

ALPHA = "account-0"
LOAD = Load(accounts=(query(ALPHA),))
LANES = 3


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A Redis that answers first and writes to the disk each second."""
    with RedisServer() as found:
        yield found


@pytest.fixture
def redis(server: RedisServer) -> RedisServer:
    server.start()
    with server.connect() as client:
        client.flushall()
    return server


@pytest.fixture
def store(redis: RedisServer) -> Iterator[RedisStore]:
    with closing(RedisStore(redis.url, lanes=LANES, timeout_s=REDIS_S)) as found:
        yield found


def crash(redis: RedisServer) -> None:
    redis.kill()
    redis.start()


def test_after_a_crash_no_lane_has_a_control(redis, store):
    restored(store)
    crash(redis)
    assert store.load(LOAD).control is None
    lanes = {store.lane_of(f"account-{number}") for number in range(20)}
    assert lanes == set(range(LANES))
    for number in range(20):
        assert store.load(Load(accounts=(query(f"account-{number}"),))).control is None


async def test_a_task_notices_it_as_a_thread_does(redis, store):
    restored(store)
    door = AsyncRedisStore(redis.url, lanes=LANES, timeout_s=REDIS_S)
    crash(redis)
    loaded = await door.load(LOAD)
    await door.close()
    assert loaded.control is None
    assert store.control() is None


def test_a_planned_restart_is_not_told_from_a_crash(redis, store):
    restored(store)
    redis.restart()
    assert store.load(LOAD).control is None


def test_what_was_decided_before_the_crash_is_not_written_after_it(redis, store):
    expect = restored(store)
    assert commit(store, change(ALPHA, ledger=b"{}"), expect=expect) == Committed()
    crash(redis)
    with pytest.raises(StateUnavailable):
        commit(store, change(ALPHA, 1, ledger=b"{a}"), expect=expect)  # on the connection that broke
    reply = commit(store, change(ALPHA, 1, ledger=b"{a}"), expect=expect)
    assert isinstance(reply, Loaded)
    assert reply.control is None
    assert view(store, ALPHA).ledger in (b"{}", None)


def test_the_journal_has_another_life(redis, store):
    restored(store)
    before = {lane: store.journal_generation(lane) for lane in range(LANES)}
    crash(redis)
    view(store, ALPHA)
    assert all(store.journal_generation(lane) != name for lane, name in before.items())


def test_stops_and_book_stay_for_the_restore(redis, store):
    restored(store)
    version = store.publish_book(7, b"{}")
    with redis.connect() as client:
        stops = client.hget("risk:{L0}:control", "stops")
    crash(redis)
    view(store, ALPHA)
    with redis.connect() as client:
        assert client.hmget("risk:{L0}:control", "book", "stops", "generation") == [str(version), stops, None]


def test_it_is_said_once(redis, store, caplog):
    restored(store)
    crash(redis)
    with closing(RedisStore(redis.url, lanes=LANES, timeout_s=REDIS_S)) as other:
        view(store, ALPHA)
        view(other, ALPHA)
        commit(other, change(ALPHA, ledger=b"{}"))
    assert caplog.text.count("was started anew") == 1


def test_restored_it_is_alive_in_the_new_process(redis, store):
    restored(store)
    crash(redis)
    view(store, ALPHA)
    with closing(RedisStore(redis.url, lanes=LANES, timeout_s=REDIS_S)) as other:
        control = restored(other)
    with redis.connect() as client:
        client.script_flush()
    assert store.load(LOAD).control == control


def test_who_forgets_the_scripts_alone_loses_nothing(redis, store):
    control = restored(store)
    life = store.journal_generation(0)
    with redis.connect() as client:
        client.script_flush()
    assert store.load(LOAD).control == control
    assert store.journal_generation(0) == life


def test_a_control_that_names_no_server_is_not_trusted(redis, store):
    restored(store)
    with redis.connect() as client:
        client.hdel("risk:{L0}:control", "server")
        client.script_flush()
    assert store.load(LOAD).control is None


def test_one_that_does_not_say_how_it_keeps_is_not_trusted(redis, store):
    restored(store)
    crash(redis)
    with redis.connect() as client:
        client.acl_setuser("modest", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all", "-config"])
    with closing(
        RedisStore(redis.url.replace(":" + client_password(redis), "modest:secret"), lanes=LANES, timeout_s=REDIS_S)
    ) as modest:
        assert modest.load(LOAD).control is None


def client_password(redis: RedisServer) -> str:
    return redis.url.split("//:")[1].split("@")[0]


def test_one_that_writes_before_it_answers_goes_on_at_once():
    with (
        RedisServer(settings={"appendfsync": "always"}) as redis,
        closing(RedisStore(redis.url, timeout_s=REDIS_S)) as store,
    ):
        control = restored(store)
        life = store.journal_generation(0)
        commit(store, change(ALPHA, ledger=b"{}"))
        crash(redis)
        found = store.load(LOAD)
        assert (found.control, found.accounts[0].ledger) == (control, b"{}")
        assert store.journal_generation(0) == life


def test_without_an_append_only_file_it_is_not_trusted():
    settings = {"appendfsync": "always", "save": "1 1"}
    with (
        RedisServer(appendonly=False, settings=settings) as redis,
        closing(RedisStore(redis.url, timeout_s=REDIS_S)) as store,
    ):
        restored(store)
        with redis.connect() as client:
            client.save()
        crash(redis)
        assert store.load(LOAD).control is None
