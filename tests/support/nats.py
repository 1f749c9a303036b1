"""A client of NATS for tests."""

from __future__ import annotations

from typing import Any

from bus.nats_client import NatsClient


async def nats_client(url: str, **options: Any) -> NatsClient:
    """Return a client on that server; what it has flushed is there, which nats-py's own does not promise."""
    client = NatsClient()
    await client.connect(url, **options)
    return client
