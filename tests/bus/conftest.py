"""A NATS server that a test may end, and somebody who hears what is published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from bus.nats import NatsConnection
from devtools.nats_server import NatsServer
from tests.support.patience import PATIENCE_S


@pytest.fixture(scope="module")
def own_server() -> Iterator[NatsServer]:
    """A NATS server of this module's own."""
    with NatsServer() as server:
        yield server


@pytest.fixture
def server(own_server: NatsServer) -> NatsServer:
    """A NATS server that runs, and that the test may stop."""
    own_server.start()
    return own_server


class Listener:
    """What came on a subject, in its order."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self._came = asyncio.Condition()

    async def hear(self, message) -> None:
        self.payloads.append(message.data)
        async with self._came:
            self._came.notify_all()

    async def until(self, enough: Callable[[list[bytes]], bool]) -> list[bytes]:
        """Return what came, once it is enough."""
        async with asyncio.timeout(PATIENCE_S), self._came:
            await self._came.wait_for(lambda: enough(self.payloads))
        return self.payloads


@pytest.fixture
async def connect(server: NatsServer) -> AsyncIterator[Callable[..., NatsConnection]]:
    """Call it for a connection that is not started yet; all are closed in the end."""
    made: list[NatsConnection] = []

    def new(url: str = "") -> NatsConnection:
        connection = NatsConnection(url or server.url, name="test")
        made.append(connection)
        return connection

    yield new
    for connection in made:
        await connection.close()


@pytest.fixture
async def listener(connect) -> Listener:
    """Somebody who hears `news`."""
    found, connection = Listener(), connect()
    connection.subscribe("news", found.hear)
    connection.start()
    async with asyncio.timeout(PATIENCE_S):
        await connection.until_up()
    return found
