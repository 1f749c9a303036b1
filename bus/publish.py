"""Publishing from anywhere: `publish(event)` hands a message over and returns; a thread sees to it that NATS gets it.

One thread for each process, with an event loop and a connection of its own, begun by the first message. Messages are
sent in their order, each until NATS has it, so that a break in between may bring one twice. While NATS is away a
bounded number of them waits, of which the oldest go first; what a process has not sent a moment after its end is lost.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections import deque
from collections.abc import Coroutine
from itertools import islice
from typing import Any

from django.conf import settings
from prometheus_client import Counter

from bus import browser
from bus.events import Event
from bus.local import BROKER, LocalMessage
from bus.nats import NatsConnection

logger = logging.getLogger(__name__)

MOST_WAITING = 10_000
_TOGETHER = 256
_PAUSE_S = 0.1

# How long a process that ends waits for NATS to take what is left, in seconds.
LAST_S = 1.0

failures = Counter(
    "risk_nats_publish_failures_total",
    "Messages that could not be published when they should have been: each is tried again, or given up for newer ones.",
)


class Publisher:
    """Sends messages to NATS from any thread of a process.

    Parameters
    ----------
    url
        As `bus.nats.NatsConnection` takes it.
    most
        How many messages may wait.
    """

    def __init__(self, url: str, *, most: int = MOST_WAITING) -> None:
        self._url, self._most = url, most
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._gone = 0  # how many have left the queue, in whichever way
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = False
        # Of the thread's loop: that there is a message, or the end.
        self._news, self._end = asyncio.Event(), asyncio.Event()

    def put(self, subject: str, payload: bytes) -> None:
        """Take a message over and return at once, whether NATS is there or not."""
        with self._lock:
            if self._ending:
                failures.inc()
                return
            if len(self._waiting) >= self._most:
                self._drop(1)
                failures.inc()
            self._waiting.append((subject, payload))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
                self._thread.start()
            elif self._loop is not None:
                self._loop.call_soon_threadsafe(self._news.set)

    @property
    def waiting(self) -> int:
        """How many messages NATS does not have yet."""
        return len(self._waiting)

    def close(self, within_s: float = LAST_S) -> None:
        """Send what is left, where NATS is there to take it, and end the thread; returns within about `within_s`."""
        with self._lock:
            self._ending = True
            thread, loop = self._thread, self._loop
            if loop is not None:
                loop.call_soon_threadsafe(self._end.set)
        if thread is not None:
            thread.join(within_s)

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self._waiting.popleft()
        self._gone += count

    # ------------------------------------------------------------------------------------------- the thread
    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception:
            logger.exception("publishing has ended; checks go on")

    async def _serve(self) -> None:
        connection = NatsConnection(self._url, name=f"riskportal publisher {os.getpid()}")
        connection.start()
        with self._lock:
            self._loop = asyncio.get_running_loop()
            if self._ending:
                self._end.set()
        try:
            await connection.until_tried()
            await self._send_all(connection)
        finally:
            with self._lock:
                self._loop = None
            await connection.close()

    async def _send_all(self, connection: NatsConnection) -> None:
        """Send what comes, until the end; then what is left, if there is a connection."""
        while True:
            self._news.clear()
            if self._waiting:
                if await self._send_some(connection):
                    continue
                if self._ending:
                    return
                await self._either(connection.until_up())
                await self._either(asyncio.sleep(_PAUSE_S))  # it may be up and refuse us all the same
            elif self._ending:
                return
            else:
                await self._either(self._news.wait())

    async def _send_some(self, connection: NatsConnection) -> bool:
        """Send the oldest messages, and forget them once NATS has them."""
        with self._lock:
            some, gone = list(islice(self._waiting, _TOGETHER)), self._gone
        most_bytes = connection.most_bytes
        for subject, payload in some:
            if len(payload) > most_bytes > 0:
                failures.inc()
                logger.error("a message on %s of %s bytes is too long for NATS", subject, len(payload))
            elif not await connection.publish(subject, payload):
                break
        else:
            if await connection.flush():
                with self._lock:
                    self._drop(max(0, gone + len(some) - self._gone))  # newer ones may have pushed some out meanwhile
                return True
        failures.inc(len(some))
        return False

    async def _either(self, wait: Coroutine[Any, Any, object]) -> None:
        """Wait for something, or for the end of the process if that comes first."""
        tasks = [asyncio.ensure_future(wait), asyncio.ensure_future(self._end.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


_publisher: Publisher | None = None
_making = threading.Lock()


def publish(event: Event) -> None:
    """Publish an event, over NATS or inside the process that is all of riskportal, and tell those who serve browsers.

    Returns at once, never raises. May be called by any thread or task. Call it after the commit of what it tells of.
    """
    try:
        payload = event.payload()
        if settings.NATS_URL:
            _of_process().put(event.subject, payload)
        elif settings.EMBEDDED:
            BROKER.publish(LocalMessage(event.subject, payload))
        browser.tell(event.subject, payload)
    except Exception:  # such as no thread being left: whatever was done is done, and must not fail by being told
        failures.inc()
        logger.exception("%s was not published", event.subject)


def waiting() -> int:
    """Return how many messages of this process NATS does not have yet."""
    known = _publisher
    return 0 if known is None else known.waiting


def close_publisher() -> None:
    """Send what is left and end the thread of this process; the next event begins another."""
    global _publisher
    with _making:
        known, _publisher = _publisher, None
    if known is not None:
        known.close()


def _of_process() -> Publisher:
    global _publisher  # noqa: PLW0603 - there is one of it
    with _making:
        if _publisher is None:
            _publisher = Publisher(settings.NATS_URL)
        return _publisher


def _forget() -> None:
    """In the child of a fork there is no thread; what waited is the parent's to send."""
    global _publisher, _making
    _publisher, _making = None, threading.Lock()


atexit.register(close_publisher)
os.register_at_fork(after_in_child=_forget)
