"""What runs beside the server when everything is one process: the tasks, their clock, and the simulator."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from celery.beat import Scheduler, Service
from celery.concurrency.thread import TaskPool
from celery.platforms import EX_OK
from celery.worker import WorkController, state
from django.conf import settings

from riskportal.celery import app
from simulator.oms import Oms
from simulator.peer import Plan, Reach, connected

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


class Simulation:
    """The simulated market and OMS as a thread, over HTTP like anybody else."""

    def __init__(self, url: str, key: str, accounts: Sequence[str], *, rate: float, say: Callable[[str], None]) -> None:
        self._plan, self._reach, self._say = Plan(accounts, rate), Reach(key, rest=url), say
        self._stop = threading.Event()
        self._trading: tuple[Oms, asyncio.AbstractEventLoop] | None = None
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)

    def start(self) -> None:
        """Start trading."""
        self._thread.start()

    def request(self, subject: str, payload: bytes, *, within_s: float = 2.0) -> Mapping[str, Any] | None:
        """Have the OMS do what an emergency stop asks on `execution.*`, and return its answer, as over NATS.

        None where nobody answers: it does not trade, or not for that account. Raises TimeoutError.
        """
        trading = self._trading
        if trading is None:
            return None
        oms, loop = trading
        return asyncio.run_coroutine_threadsafe(oms.executor.hear(subject, payload), loop).result(within_s)

    def hear_stop(self) -> None:
        """Begin to stop trading, and return at once."""
        self._stop.set()

    def stop(self) -> None:
        """Stop trading and wait until the last request has ended, for a moment."""
        self.hear_stop()
        self._thread.join(_STOP_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._trade())
        except Exception:
            logger.exception("the simulator has stopped; riskportal itself goes on")

    async def _trade(self) -> None:
        async with connected(self._plan, self._reach, say=self._tell) as oms:
            self._trading = oms, asyncio.get_running_loop()
            try:
                await oms.run(self._stop)
            finally:
                self._trading = None

    def _tell(self, text: str) -> None:
        # That riskportal is away while both are being stopped is no news.
        if not self._stop.is_set():
            self._say(text)
