"""The client: what was flushed has come to the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bus.nats_client import NatsClient
from devtools.ports import HOST


@asynccontextmanager
async def listening_server(said: list[bytes]) -> AsyncIterator[str]:
    """A server that notes what it is told, line by line, and answers pings."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"max_payload":1000000,"headers":true}\r\n')
        while line := await reader.readline():
            said.append(line.strip())
            if line == b"PING\r\n":
                writer.write(b"PONG\r\n")
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        yield f"nats://{HOST}:{server.sockets[0].getsockname()[1]}"


async def test_a_flush_asks_behind_all_that_was_sent_before():
    said: list[bytes] = []
    async with listening_server(said) as url:
        client = NatsClient()
        await client.connect(url, allow_reconnect=False)
        said.clear()
        await client.subscribe("news")
        await client.publish("news", b"hello")
        await client.flush()
        assert said == [b"SUB news  1", b"PUB news  5", b"hello", b"PING"]
        await client.close()
