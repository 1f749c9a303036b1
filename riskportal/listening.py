"""The process that listens to the feeds on NATS, until it is told to end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

import uvloop
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from bus.nats import Connection
from feeds.books import BOOKS
from feeds.dead_letters import DeadLetters
from feeds.listener import QUEUE, Listener
from riskportal.warm import settle_memory
from state.wiring import async_store, store

logger = logging.getLogger(__name__)

# How long what has come may take when the process is told to end, in seconds.
_GRACE_S = 5.0


def main() -> None:
    """Listen until SIGTERM or SIGINT; then take what has come, and return. Raises ImproperlyConfigured."""
    if not settings.NATS_URL:
        raise ImproperlyConfigured("NATS_URL is not set, and the feeds come over NATS alone")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_listen(settings.NATS_URL))


async def _listen(url: str) -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    connection = Connection(url, name=f"riskportal feeds {os.getpid()}")
    listener = Listener(connection, async_store(), store(), BOOKS, DeadLetters())
    settle_memory()
    logger.info("the feeds are listened to, as one of the queue %s", QUEUE)
    if left := await listener.run(told, grace_s=_GRACE_S):
        logger.error("%d messages were not taken in time: the next snapshots make up for them", left)
