"""Drives the engine's steps against a store, from a thread or a task, and lets an account's checks queue."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import AsyncIterator, Generator, Iterable, Iterator
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec

from riskcore.ports import Commit, Committed, Load, NeedBook
from state.pace import Pace
from state.store import AsyncStore, StateUnavailable, Store

ResultT = TypeVar("ResultT")
Request: TypeAlias = Load | Commit | NeedBook

_TURNS = 1024

# One fetches and compiles a new book; whoever needs it meanwhile waits instead of doing it again.
_fetching = threading.Lock()
_fetching_in: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = weakref.WeakKeyDictionary()


# A process's threads take turns on an account, and so do its tasks, but threads do not with tasks.
_PACE_OF_THREADS, _PACE_OF_TASKS = Pace(), Pace()


class Book(Protocol):
    """A compiled book."""

    @property
    def version(self) -> int: ...


class Books(Protocol):
    """The compiled books that a process keeps."""

    def get(self, version: int) -> Book | None:
        """Return the compiled book, None where the process does not have it."""
        ...

    def put(self, version: int, content: bytes) -> Book:
        """Compile a book's content, keep it, return it. Raises ValueError or msgspec.DecodeError where it is none."""
        ...


def run_sync(
    steps: Generator[Request, Any, ResultT], store: Store, books: Books, pace: Pace = _PACE_OF_THREADS
) -> ResultT:
    """Answer the requests of `steps` from a store, and return what they return.

    `pace` says when to wait for other processes. What a lost commit has loaded ages during a pause, so it is
    loaded again after one. Raises StateUnavailable where the store does, or where the very version of the book
    that is needed cannot be had.
    """
    reply: object = None
    losses = 0
    with contextlib.closing(steps):
        while True:
            try:
                request = steps.send(reply)
            except StopIteration as end:
                result: ResultT = end.value
                return result
            if type(request) is Load:
                if wait_s := pace.before(request):
                    pace.sleep(wait_s)
                reply = store.load(request)
            elif type(request) is Commit:
                reply = store.commit(request)
                if type(reply) is Committed:
                    pace.wrote(request, losses)
                    continue
                losses += 1
                if wait_s := pace.after_loss(losses):
                    pace.sleep(wait_s)
                    reply = store.load(request.reload)
            else:
                assert type(request) is NeedBook
                reply = _kept(request.version, books) or _fetch(request.version, store, books)


async def run_async(
    steps: Generator[Request, Any, ResultT], store: AsyncStore, books: Books, pace: Pace = _PACE_OF_TASKS
) -> ResultT:
    """Do as `run_sync` does, in a task."""
    reply: object = None
    losses = 0
    with contextlib.closing(steps):
        while True:
            try:
                request = steps.send(reply)
            except StopIteration as end:
                result: ResultT = end.value
                return result
            if type(request) is Load:
                if wait_s := pace.before(request):
                    await pace.sleep_in_task(wait_s)
                reply = await store.load(request)
            elif type(request) is Commit:
                reply = await store.commit(request)
                if type(reply) is Committed:
                    pace.wrote(request, losses)
                    continue
                losses += 1
                if wait_s := pace.after_loss(losses):
                    await pace.sleep_in_task(wait_s)
                    reply = await store.load(request.reload)
            else:
                assert type(request) is NeedBook
                reply = _kept(request.version, books) or await _fetch_async(request.version, store, books)


def _kept(version: int, books: Books) -> Book | None:
    """Return the book that is kept under this version, if it is that version."""
    book = books.get(version)
    return book if book is not None and book.version == version else None


def _fetch(version: int, store: Store, books: Books) -> Book:
    with _fetching:
        return _kept(version, books) or _compiled(version, store.fetch_book(version), books)


async def _fetch_async(version: int, store: AsyncStore, books: Books) -> Book:
    async with _fetching_in.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        return _kept(version, books) or _compiled(version, await store.fetch_book(version), books)


def _compiled(version: int, content: bytes | None, books: Books) -> Book:
    if content is None:
        raise StateUnavailable(f"book {version} is not in the live state")
    try:
        book = books.put(version, content)
    except (ValueError, msgspec.DecodeError) as error:
        raise StateUnavailable(f"book {version} cannot be read: {error}") from error
    if book.version != version:
        raise StateUnavailable(f"what is kept as book {version} is book {book.version}")
    return book


class ThreadTurns:
    """Lets one thread at a time work on an account: two at once would only find that the other moved it.

    Turns are taken from a fixed table by the account's hash, so that accounts which never come again cost
    nothing; two accounts may share one.
    """

    def __init__(self) -> None:
        self._locks = [threading.Lock() for _ in range(_TURNS)]

    def of(self, account_id: str) -> threading.Lock:
        """Return the turn of an account, to be held with `with`."""
        return self._locks[hash(account_id) % _TURNS]

    @contextlib.contextmanager
    def of_all(self, account_ids: Iterable[str]) -> Iterator[None]:
        """Hold the turns of several accounts; whoever needs some of the same takes them in the same order."""
        with contextlib.ExitStack() as held:
            for turn in _in_order(account_ids):
                held.enter_context(self._locks[turn])
            yield


class TaskTurns:
    """Does for the tasks of one event loop what ThreadTurns does for threads."""

    def __init__(self) -> None:
        self._locks = [asyncio.Lock() for _ in range(_TURNS)]

    def of(self, account_id: str) -> asyncio.Lock:
        """Return the turn of an account, to be held with `async with`."""
        return self._locks[hash(account_id) % _TURNS]

    @contextlib.asynccontextmanager
    async def of_all(self, account_ids: Iterable[str]) -> AsyncIterator[None]:
        """Hold the turns of several accounts; whoever needs some of the same takes them in the same order."""
        async with contextlib.AsyncExitStack() as held:
            for turn in _in_order(account_ids):
                await held.enter_async_context(self._locks[turn])
            yield


def _in_order(account_ids: Iterable[str]) -> list[int]:
    return sorted({hash(account_id) % _TURNS for account_id in account_ids})
