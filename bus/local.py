"""The bus of a process that is all of riskportal: messages go from thread to thread, and no server is needed.

It carries what NATS carries between processes, by the same subjects, queues and answers, and like NATS it keeps
nothing: what is published while nobody hears is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import threading
from collections.abc import Mapping

from msgspec import Struct

from bus.connection import NOBODY, STATUS_HEADER, Handler

logger = logging.getLogger(__name__)

# As much as NATS carries with deploy/nats.conf: what works here works there.
MOST_BYTES = 8_000_000

# How long what was sent to a handler before it hears no more may take, in seconds.
_LAST_WORDS_S = 3.0

# Messages that wait for one subscriber. Whoever does not keep up misses the newest, as a NATS client does.
MOST_WAITING = 65_536


class LocalMessage(Struct, frozen=True):
    """A message, as `bus.connection.Message` describes it."""

    subject: str
    data: bytes
    reply: str = ""
    headers: Mapping[str, str] | None = None


class _Subscriber:
    """One handler with what waits for it. The queue and the task belong to the loop; `hand` may be called anywhere."""

    def __init__(self, pattern: str, queue: str, handler: Handler) -> None:
        self.queue = queue
        self._pattern, self._handler = pattern.split("."), handler
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Queue[LocalMessage] = asyncio.Queue(MOST_WAITING)
        self._task = self._loop.create_task(self._work())

    def hears(self, subject: str) -> bool:
        """Return whether the subject is meant by the pattern."""
        parts = subject.split(".")
        if self._pattern[-1] == ">":
            return len(parts) >= len(self._pattern) and _fit(self._pattern[:-1], parts)
        return len(parts) == len(self._pattern) and _fit(self._pattern, parts)

    def hand(self, message: LocalMessage) -> bool:
        """Let the handler have a message in its turn; return whether its loop still runs."""
        try:
            self._loop.call_soon_threadsafe(self._put, message)
        except RuntimeError:  # the loop was closed without the connection
            return False
        return True

    async def drain(self) -> None:
        """Return when all that was handed over has been handled."""
        await asyncio.sleep(0)  # what other threads have handed over is put into the queue now
        await self._waiting.join()
        self.end()

    def end(self) -> None:
        self._task.cancel()

    def _put(self, message: LocalMessage) -> None:
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            logger.warning("a message on %s was dropped, %d wait already", message.subject, MOST_WAITING)

    async def _work(self) -> None:
        while True:
            message = await self._waiting.get()
            try:
                await self._handler(message)
            except Exception:
                logger.exception("a message on %s was not handled", message.subject)
            finally:
                self._waiting.task_done()


class Broker:
    """Knows who hears what, and hands each message over. For all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscribers: list[_Subscriber] = []
        self._turn = itertools.count()

    def add(self, subscriber: _Subscriber) -> None:
        """Let a subscriber hear from now on."""
        with self._lock:
            self._subscribers.append(subscriber)

    def remove(self, subscriber: _Subscriber) -> None:
        """Let a subscriber hear no more."""
        with self._lock:
            self._subscribers = [each for each in self._subscribers if each is not subscriber]

    def publish(self, message: LocalMessage) -> None:
        """Hand a message to all who hear it, of each queue to one; say so to its sender where nobody does."""
        # All in one hold of the lock, so that two subscribers see two messages in one order.
        with self._lock:
            hearing = [each for each in self._subscribers if each.hears(message.subject)]
            heard = [each for each in hearing if not each.queue and each.hand(message)]
            for queue in sorted({each.queue for each in hearing if each.queue}):
                heard += self._handed_to_one([each for each in hearing if each.queue == queue], message)
        if not heard and message.reply:
            self.publish(LocalMessage(message.reply, b"", headers={STATUS_HEADER: NOBODY}))

    def _handed_to_one(self, members: list[_Subscriber], message: LocalMessage) -> list[_Subscriber]:
        """Hand a message to the member whose turn it is, or to the next whose loop still runs; return who has it."""
        turn = next(self._turn) % len(members)
        return next(([each] for each in (*members[turn:], *members[:turn]) if each.hand(message)), [])


# The bus of this process.
BROKER = Broker()


class LocalConnection:
    """A connection inside the process. See bus.connection.Connection."""

    def __init__(self, broker: Broker = BROKER) -> None:
        self._broker = broker
        self._interests: list[tuple[str, str, Handler]] = []
        self._heard: list[_Subscriber] = []
        self._up = asyncio.Event()

    def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> None:
        assert not self.is_up, "subscribe before the start"
        self._interests.append((subject, queue, handler))

    def start(self) -> None:
        assert not self.is_up, "a connection is started once"
        self._heard = [_Subscriber(*each) for each in self._interests]
        for each in self._heard:
            self._broker.add(each)
        self._up.set()

    @property
    def is_up(self) -> bool:
        return self._up.is_set()

    async def until_up(self) -> None:
        await self._up.wait()

    async def until_tried(self) -> None:
        await self._up.wait()

    @property
    def most_bytes(self) -> int:
        return MOST_BYTES if self.is_up else 0

    async def publish(
        self, subject: str, payload: bytes, *, reply: str = "", headers: Mapping[str, str] | None = None
    ) -> bool:
        if len(payload) > self.most_bytes or not self.is_up:
            return False
        self._broker.publish(LocalMessage(subject, payload, reply, headers))
        return True

    async def flush(self) -> bool:
        return self.is_up

    async def stop_hearing(self) -> None:
        for each in self._heard:
            self._broker.remove(each)
        for each in self._heard:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(each.drain(), _LAST_WORDS_S)

    async def close(self) -> None:
        heard, self._heard = self._heard, []
        for each in heard:
            self._broker.remove(each)
            each.end()
        self._up.clear()


def _fit(pattern: list[str], parts: list[str]) -> bool:
    return all(wanted in ("*", part) for wanted, part in zip(pattern, parts, strict=False))
