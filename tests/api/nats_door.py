"""The NATS door to the store of this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from nats.aio.client import Client

from api.nats_gateway import BATCH, CHECK, STATUS_HEADER, Gateway
from bus.nats import NatsConnection
from state.wiring import async_store
from tests.api import world
from tests.api.world import Answer, Body, bearer
from tests.support.nats import nats_client

SUBJECTS = {world.CHECK: CHECK, world.BATCH: BATCH}
ANSWER_S = 60.0

T = TypeVar("T")


class NatsDoor:
    """A gateway and its one requester, on an event loop that lives as long as the door."""

    def __init__(self, url: str, **bounds: int) -> None:
        self._runner = asyncio.Runner()
        self._runner.run(self._open(url, bounds))

    def post(self, path: str, body: Body, headers: Mapping[str, str] | None = None) -> Answer:
        assert not isinstance(body, list), "a message is whole"
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._runner.run(self.ask(path, content, bearer() if headers is None else headers))

    def close(self) -> None:
        self._runner.run(self._close())
        self._runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the door's loop."""
        return self._runner.run(work)

    async def ask(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        reply = await self.client.request(SUBJECTS[path], body, timeout=ANSWER_S, headers=dict(headers))
        said = {name.lower(): value for name, value in (reply.headers or {}).items()}
        return Answer(int(said.get(STATUS_HEADER.lower(), "200")), said, reply.data)

    async def _open(self, url: str, bounds: dict[str, int]) -> None:
        self.connection = NatsConnection(url, name="tested gateway")
        self.gateway = Gateway(self.connection, **bounds)
        self.connection.start()
        self.client: Client = await nats_client(url)
        async with asyncio.timeout(ANSWER_S):
            await self.connection.until_up()

    async def _close(self) -> None:
        await self.client.close()
        await self.gateway.drain(ANSWER_S)
        await self.connection.close()
        await async_store().close()
