"""The whole put together: over which line goes what."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import httpx
import pytest

from bus.nats import NatsConnection
from devtools.nats_server import NatsServer
from simulator import peer
from simulator.bus_line import CHECK
from simulator.peer import Plan, Reach, trade
from simulator.rest_line import RestLine
from tests.support.nats import nats_client


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


async def run(reach: Reach) -> Any:
    return await trade(Plan(["desk-1"], 50.0), reach, say=lambda _: None, stop=threading.Event(), seconds=1.0)


async def test_with_both_http_is_asked_and_nats_is_told(asked, nats_server: NatsServer):
    client = await nats_client(nats_server.url)
    heard: list[str] = []

    async def hear(message: Any) -> None:
        heard.append(message.subject)

    subjects = ("market.tick.>", "positions.update", "pnl.update", "fills.confirmed", "orders.closed", CHECK)
    for subject in subjects:
        await client.subscribe(subject, cb=hear)
    await client.flush()
    oms = await run(Reach("key", rest="http://test", bus=NatsConnection(nats_server.url, name="simulator")))
    assert set(asked) == {"/risk/check"}
    assert len(asked) == oms.tally.sent > 5
    told = {subject if not subject.startswith("market.tick.") else "market.tick.>" for subject in heard}
    assert told == set(subjects) - {CHECK}
    await client.close()


async def test_without_nats_everything_goes_over_http(asked):
    oms = await run(Reach("key", rest="http://test"))
    assert oms.tally.sent > 5
    assert {path.split("/")[2] for path in asked} == {"prices", "accounts", "check", "reservations"}


async def test_over_nats_it_hears_what_an_emergency_stop_asks(nats_server: NatsServer):
    client = await nats_client(nats_server.url)
    running = asyncio.create_task(run(Reach("key", bus=NatsConnection(nats_server.url, name="simulator"))))
    await asyncio.sleep(0.5)
    for command in ("cancel_all", "close_all"):
        reply = await client.request(f"execution.{command}", b'{"stop_id": "s"}', timeout=5)
        assert json.loads(reply.data)["command"] == command
    await running
    await client.close()
