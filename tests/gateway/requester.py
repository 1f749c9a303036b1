"""A client of the gateway that counts what comes back to each of its requests."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from api.nats_gateway import CHECK, STATUS_HEADER
from tests.races.client import Answer, Gone
from tests.support.nats import nats_client

ANSWER_S = 60.0
# How long a request waits before it is sent again, where it may be.
PATIENCE_S = 1.0


class Requester:
    """Asks over NATS. `heard` has all answers by order_id, in the order in which they came.

    `persistent`: where no answer comes it asks again about the same order, as an OMS does.
    """

    def __init__(self, url: str, key: str, *, persistent: bool = False) -> None:
        self._url, self._headers, self._persistent = url, {"Authorization": f"Bearer {key}"}, persistent
        self._client = Client()
        self._inbox = ""
        self.heard: dict[str, list[Answer]] = defaultdict(list)
        self._came = asyncio.Condition()

    async def connect(self) -> None:
        """Connect; the connection is made again whenever it breaks."""
        self._client = await nats_client(
            self._url,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0,
            error_cb=_forget_error,
        )
        self._inbox = self._client.new_inbox()
        await self._client.subscribe(f"{self._inbox}.*", cb=self._hear)
        await self._client.flush()

    async def check(self, order: Mapping[str, object]) -> Answer:
        """Ask about an order and return the first answer. Raises Gone where none comes."""
        if not self._persistent:
            return await self._ask(order, ANSWER_S)
        async with asyncio.timeout(2 * ANSWER_S):
            while True:
                try:
                    return await self._ask(order, PATIENCE_S)
                except Gone:
                    await asyncio.sleep(0.05)

    async def send(self, order: Mapping[str, object]) -> None:
        """Ask about an order and do not wait."""
        reply = f"{self._inbox}.{order['order_id']}"
        await self._client.publish(CHECK, msgspec.json.encode(order), reply=reply, headers=self._headers)

    async def until(self, answers: int) -> None:
        """Wait until so many requests have been answered, and all that is on its way has come."""
        async with asyncio.timeout(ANSWER_S), self._came:
            await self._came.wait_for(lambda: len(self.heard) >= answers)
        await self.flush()

    async def flush(self) -> None:
        """Wait until what is on its way has come."""
        await self._client.flush()

    async def close(self) -> None:
        await self._client.close()

    async def _ask(self, order: Mapping[str, object], within_s: float) -> Answer:
        order_id = str(order["order_id"])
        before = len(self.heard[order_id])
        try:
            async with asyncio.timeout(within_s):
                await self.send(order)
                async with self._came:
                    await self._came.wait_for(lambda: len(self.heard[order_id]) > before)
        except TimeoutError as error:
            raise Gone("no answer") from error
        return self.heard[order_id][before]

    async def _hear(self, message: Msg) -> None:
        headers = {name.lower(): value for name, value in (message.headers or {}).items()}
        if "status" in headers:  # nobody is there to ask
            return
        answer = Answer(int(headers.get(STATUS_HEADER.lower(), "200")), headers, message.data)
        self.heard[message.subject.rpartition(".")[2]].append(answer)
        async with self._came:
            self._came.notify_all()


async def _forget_error(_error: Exception) -> None:
    """That the connection breaks is what is tested."""


@asynccontextmanager
async def requesters(url: str, key: str, count: int, *, persistent: bool = False) -> AsyncIterator[list[Requester]]:
    """Connect so many of them."""
    made = [Requester(url, key, persistent=persistent) for _ in range(count)]
    try:
        for each in made:
            await each.connect()
        yield made
    finally:
        for each in made:
            await each.close()
