"""What is published, told to the processes that serve browsers: over the channel layer, which keeps nothing.

Messages are handed over by any thread, without waiting, and sent in their order by one event loop: embedded that of the
server, to which the layer in memory belongs; in production a thread's own. What cannot be sent is counted and gone:
whoever serves browsers looks at the truth each second, whatever they have heard (decision 0027).
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import deque
from typing import TypedDict

from channels.layers import get_channel_layer
from django.conf import settings
from prometheus_client import Counter

logger = logging.getLogger(__name__)

GROUP = "live"
TYPE = "live.heard"

# Messages that wait to be sent. A look at ten thousand accounts is fifty of them.
MOST_WAITING = 500

# How long one may take, in seconds, and how long nothing is sent after a failure.
_LONGEST_S = 2.0
_PAUSE_S = 0.5

LOST = Counter("risk_browser_messages_lost_total", "Messages that did not reach the processes that serve browsers.")


class Heard(TypedDict):
    """A message as it comes out of the channel layer."""

    type: str
    subject: str
    payload: bytes


class Line:
    """Sends what it is given, in its order, from the event loop that it belongs to."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Heard] = deque()
        self._task: asyncio.Task[None] | None = None

    def put(self, message: Heard) -> bool:
        """Take a message over, from any thread; return whether the loop still runs."""
        try:
            self._loop.call_soon_threadsafe(self._add, message)
        except RuntimeError:  # it was closed
            return False
        return True

    def _add(self, message: Heard) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            LOST.inc()
        self._waiting.append(message)
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(self._send())

    async def _send(self) -> None:
        layer = get_channel_layer()
        while self._waiting:
            message = self._waiting.popleft()
            try:
                async with asyncio.timeout(_LONGEST_S):
                    await layer.group_send(GROUP, message)
            except Exception as error:  # whatever it is, checks and monitors must not hear of it
                LOST.inc()
                logger.warning("browsers are not told of %s: %s", message["subject"], error)
                await asyncio.sleep(_PAUSE_S)


_line: Line | None = None
_making = threading.Lock()


def live_in(loop: asyncio.AbstractEventLoop | None) -> None:
    """Send from a loop: embedded, that of the server, in whose memory the layer is. None: from none any more."""
    global _line  # noqa: PLW0603 - there is one of it
    with _making:
        _line = None if loop is None else Line(loop)


def tell(subject: str, payload: bytes) -> None:
    """Tell the processes that serve browsers of a message. Returns at once, never raises; for any thread."""
    line = _line_of_process()
    if line is not None:
        line.put(Heard(type=TYPE, subject=subject, payload=payload))


def _line_of_process() -> Line | None:
    global _line  # noqa: PLW0603
    if _line is None and not settings.EMBEDDED:
        with _making:
            if _line is None:
                loop = asyncio.new_event_loop()
                threading.Thread(target=loop.run_forever, name="browsers", daemon=True).start()
                _line = Line(loop)
    return _line


def _forget() -> None:
    """In the child of a fork there is no thread."""
    global _line, _making
    _line, _making = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)
