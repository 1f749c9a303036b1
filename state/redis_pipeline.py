"""One connection to Redis for all tasks of an event loop: their commands travel together, without waiting.

A command costs a few microseconds because nothing is done per command but packing it and keeping a future:
commands of one turn of the loop leave in one write, and the replies of one packet are read in one go. Redis
answers a connection in the order of its commands, so the oldest future is always the next reply's. That
order is never given up: a command that ran out of time keeps its place until its reply came and is dropped,
and a connection that stays silent is closed, with everything that waits on it failing at once.
"""

from __future__ import annotations

import asyncio
import math
import random
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import hiredis
from redis.connection import SSLConnection

from state.redis_wire import Argument, Refused, options_of, pack
from state.store import StateUnavailable

_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0
_MOST_PENDING = 20_000


class _Connection(asyncio.Protocol):
    """One connection while it lives: what was not sent yet, and who waits for which reply."""

    def __init__(self, owner: RedisPipeline, loop: asyncio.AbstractEventLoop) -> None:
        self._owner = owner
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader(replyError=Refused)
        self._pending: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._unsent: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at = math.inf

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without being a subclass

    def send(self, packed: bytes, timeout_s: float) -> asyncio.Future[Any]:
        """Send a packed command. Its reply, or what went wrong, is the future's."""
        pending = self._pending
        if len(pending) >= _MOST_PENDING:
            raise StateUnavailable(f"{len(pending)} commands already wait for Redis")
        loop = self._loop
        future = loop.create_future()
        deadline = loop.time() + timeout_s
        pending.append((future, deadline))
        if not self._unsent:
            loop.call_soon(self._flush)
        self._unsent.append(packed)
        if deadline < self._looks_at:  # nothing waits yet, or only what may take longer
            self._look_at(deadline)
        return future

    def _look_at(self, moment: float) -> None:
        """Have what ran out of time looked for at a moment, and not before."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._looks_at = self._loop.call_at(moment, self._on_time), moment

    def _flush(self) -> None:
        packed, self._unsent = self._unsent, []
        if self._transport is not None and packed:
            self._transport.write(packed[0] if len(packed) == 1 else b"".join(packed))

    def data_received(self, data: bytes) -> None:
        reader, pending = self._reader, self._pending
        reader.feed(data)
        try:
            while (reply := reader.gets()) is not False:
                future, _ = pending.popleft()
                if future.done():  # it ran out of time, or its caller went away
                    continue
                if type(reply) is Refused:
                    future.set_exception(reply)
                else:
                    future.set_result(reply)
        except (hiredis.ProtocolError, IndexError):  # not Redis, or a reply that nobody asked for
            self.close("Redis answered nonsense")

    def _on_time(self) -> None:
        """Fail what ran out of time; close the connection once its oldest command has done so twice over."""
        now = self._loop.time()
        self._timer, self._looks_at = None, math.inf
        if not self._pending:
            return
        next_deadline = now + self._owner.timeout_s
        for future, deadline in self._pending:
            if deadline > now:
                next_deadline = min(next_deadline, deadline)
            elif not future.done():
                future.set_exception(StateUnavailable("Redis did not answer in time"))
        if self._pending[0][1] + self._owner.timeout_s <= now:
            self.close("Redis did not answer for too long")
        else:
            self._look_at(next_deadline)

    def close(self, reason: str) -> None:
        """Close the connection, failing at once whatever waits on it."""
        if self._transport is not None:
            self._transport.abort()
        self._fail(reason)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"the connection to Redis broke: {error or 'closed by Redis'}")

    def _fail(self, reason: str) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._looks_at = None, math.inf
        pending, self._pending = self._pending, deque()
        for future, _ in pending:
            if not future.done():
                future.set_exception(StateUnavailable(reason))
        self._owner.forget(self)


class RedisPipeline:
    """A connection to Redis that is made when it is first needed and made again whenever it breaks.

    Parameters
    ----------
    url
        redis://[user:password@]host[:port][/database], rediss:// likewise, or unix://path[?db=number].
    timeout_s
        How long a command may take unless it says otherwise, and how long a connection may take to be made.

    A pipeline belongs to the event loop that first uses it.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._options = options_of(url)
        self.timeout_s = timeout_s
        self.connection: _Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()  # since the last break
        self._failure = ""
        self._closed = False

    async def execute(self, *command: Argument, timeout_s: float | None = None) -> Any:
        """Return Redis' reply to one command.

        Raises Refused with its text where that is an error, StateUnavailable where there is none in time.
        """
        connection = self.connection or await self.connected()
        return await connection.send(pack(command), timeout_s or self.timeout_s)

    async def connected(self) -> _Connection:
        """Return the connection; wait for the first attempt to make it, but not for those that follow it."""
        if self._closed:
            raise StateUnavailable("the connection to Redis is closed")
        if self.connection is None:
            if self._connecting is None:
                self._connecting = asyncio.get_running_loop().create_task(self._connect())
            await self._tried.wait()
        if self.connection is None:
            raise StateUnavailable(f"Redis cannot be reached: {self._failure}")
        return self.connection

    def forget(self, connection: _Connection) -> None:
        """Take note that a connection broke; the next command makes another."""
        if self.connection is connection:
            self.connection = None
            self._tried.clear()

    async def close(self) -> None:
        """Close the connection for good; what waits on it fails."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        if self.connection is not None:
            self.connection.close("the connection to Redis is closed")
        self._tried.set()

    async def _connect(self) -> None:
        """Try until there is a connection, pausing longer each time, out of step with other processes."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                self.connection = await asyncio.wait_for(self._open(), self.timeout_s)
                self._failure = ""
                self._connecting = None
                return
            except (OSError, ValueError, StateUnavailable) as error:
                self._failure = str(error) or "no answer in time"
            finally:
                self._tried.set()
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _open(self) -> _Connection:
        """Return a new connection, signed in, on its database and known to answer."""
        loop, options = asyncio.get_running_loop(), self._options
        connection = _Connection(self, loop)
        try:
            if path := options.get("path"):
                await loop.create_unix_connection(lambda: connection, path)
            else:
                host, port = options.get("host", "localhost"), options.get("port", 6379)
                await loop.create_connection(lambda: connection, host, port, ssl=self._tls())
            for command in self._greeting():
                await connection.send(pack(command), self.timeout_s)
        except BaseException:
            connection.close("the connection to Redis could not be made")
            raise
        return connection

    def _tls(self) -> ssl.SSLContext | None:
        if self._options.get("connection_class") is not SSLConnection:
            return None
        return ssl.create_default_context(cafile=self._options.get("ssl_ca_certs"))

    def _greeting(self) -> Sequence[tuple[Argument, ...]]:
        commands: list[tuple[Argument, ...]] = []
        if password := self._options.get("password"):
            commands.append(("AUTH", self._options.get("username", "default"), password))
        if database := self._options.get("db"):
            commands.append(("SELECT", database))
        # While Redis loads its data it accepts connections, but refuses commands; this one too.
        return [*commands, ("PING",)]
