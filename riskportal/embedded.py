"""What runs beside the server when everything is one process: the tasks, their clock, the feeds, and the simulator."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence

from celery.beat import Scheduler, Service
from celery.concurrency.thread import TaskPool
from celery.platforms import EX_OK
from celery.worker import WorkController, state
from django.conf import settings

from bus.local import LocalConnection
from feeds.books import BOOKS
from feeds.dead_letters import DeadLetters
from feeds.listener import Listener
from riskportal.celery import app
from simulator.peer import Plan, Reach, trade
from state.wiring import async_store, store

logger = logging.getLogger(__name__)

# Tasks at the same time: one may be slow, the journal must not wait for it.
_CONCURRENCY = 3
_STOP_S = 1.5


class Clockwork:
    """A Celery worker and beat as threads of this process."""

    def __init__(self) -> None:
        self._worker = WorkController(
            app=app,
            pool_cls=TaskPool,
            concurrency=_CONCURRENCY,
            loglevel=logging.WARNING,
            without_gossip=True,
            without_heartbeat=True,
            without_mingle=True,
        )
        self._beat = Service(app, scheduler_cls=Scheduler)
        self._threads = [
            threading.Thread(target=self._work, name="worker", daemon=True),
            threading.Thread(target=self._tick, name="beat", daemon=True),
        ]

    def start(self) -> None:
        """Start both; tasks begin to run within a second."""
        assert settings.EMBEDDED, "in production, worker and beat are processes of their own"
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let the tasks that run finish, for a moment. Threads that take longer end with the process."""
        self._beat.stop()
        state.should_stop = EX_OK  # type: ignore[assignment]  # its type is taken from its first value
        until = time.monotonic() + _STOP_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        app.set_current()
        self._worker.start()

    def _tick(self) -> None:
        app.set_current()
        self._beat.start()


class Feeds:
    """The feeds as a thread: what is published on the bus of this process is taken into the live state."""

    def __init__(self) -> None:
        self._told: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feeds", daemon=True)

    def start(self) -> None:
        """Listen; when this returns, nothing that is published is missed any more."""
        self._thread.start()
        self._listening.wait(_STOP_S)

    def stop(self) -> None:
        """Take what has come, for a moment, and listen no more."""
        if self._told is not None:
            loop, told = self._told
            loop.call_soon_threadsafe(told.set)
            self._thread.join(_STOP_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._listen())
        except Exception:
            logger.exception("the feeds are not listened to any more: states grow old, and orders block")

    async def _listen(self) -> None:
        connection, told = LocalConnection(), asyncio.Event()
        listener = Listener(connection, async_store(), store(), BOOKS, DeadLetters())
        self._told = asyncio.get_running_loop(), told
        running = asyncio.create_task(listener.run(told, grace_s=_STOP_S))
        await connection.until_up()
        self._listening.set()
        await running


class Simulation:
    """The simulated market and OMS as a thread: it asks about orders over HTTP, and is a peer on the process's bus."""

    def __init__(self, url: str, key: str, accounts: Sequence[str], *, rate: float, say: Callable[[str], None]) -> None:
        self._plan, self._url, self._key, self._say = Plan(accounts, rate), url, key, say
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)

    def start(self) -> None:
        """Start trading."""
        self._thread.start()

    def hear_stop(self) -> None:
        """Begin to stop trading, and return at once."""
        self._stop.set()

    def stop(self) -> None:
        """Stop trading and wait until the last request has ended, for a moment."""
        self.hear_stop()
        self._thread.join(_STOP_S)

    def _run(self) -> None:
        reach = Reach(self._key, rest=self._url, bus=LocalConnection())
        try:
            asyncio.run(trade(self._plan, reach, say=self._tell, stop=self._stop))
        except Exception:
            logger.exception("the simulator has stopped; riskportal itself goes on")

    def _tell(self, text: str) -> None:
        # That riskportal is away while both are being stopped is no news.
        if not self._stop.is_set():
            self._say(text)
