"""The shared connection: replies meet their commands, and whoever waits in vain is told in time."""

from __future__ import annotations

import asyncio
import select
import time
from typing import Any

import pytest
import uvloop

from devtools.servers import RedisServer
from state import redis_pipeline
from state.redis_pipeline import RedisPipeline
from state.redis_wire import Refused
from state.store import StateUnavailable
from tests.state.conftest import frozen
from tests.support.patience import PATIENCE_S, REDIS_S

pytestmark = pytest.mark.fault

# A command that may take so long has not waited for its time where it failed within PATIENCE_S.
LONG_S = 3 * PATIENCE_S


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request):
    """Run a test's coroutine on each kind of event loop."""

    def run(coroutine) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(coroutine)

    return run


async def in_the_end(work):
    """Return what `work` returns once it does not raise StateUnavailable any more."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await work()
        except StateUnavailable:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.01)


def has_come(pipeline: RedisPipeline) -> bool:
    """Wait, without letting the loop run, until something has come that is not read yet."""
    assert pipeline.connection is not None
    transport = pipeline.connection._transport
    assert transport is not None
    return bool(select.select([transport.get_extra_info("socket")], [], [], PATIENCE_S)[0])


async def outcomes(*commands) -> tuple[list[Any], float]:
    """Return what came of some commands sent at once, errors included, and how long that took in seconds."""
    begin = time.monotonic()
    found = await asyncio.gather(*commands, return_exceptions=True)
    return found, time.monotonic() - begin


def test_every_command_gets_its_own_reply(redis, run):
    async def test():
        pipeline = RedisPipeline(redis.url, timeout_s=REDIS_S)
        texts = [b"%d" % number * (1 + number % 700) for number in range(3000)]
        assert await asyncio.gather(*(pipeline.execute("ECHO", text) for text in texts)) == texts
        await pipeline.close()

    run(test())


def test_an_error_concerns_its_own_command_only(redis, run):
    async def test():
        pipeline = RedisPipeline(redis.url, timeout_s=REDIS_S)
        (first, error, last), _ = await outcomes(
            pipeline.execute("ECHO", "1"), pipeline.execute("NONSENSE"), pipeline.execute("ECHO", "2")
        )
        assert (first, last) == (b"1", b"2")
        assert isinstance(error, Refused)
        assert "unknown command 'NONSENSE'" in str(error)
        await pipeline.close()

    run(test())


def test_a_command_without_a_reply_fails_in_time_and_its_late_reply_meets_nobody(redis, run):
    async def test():
        pipeline = RedisPipeline(redis.url, timeout_s=LONG_S)
        connection = await pipeline.execute("CLIENT", "ID")
        with frozen(redis):
            late, waited_s = await outcomes(*(pipeline.execute("ECHO", f"late{n}", timeout_s=0.2) for n in range(5)))
        assert all(isinstance(one, StateUnavailable) for one in late)
        assert 0.15 < waited_s < PATIENCE_S
        texts = [b"%d" % number for number in range(50)]
        assert await asyncio.gather(*(pipeline.execute("ECHO", text) for text in texts)) == texts
        assert await pipeline.execute("CLIENT", "ID") == connection
        await pipeline.close()

    run(test())


def test_a_command_waits_no_longer_because_one_before_it_may(redis, run):
    async def test():
        pipeline = RedisPipeline(redis.url, timeout_s=LONG_S)
        waiting = asyncio.ensure_future(pipeline.execute("BLPOP", "k", 0))
        await asyncio.sleep(0)
        found, waited_s = await outcomes(pipeline.execute("ECHO", "behind it", timeout_s=0.1))
        assert isinstance(found[0], StateUnavailable)
        assert waited_s < PATIENCE_S
        await pipeline.close()
        with pytest.raises(StateUnavailable, match="closed"):
            await waiting

    run(test())


def test_a_reply_that_came_in_time_counts_though_the_process_was_held_up(redis, run):
    async def test():
        pipeline = RedisPipeline(redis.url, timeout_s=LONG_S)
        await pipeline.execute("PING")
        waiting = asyncio.ensure_future(pipeline.execute("ECHO", "here", timeout_s=0.1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        # Nothing runs meanwhile, as under a long computation.
        assert has_come(pipeline)
        time.sleep(0.2)  # noqa: ASYNC251
        assert await waiting == b"here"
        await pipeline.close()

    run(test())


def test_a_caller_that_goes_away_leaves_the_order_of_replies_alone(redis, run):
    async def test():
        pipeline = RedisPipeline(redis.url, timeout_s=REDIS_S)
        await pipeline.execute("PING")
        tasks = [asyncio.create_task(pipeline.execute("ECHO", str(number))) for number in range(9)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        found, _ = await outcomes(*tasks)
        assert found[1::2] == [b"1", b"3", b"5", b"7"]
        assert all(isinstance(one, asyncio.CancelledError) for one in found[::2])
        await pipeline.close()

    run(test())


def test_a_connection_that_stays_silent_is_replaced(redis, run):
    async def test():
        pipeline = RedisPipeline(redis.url, timeout_s=0.2)
        connection = await in_the_end(lambda: pipeline.execute("CLIENT", "ID"))
        with frozen(redis):
            for _ in range(4):
                found, _ = await outcomes(pipeline.execute("PING"))
                assert isinstance(found[0], StateUnavailable)
                await asyncio.sleep(0.1)
        assert await in_the_end(lambda: pipeline.execute("CLIENT", "ID")) != connection
        await pipeline.close()

    run(test())


def test_what_waits_on_a_connection_that_breaks_fails_at_once(redis, run):
    async def test():
        pipeline = RedisPipeline(redis.url, timeout_s=LONG_S)
        await pipeline.execute("PING")
        waiting = asyncio.gather(*(pipeline.execute("BLPOP", "k", 0) for _ in range(3)), return_exceptions=True)
        await asyncio.sleep(0.05)
        redis.kill()
        begin = time.monotonic()
        assert all(isinstance(one, StateUnavailable) for one in await waiting)
        found, _ = await outcomes(pipeline.execute("PING"))
        assert isinstance(found[0], StateUnavailable)
        assert time.monotonic() - begin < PATIENCE_S
        await pipeline.close()

    run(test())


def test_a_pipeline_recovers_by_itself_when_redis_is_back(redis, run):
    async def test():
        pipeline = RedisPipeline(redis.url, timeout_s=REDIS_S)
        await pipeline.execute("PING")
        redis.kill()
        with pytest.raises(StateUnavailable):
            await pipeline.execute("PING")
        await asyncio.to_thread(redis.restart)
        assert await in_the_end(lambda: pipeline.execute("PING")) == b"PONG"
        await pipeline.close()

    run(test())


def test_without_redis_a_command_fails_without_waiting(redis, run):
    async def test():
        redis.stop()
        pipeline = RedisPipeline(redis.url, timeout_s=LONG_S)
        found, waited_s = await outcomes(*(pipeline.execute("PING") for _ in range(10)))
        assert all(isinstance(one, StateUnavailable) for one in found)
        assert waited_s < PATIENCE_S
        await pipeline.close()

    run(test())


def test_more_than_a_bounded_number_of_commands_does_not_wait(redis, run, monkeypatch):
    monkeypatch.setattr(redis_pipeline, "_MOST_PENDING", 10)

    async def test():
        pipeline = RedisPipeline(redis.url, timeout_s=REDIS_S)
        await pipeline.execute("PING")
        found, _ = await outcomes(*(pipeline.execute("PING") for _ in range(15)))
        assert found[:10] == [b"PONG"] * 10
        assert all(isinstance(one, StateUnavailable) for one in found[10:])
        await pipeline.close()

    run(test())


def test_the_url_says_database_and_password(redis, run):
    async def test():
        pipeline = RedisPipeline(redis.url_of(3), timeout_s=REDIS_S)
        await pipeline.execute("SET", "where", "three")
        other = RedisPipeline(redis.url, timeout_s=REDIS_S)
        assert await other.execute("GET", "where") is None
        assert await pipeline.execute("GET", "where") == b"three"
        await pipeline.close()
        await other.close()

    run(test())


def test_a_wrong_password_is_named_as_the_reason(redis, run):
    async def test():
        pipeline = RedisPipeline(redis.url.replace("redis://:", "redis://:x"), timeout_s=REDIS_S)
        with pytest.raises(StateUnavailable, match="WRONGPASS"):
            await pipeline.execute("PING")
        await pipeline.close()

    run(test())


def test_a_unix_socket_will_do(run, tmp_path):
    path = tmp_path / "redis.sock"

    async def test(server):
        password = server.url.split(":")[2].split("@")[0]
        pipeline = RedisPipeline(f"unix://:{password}@{path}?db=2", timeout_s=REDIS_S)
        assert await pipeline.execute("PING") == b"PONG"
        await pipeline.close()

    with RedisServer(settings={"unixsocket": str(path)}) as server:
        run(test(server))


def test_a_server_that_is_not_redis_is_no_state(run):
    async def test():
        async def greet(reader, writer) -> None:
            await reader.read(10)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        pipeline = RedisPipeline(f"redis://127.0.0.1:{port}/0", timeout_s=REDIS_S)
        with pytest.raises(StateUnavailable, match="nonsense"):
            await pipeline.execute("PING")
        await pipeline.close()
        server.close()
        await server.wait_closed()

    run(test())


def test_a_closed_pipeline_fails_what_waits_and_takes_no_more(redis, run):
    async def test():
        pipeline = RedisPipeline(redis.url, timeout_s=REDIS_S)
        await pipeline.execute("PING")
        waiting = asyncio.ensure_future(pipeline.execute("BLPOP", "k", 0))
        await asyncio.sleep(0.02)
        await pipeline.close()
        for command in (waiting, pipeline.execute("PING")):
            with pytest.raises(StateUnavailable, match="closed"):
                await command

    run(test())
