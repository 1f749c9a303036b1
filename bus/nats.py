"""A connection to NATS for the tasks of one event loop, which is made again for ever whenever it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Mapping

import nats.errors
from msgspec import Struct
from nats.aio.subscription import Subscription
from prometheus_client import Counter

from bus.connection import Handler
from bus.nats_client import NatsClient

logger = logging.getLogger(__name__)

# Seconds. An attempt to connect; how often the server is asked whether it is there, and how long it has to answer.
CONNECT_S = 2.0
HEARTBEAT_S = 2.0
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
# How long what was sent to us before we stopped to hear may take to come.
_LAST_WORDS_S = 3.0
# How long a connection that is given up has to close in good order.
_CLOSE_S = 1.0

# Headers count towards the server's bound on a message; ours are short.
_HEADER_BYTES = 512

# We ask by ourselves whether the server is there.
_NEVER_S = 10**6

_FAILURES = (OSError, ValueError, AssertionError, nats.errors.Error, asyncio.TimeoutError)

reconnects = Counter("risk_nats_reconnects_total", "Times that a broken connection to NATS was made again.")


class _Interest(Struct, frozen=True):
    """What is to be heard, on whichever connection there is."""

    subject: str
    queue: str
    handler: Handler


class NatsConnection:
    """A connection to NATS that its users need not look after: nothing here raises or waits because NATS is away.

    Parameters
    ----------
    url
        nats:// or tls://, several servers of one cluster with commas between them.
    name
        How the server's monitoring lists it.

    It belongs to the event loop that starts it. Subscriptions hold over breaks; what is sent to them during a break
    is lost, as NATS keeps nothing.
    """

    def __init__(self, url: str, *, name: str) -> None:
        self._servers = url.split(",")
        self._name = name
        self._interests: list[_Interest] = []
        self._client: NatsClient | None = None
        self._heard: list[Subscription] = []
        self._keeping: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._up = asyncio.Event()
        self._broken = asyncio.Event()
        self._tried = asyncio.Event()

    # ---------------------------------------------------------------------------------------- for its users
    def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> None:
        """Hand every message on `subject` to `handler`, one after the other; call it before `start`.

        Of the subscribers that share a `queue` only one gets each message.
        """
        assert self._keeping is None, "subscribe before the start"
        self._interests.append(_Interest(subject, queue, handler))

    def start(self) -> None:
        """Begin to connect, and return at once."""
        assert self._keeping is None, "a connection is started once"
        self._keeping = asyncio.get_running_loop().create_task(self._keep())

    @property
    def is_up(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._client is not None

    async def until_up(self) -> None:
        """Wait until there is a connection."""
        await self._up.wait()

    async def until_tried(self) -> None:
        """Wait until the first attempt to connect has ended, in whichever way."""
        await self._tried.wait()

    @property
    def most_bytes(self) -> int:
        """The longest payload that the server takes, in bytes; 0 where there is no connection."""
        return max(0, self._client.max_payload - _HEADER_BYTES) if self._client is not None else 0

    async def publish(
        self, subject: str, payload: bytes, *, reply: str = "", headers: Mapping[str, str] | None = None
    ) -> bool:
        """Send a message, and return whether it is on its way; `flush` says whether it has come to the server."""
        client = self._client
        if client is None or len(payload) > self.most_bytes:
            return False
        try:
            await client.publish(subject, payload, reply, dict(headers) if headers else None)
        except _FAILURES as error:
            logger.warning("a message on %s could not be sent to NATS: %s", subject, error)
            return False
        return True

    async def flush(self) -> bool:
        """Return whether everything published so far has come to the server; where not, the connection is given up."""
        client, broken = self._client, self._broken
        if client is None:
            return False
        answered = await _ping(client, broken)
        if not answered:
            broken.set()
        return answered and self._client is client

    async def stop_hearing(self) -> None:
        """Subscribe to nothing any more; return when all that was already on its way has been handed over."""
        self._interests.clear()
        heard, self._heard = self._heard, []
        for subscription in heard:
            with contextlib.suppress(*_FAILURES):
                await asyncio.wait_for(subscription.drain(), _LAST_WORDS_S)  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """End the connection for good, in good order where that takes no longer than a moment."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        client, self._client = self._client, None
        self._up.clear()
        if client is not None:
            await _end(client)
        if self._closing:
            await asyncio.wait(self._closing)

    # ------------------------------------------------------------------------------------- keeping it alive
    async def _keep(self) -> None:
        """Connect, watch, and begin again, pausing longer after each failure, out of step with other processes."""
        pause_s = _FIRST_PAUSE_S
        was_up = told = False
        while True:
            failure = await self._connect()
            self._tried.set()
            if failure is None:
                logger.info("connected to NATS as %s", self._name)
                if was_up:
                    reconnects.inc()
                was_up, told, pause_s = True, False, _FIRST_PAUSE_S
                failure = await self._watch()
            if not told:
                logger.warning("NATS is away, %s keeps trying: %s", self._name, failure)
                told = True
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _connect(self) -> str | None:
        """Return None where there is a connection now that hears what it should, else why not."""
        client = NatsClient()
        self._broken = broken = asyncio.Event()
        try:
            await asyncio.wait_for(self._open(client, broken), 2 * CONNECT_S)
            self._heard = [await client.subscribe(each.subject, each.queue, each.handler) for each in self._interests]
            await asyncio.wait_for(client.flush(), CONNECT_S)
        except _FAILURES as error:
            self._give_up(client)
            return str(error) or "no answer in time"
        self._client = client
        self._up.set()
        return None

    async def _open(self, client: NatsClient, broken: asyncio.Event) -> None:
        errors: list[str] = []

        async def on_error(error: Exception) -> None:
            errors.append(str(error))
            if self._client is client:
                logger.warning("NATS: %s", error)

        async def on_end() -> None:
            broken.set()

        try:
            await client.connect(
                self._servers,
                name=self._name,
                error_cb=on_error,
                disconnected_cb=on_end,
                closed_cb=on_end,
                # That it is made again is our business: nats-py gives up where the server refuses us for a moment, and
                # never notices a server that has stopped to answer while it is being written to.
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=CONNECT_S,  # type: ignore[arg-type] # seconds, of any kind of number
                ping_interval=_NEVER_S,
                flush_timeout=HEARTBEAT_S,
            )
        except nats.errors.NoServersError as error:
            raise ConnectionError(errors[-1] if errors else str(error)) from error

    async def _watch(self) -> str:
        """Return why, once the connection has broken."""
        broken = self._broken
        while not broken.is_set():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(broken.wait(), HEARTBEAT_S)
                break
            await self.flush()
        client, self._client = self._client, None
        self._up.clear()
        assert client is not None
        self._give_up(client)
        return str(client.last_error or "it does not answer")

    def _give_up(self, client: NatsClient) -> None:
        """Close what is left of a connection, beside whatever goes on."""
        task = asyncio.get_running_loop().create_task(_end(client))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _ping(client: NatsClient, broken: asyncio.Event) -> bool:
    """Return whether the server answers. As long as anything comes it does: the answer may stand behind much else."""
    pong = asyncio.ensure_future(client.flush(_NEVER_S))
    end = asyncio.ensure_future(broken.wait())
    try:
        while True:
            before = client.stats["in_msgs"]
            done, _ = await asyncio.wait((pong, end), timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED)
            if pong in done:
                return pong.exception() is None
            if end in done or client.stats["in_msgs"] == before:
                return False
    finally:
        pong.cancel()
        end.cancel()


async def _end(client: NatsClient) -> None:
    """Close a connection. A server that does not read any more could hold this up for ever."""
    with contextlib.suppress(*_FAILURES):
        await asyncio.wait_for(client.close(), _CLOSE_S)
