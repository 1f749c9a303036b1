"""A stop over a real NATS, from HALTED to completed: the simulated OMS cancels and closes, riskportal sees it through.

Every part is a process of its own, on a Redis, a PostgreSQL and a NATS of their own.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from bench.installation import Installation, Rows
from bench.processes import Process
from devtools.nats_server import NatsServer
from devtools.servers import PostgresServer, RedisServer
from state.redis_store import RedisStore
from tests.e2e.installation import Client, Program
from tests.races.houses import new_database
from tests.simulator.test_over_nats import ACCOUNTS, ALL, House, held_by, trading
from tests.support.patience import PATIENCE_S, PATIENT, REDIS_S, eventually

pytestmark = [pytest.mark.slow, pytest.mark.fault]

STOP = "/risk/emergency-stop"


@dataclass
class Everything(House):
    """A whole riskportal: besides the doors the worker and its clock."""

    web: Process
    worker: Process

    def post(self, path: str, **body: Any) -> Any:
        with Client(self.web.port, self.key) as client:
            answer = client.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def story(self, stop_id: str) -> dict[str, Any]:
        """Return what the history tells of a stop."""
        with Client(self.web.port, self.key) as client:
            answer = client.get(f"{STOP}/history")
        assert answer.is_success, answer.text
        (found,) = [each for each in answer.json()["results"] if each["stop_id"] == stop_id]
        return dict(found)


@pytest.fixture(scope="module")
def _house(postgres_server: PostgresServer) -> Iterator[Everything]:
    with ExitStack() as stack:
        redis, server = stack.enter_context(RedisServer()), stack.enter_context(NatsServer())
        installation = Installation(
            database_url=stack.enter_context(new_database(postgres_server)),
            redis_url=redis.url,
            nats_url=server.url,
            settings={"RISK_BREAKER_COUNT": "0", **PATIENT},
        )
        stack.callback(installation.close)
        accounts = [{"account_id": account_id, "profile": "aggressive"} for account_id in ACCOUNTS]
        key = installation.found(Rows(accounts=accounts)).key
        environment = {**installation.environment, "RISK_HTTP_PORT": "{port}"}
        made = {}
        says = {"gateway": "connected to NATS", "feeds": "connected to NATS", "worker": "ready.", "web": ""}
        for role, sign in says.items():
            made[role] = stack.enter_context(Process(role, _command(role), environment, says=sign))
        beat = Program.start(*_command("beat"), env=installation.environment, log=installation.data / "beat.log")
        stack.callback(beat.kill)
        store = RedisStore(redis.url, timeout_s=REDIS_S)
        stack.callback(store.close)
        yield Everything(installation, key, server, store, made["web"], made["worker"])


def _command(role: str) -> list[str]:
    return [sys.executable, "-m", "riskportal.serve", role]


@pytest.fixture
def house(_house: Everything) -> Everything:
    _house.nats.start()
    return _house


async def stop(house: Everything, **what: Any) -> str:
    body = {"reason": "a test", "triggered_by": "alice", "unwind": True, **what}
    return str((await asyncio.to_thread(house.post, STOP, **body))["stop_id"])


async def until(house: Everything, stop_id: str, look: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Return the story of a stop once it is so."""
    story: dict[str, Any] = {}
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not (story and look(story)):
                await asyncio.sleep(0.1)
                story = await asyncio.to_thread(house.story, stop_id)
    except TimeoutError:
        raise AssertionError(f"not within {PATIENCE_S:.0f} s: {story}") from None
    return story


def is_completed(story: dict[str, Any]) -> bool:
    return bool(story["status"] == "completed")


def re_enable(house: Everything, stop_id: str) -> None:
    house.post(f"{STOP}/re-enable", stop_id=stop_id, authorized_by="bob", reason="all is well")


async def test_from_halted_to_completed(house):
    async with trading(house) as peer:
        assert peer.oms.held(ALL)
        stop_id = await stop(house)
        story = await until(house, stop_id, is_completed)
        assert not peer.oms.held(ALL)
        assert peer.working() == 0
        assert {account_id: books["positions"] for account_id, books in held_by(house.store).items()} == {
            account_id: {} for account_id in ACCOUNTS
        }
    told = Counter(step["what"] for step in story["steps"])
    assert [told[what] for what in ("cancelled", "unwinding", "flat", "completed")] == [1, 1, 1, 1]
    assert told["positions_closed"] == len(ACCOUNTS)
    assert story["residuals"] == []
    re_enable(house, stop_id)


async def test_whoever_is_killed_another_goes_on_and_nothing_is_told_twice(house):
    async with trading(house) as peer:
        stop_id = await stop(house)
        await asyncio.sleep(0.2)  # while it closes
        house.worker.kill()
        await asyncio.to_thread(house.worker.start)
        story = await until(house, stop_id, is_completed)
        assert not peer.oms.held(ALL)
    told = Counter(step["what"] for step in story["steps"])
    assert [told[what] for what in ("cancelled", "unwinding", "flat", "completed")] == [1, 1, 1, 1]
    assert told["orders_cancelled"] <= len(ACCOUNTS)
    assert told["positions_closed"] <= len(ACCOUNTS)
    re_enable(house, stop_id)


async def test_while_nats_is_away_it_says_so_and_goes_on_when_it_is_back(house):
    async with trading(house) as peer:
        house.nats.kill()
        try:
            stop_id = await stop(house)
            left = (await until(house, stop_id, lambda story: story["residuals"]))["residuals"]
        finally:
            house.nats.start()
        assert {each["account_id"] for each in left} == set(ACCOUNTS)
        assert all(each["why"] for each in left)
        await until(house, stop_id, is_completed)
        assert not peer.oms.held(ALL)
    re_enable(house, stop_id)


async def test_a_drill_tells_how_long_everything_took(house):
    async with trading(house) as peer:
        who = ("--account", ACCOUNTS[0], "--triggered-by", "alice", "--authorized-by", "bob")
        where = ("--url", f"http://127.0.0.1:{house.web.port}", "--key", house.key, "--unwind", "--json")
        drill = asyncio.create_task(asyncio.to_thread(house.installation.manage, "drill", *who, *where))
        # Meanwhile, not afterwards: it trades again before the drill has told so.
        await eventually(lambda: ACCOUNTS[0] not in {account_id for account_id, _ in peer.oms.held(ALL)}, "flat")
        report = json.loads(await drill)
        assert report["problem"] == ""
    told = [step["what"] for step in report["steps"]]
    expected = ("asked", "in_force", "cancelled", "unwinding", "flat", "completed", "re-enabled", "trades again")
    assert [each for each in told if each in expected] == list(expected)
    assert house.story(report["stop_id"])["trigger"] == "drill"
