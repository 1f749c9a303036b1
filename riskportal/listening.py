"""The process that listens to the feeds on NATS."""

from __future__ import annotations

import asyncio
import logging

from bus.connection import Connection
from feeds.books import BOOKS
from feeds.dead_letters import DeadLetters
from feeds.listener import QUEUE, Listener
from riskportal import nats_process
from riskportal.warm import settle_memory
from state.wiring import async_store, store

logger = logging.getLogger(__name__)


def main() -> None:
    """Listen until the process is told to end; then take what has come. Raises ImproperlyConfigured."""
    nats_process.run("feeds", _listen)


async def _listen(connection: Connection, told: asyncio.Event) -> int:
    listener = Listener(connection, async_store(), store(), BOOKS, DeadLetters())
    settle_memory()
    logger.info("the feeds are listened to, as one of the queue %s", QUEUE)
    return await listener.run(told, grace_s=nats_process.GRACE_S)
