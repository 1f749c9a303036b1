"""What the processes that serve over NATS have in common: how they begin, and how they are told to end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import uvloop
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from bus.connection import Connection
from bus.nats import NatsConnection

logger = logging.getLogger(__name__)

# How long what is under way may take when the process is told to end, in seconds: a large batch takes half of one.
GRACE_S = 5.0

# Serves on a connection that it starts, until the event; returns how many messages it could not finish in GRACE_S.
Serve: TypeAlias = Callable[[Connection, asyncio.Event], Coroutine[Any, Any, int]]


def run(role: str, serve: Serve) -> None:
    """Serve until SIGTERM or SIGINT; then finish what was taken, and return. Raises ImproperlyConfigured."""
    if not settings.NATS_URL:
        raise ImproperlyConfigured(f"NATS_URL is not set, and the {role} process works over NATS alone")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_told(role, serve))


async def _until_told(role: str, serve: Serve) -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    connection = NatsConnection(settings.NATS_URL, name=f"riskportal {role} {os.getpid()}")
    try:
        left = await serve(connection, told)
    finally:
        await connection.close()
    if left:
        logger.error("%s: %d messages took too long and were not finished", role, left)
