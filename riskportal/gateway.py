"""The process that answers order checks over NATS."""

from __future__ import annotations

import asyncio
import logging

from api.nats_gateway import BATCH, CHECK, QUEUE, Gateway
from bus.connection import Connection
from riskportal import nats_process
from riskportal.beside import Beside
from riskportal.warm import settle_memory, take_short_turns

logger = logging.getLogger(__name__)


def main() -> None:
    """Answer until the process is told to end; then answer what was taken. Raises ImproperlyConfigured."""
    nats_process.run("gateway", _serve)


async def _serve(connection: Connection, told: asyncio.Event) -> int:
    gateway, beside = Gateway(connection), Beside()
    settle_memory()
    take_short_turns()
    beside.start()
    connection.start()
    logger.info("order checks on %s and %s will be answered, as one of the queue %s", CHECK, BATCH, QUEUE)
    await told.wait()
    beside.stop()
    return await gateway.drain(nats_process.GRACE_S)
