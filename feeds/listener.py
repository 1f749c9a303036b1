"""Listens to the feeds on NATS and takes each message into the live state, in the order that an account's came in."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from django.db import Error as DatabaseFailure

from bus.connection import Connection, Message
from emergency.answers import PROGRESS
from feeds import metrics
from feeds.apply import NoBook, apply_prices, book_for_reports
from feeds.books import CompiledBooks
from feeds.dead_letters import DeadLetters
from feeds.intake import Intake, Outcome, intake_of, steps_of, take_execution
from feeds.last_prices import LastPrices
from feeds.malformed import Malformed
from feeds.published import ACCOUNT_SUBJECTS, TICKS, AccountMessage, read_message, read_tick
from riskcore.compiled import CompiledBook
from riskcore.intake import NotApplied
from state.driver import TaskTurns, run_async
from state.store import AsyncStore, StateUnavailable, Store

logger = logging.getLogger(__name__)

# Of the processes that listen each message goes to one.
QUEUE = "risk-feeds"

# Messages under way at once. With more NATS waits, and what does not fit there any more is lost: snapshots make up
# for it.
MOST_UNDER_WAY = 4096

_PRICES_EVERY_S = 0.01
_BOOK_EVERY_S = 1.0
_LETTERS_EVERY_S = 0.5
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0


class Listener:
    """Takes what is published on the feeds' subjects. Belongs to the event loop that runs it.

    Parameters
    ----------
    connection
        Not started yet.
    store, thread_store
        The live state, for tasks and for the threads that write prices.
    books
        The compiled books of the process.
    letters
        Where messages go that cannot be taken.
    """

    def __init__(
        self,
        connection: Connection,
        store: AsyncStore,
        thread_store: Store,
        books: CompiledBooks,
        letters: DeadLetters,
    ) -> None:
        self._connection, self._store, self._thread_store = connection, store, thread_store
        self._books, self._letters = books, letters
        self._book: CompiledBook | None = None
        self._has_book = asyncio.Event()
        self._turns = TaskTurns()
        self._room = asyncio.Semaphore(MOST_UNDER_WAY)
        self._under_way: set[asyncio.Task[None]] = set()
        self._prices = LastPrices()
        self._ending = False
        connection.subscribe(f"{TICKS}>", self._on_tick, queue=QUEUE)
        for subject in ACCOUNT_SUBJECTS:
            connection.subscribe(subject, self._on_message, queue=QUEUE)
        connection.subscribe(PROGRESS, self._on_progress, queue=QUEUE)

    async def run(self, told: asyncio.Event, *, grace_s: float) -> int:
        """Listen until `told`, then take what has come; return how many messages there was no time for."""
        keeping = [asyncio.create_task(work) for work in (self._keep_book(), self._keep_prices(), self._keep_letters())]
        self._connection.start()
        await told.wait()
        await self._connection.stop_hearing()
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=grace_s)
        left = len(self._under_way)
        for task in (*keeping, *self._under_way):
            task.cancel()
        await asyncio.gather(*keeping, *self._under_way, return_exceptions=True)
        await self._write_prices()
        await asyncio.to_thread(self._letters.write)
        await self._connection.close()
        return left

    # --------------------------------------------------------------------------------------------- prices
    async def _on_tick(self, message: Message) -> None:
        try:
            report = read_tick(message.subject, message.data, now_us=time.time_ns() // 1000)
        except Malformed as error:
            self._bury(message.subject, message.data, error)
            metrics.count_prices(Outcome.DEAD)
            return
        metrics.count_prices(Outcome.TAKEN if self._prices.put(report) else Outcome.KNOWN)

    async def _keep_prices(self) -> None:
        while True:
            await asyncio.sleep(_PRICES_EVERY_S)
            if len(self._prices) and not await self._write_prices():
                await asyncio.sleep(_LONGEST_PAUSE_S)

    async def _write_prices(self) -> bool:
        rounds = self._prices.take()
        try:
            for reports in rounds:
                await asyncio.to_thread(apply_prices, self._thread_store, reports)
        except StateUnavailable as error:
            logger.warning("prices are not written for now: %s", error)
            self._prices.put_back(rounds)
            return False
        return True

    # --------------------------------------------------------------------------------- messages of accounts
    async def _on_message(self, message: Message) -> None:
        """Begin to take a message; the next one is handed over meanwhile, if there is room."""
        subject, payload = message.subject, message.data
        try:
            read = read_message(subject, payload, now_us=time.time_ns() // 1000)
        except Malformed as error:
            self._finish(subject, payload, error)
            return
        await self._room.acquire()
        task = asyncio.create_task(self._take(subject, payload, read))
        self._under_way.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._room.release()

    async def _take(self, subject: str, payload: bytes, message: AccountMessage) -> None:
        async with self._turns.of(message.account_id):
            try:
                found: Intake | Exception = await self._patiently(message)
            except (Malformed, NotApplied) as error:
                found = error
            except Exception as error:
                logger.exception("a message on %s failed", subject)
                found = error
        self._finish(subject, payload, found)

    async def _patiently(self, message: AccountMessage) -> Intake:
        """Take a message, however long the live state cannot be reached."""
        await self._has_book.wait()
        pause_s = _FIRST_PAUSE_S
        while True:
            assert self._book is not None
            account = self._book.accounts.get(message.account_id)
            if account is None:
                return Intake(Outcome.UNKNOWN)
            steps = steps_of(message, account, self._book.parameters)
            try:
                return intake_of(await run_async(steps, self._store, self._books))
            except StateUnavailable:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _finish(self, subject: str, payload: bytes, found: Intake | Exception) -> None:
        if isinstance(found, Exception):
            self._bury(subject, payload, found)
            found = Intake(Outcome.DEAD)
        metrics.count(subject, found)

    def _bury(self, subject: str, payload: bytes, error: Exception) -> None:
        self._letters.put(subject, payload, str(error) or type(error).__name__)

    # ------------------------------------------------------------------------ what emergency stops have asked for
    async def _on_progress(self, message: Message) -> None:
        """Take what an OMS says of a command; it is asked for that anyway, so that a message may be lost."""
        try:
            found: Intake | Exception = await asyncio.to_thread(take_execution, message.data, self._thread_store)
        except StateUnavailable as error:
            logger.warning("how far an OMS has come is not noted: %s", error)
            return
        except Malformed as error:
            found = error
        self._finish(message.subject, message.data, found)

    # ------------------------------------------------------------------------------------- what is kept up
    async def _keep_book(self) -> None:
        """Know the accounts and the parameters of the book in force, or else of the last that is known."""
        while True:
            try:
                self._book = await asyncio.to_thread(book_for_reports, self._thread_store, self._books)
                self._has_book.set()
            except (StateUnavailable, NoBook, DatabaseFailure) as error:
                logger.warning("the book is not known for now: %s", error)
            await asyncio.sleep(_BOOK_EVERY_S)

    async def _keep_letters(self) -> None:
        while True:
            await asyncio.sleep(_LETTERS_EVERY_S)
            with contextlib.suppress(DatabaseFailure):
                await asyncio.to_thread(self._letters.write)
