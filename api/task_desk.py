"""What the asynchronous doors of a process share: the live state, the good keys and the queues of accounts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from api import checks
from api.checks import Reply
from api.errors import Problem
from api.keyring import AsyncKeyRing
from feeds.pull import pull_into
from state.driver import TaskTurns, ThreadTurns
from state.store import AsyncStore
from state.wiring import async_store, store

# A batch takes milliseconds of CPU, during which a single check should not wait: it is worked on in a thread.
BATCH_THREADS = 4


class TaskDesk:
    """Answers checks in the tasks of the event loop that makes it."""

    def __init__(self) -> None:
        self.store: AsyncStore = async_store()
        self._keys = AsyncKeyRing(self.store)
        self._turns = TaskTurns()
        self._threads = ThreadPoolExecutor(BATCH_THREADS, "batch")
        self._batch_turns = ThreadTurns()
        self._pull = pull_into(store())

    async def answer(
        self, authorization: str, read: Callable[[], Awaitable[bytes]], started_ns: int, *, batch: bool
    ) -> Reply:
        """Return the answer to the body that `read` brings, for the key in an Authorization header.

        The body is not asked for before the key is known to be good. Raises Malformed and Problem, for
        `checks.refusal`, and what `read` raises.
        """
        try:
            await self._keys.refresh()
            key = self._keys.admit(authorization)
        except Problem as problem:
            if problem.status != 503:
                raise
            return checks.unavailable_reply(problem, await read(), started_ns, batch=batch)
        body = await read()
        if not batch:
            return await checks.check_order_async(body, key, self.store, self._turns, started_ns, self._pull)
        work = asyncio.get_running_loop().run_in_executor
        batch_of = (body, key, store(), self._batch_turns, started_ns, self._pull)
        return await work(self._threads, checks.check_batch, *batch_of)
