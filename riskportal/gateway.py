"""The process that answers order checks over NATS, until it is told to end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

import uvloop
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from api.nats_gateway import BATCH, CHECK, QUEUE, Gateway
from bus.nats import Connection
from riskportal.warm import settle_memory

logger = logging.getLogger(__name__)

# How long what is under way may take when the process is told to end, in seconds: a large batch takes half of one.
_GRACE_S = 5.0


def main() -> None:
    """Answer until SIGTERM or SIGINT; then answer what was taken, and return. Raises ImproperlyConfigured."""
    if not settings.NATS_URL:
        raise ImproperlyConfigured("NATS_URL is not set, and the gateway answers over NATS alone")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings.NATS_URL))


async def _serve(url: str) -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    connection = Connection(url, name=f"riskportal gateway {os.getpid()}")
    gateway = Gateway(connection)
    settle_memory()
    connection.start()
    logger.info("order checks on %s and %s will be answered, as one of the queue %s", CHECK, BATCH, QUEUE)
    await told.wait()
    left = await gateway.drain(_GRACE_S)
    if left:
        logger.error("%s checks took too long and were not answered", left)
    await connection.close()
