"""The whole put together: over which line goes what."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError

from bus.nats import NatsConnection
from devtools.nats_server import NatsServer
from simulator import peer
from simulator.bus_line import CHECK
from simulator.peer import Plan, Reach, trade
from simulator.rest_line import RestLine
from tests.support.nats import nats_client
from tests.support.patience import PATIENCE_S, eventually


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """The paths of what is asked over HTTP, where every order is let go."""
    paths: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        return httpx.Response(200, json={"approved": True, "reason": None})

    def line(url: str, key: str) -> RestLine:
        return RestLine(url, key, httpx.MockTransport(answer))

    monkeypatch.setattr(peer, "RestLine", line)
    return paths


@asynccontextmanager
async def trading(reach: Reach) -> AsyncIterator[asyncio.Task[Any]]:
    """It trades meanwhile, and has ended in good order after."""
    stop = threading.Event()
    running = asyncio.create_task(trade(Plan(["desk-1"], 50.0), reach, say=lambda _: None, stop=stop))
    try:
        yield running
    finally:
        stop.set()
        await asyncio.wait([running])


async def run(reach: Reach, until: Callable[[], object]) -> Any:
    """Let it trade until it is so."""
    async with trading(reach) as running:
        await eventually(lambda: until() or running.done(), "what it trades for")
    return await running


async def test_with_both_http_is_asked_and_nats_is_told(asked, nats_server: NatsServer):
    client = await nats_client(nats_server.url)
    heard: list[str] = []

    async def hear(message: Any) -> None:
        heard.append(message.subject)

    subjects = ("market.tick.>", "positions.update", "pnl.update", "fills.confirmed", "orders.closed", CHECK)
    for subject in subjects:
        await client.subscribe(subject, cb=hear)
    await client.flush()

    def told() -> set[str]:
        return {subject if not subject.startswith("market.tick.") else "market.tick.>" for subject in heard}

    reach = Reach("key", rest="http://test", bus=NatsConnection(nats_server.url, name="simulator"))
    oms = await run(reach, lambda: len(asked) > 5 and told() >= set(subjects) - {CHECK})
    assert set(asked) == {"/risk/check"}
    assert len(asked) == oms.tally.sent
    assert CHECK not in told()
    await client.close()


async def test_without_nats_everything_goes_over_http(asked):
    def kinds() -> set[str]:
        return {path.split("/")[2] for path in asked}

    await run(Reach("key", rest="http://test"), lambda: len(kinds()) == 4)
    assert kinds() == {"prices", "accounts", "check", "reservations"}


async def test_over_nats_it_hears_what_an_emergency_stop_asks(nats_server: NatsServer):
    client = await nats_client(nats_server.url)
    async with trading(Reach("key", bus=NatsConnection(nats_server.url, name="simulator"))):
        for command in ("cancel_all", "close_all"):
            reply = await answer(client, f"execution.{command}")
            assert json.loads(reply.data)["command"] == command
    await client.close()


async def answer(client: Client, subject: str) -> Msg:
    """Say a stop's command until somebody is there who answers it."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await client.request(subject, b'{"stop_id": "s"}', timeout=PATIENCE_S)
            except NoRespondersError:
                await asyncio.sleep(0.05)
