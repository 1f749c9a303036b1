"""The engine's steps, driven from a thread and from a task: the requests answered, and faults passed on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import pytest

from riskcore.ports import Commit, Committed, Load, Loaded, NeedBook
from state.async_memory_store import AsyncMemoryStore
from state.driver import TaskTurns, ThreadTurns, run_async, run_sync
from state.memory_store import MemoryStore
from state.store import StateUnavailable
from tests.contract.subjects import change, query, restored, view
from tests.support.patience import PATIENCE_S

LOAD = Load(accounts=(query("a"),))


class Compiled(NamedTuple):
    """A compiled book."""

    version: int
    text: str


class Books:
    """Compiled books, where compiling is decoding, and how often that was done."""

    def __init__(self, understand: Callable[[bytes], str] = bytes.decode) -> None:
        self.kept: dict[int, Compiled] = {}
        self._understand = understand
        self.compiled = 0

    def get(self, version: int) -> Compiled | None:
        return self.kept.get(version)

    def put(self, version: int, content: bytes) -> Compiled:
        self.compiled += 1
        self.kept[version] = Compiled(version, self._understand(content))
        return self.kept[version]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(params=["thread", "task"])
def run(request, store):
    """Drive steps against the store in either way."""
    if request.param == "thread":
        return lambda steps, books: run_sync(steps, store, books)
    return lambda steps, books: asyncio.run(run_async(steps, AsyncMemoryStore(store), books))


def test_each_request_is_sent_its_reply_and_the_result_returned(store, run):
    control = restored(store, book_version=3, content=b"three")
    seen = []

    def steps():
        seen.append((yield LOAD))
        seen.append((yield NeedBook(3)))
        what = change("a", ledger=b"{}")
        seen.append((yield Commit(expect=control, changes=(what,), journal=(), reload=LOAD)))
        seen.append((yield Commit(expect=control, changes=(what,), journal=(), reload=LOAD)))
        return "result"

    assert run(steps(), Books()) == "result"
    loaded, book, committed, conflict = seen
    assert isinstance(loaded, Loaded)
    assert (book, committed) == (Compiled(3, "three"), Committed())
    assert conflict.accounts[0].version == 1


def test_a_book_is_fetched_and_compiled_once(store, run):
    restored(store, book_version=3, content=b"three")
    books = Books()

    def steps():
        first = yield NeedBook(3)
        return first, (yield NeedBook(3))

    assert run(steps(), books) == (Compiled(3, "three"),) * 2
    assert books.compiled == 1


def needs_book(version):
    return (yield NeedBook(version))


def test_a_book_that_is_not_kept_makes_the_state_unavailable(run):
    with pytest.raises(StateUnavailable, match="book 7"):
        run(needs_book(7), Books())


def test_a_book_that_cannot_be_read_makes_the_state_unavailable(store, run):
    store.publish_book(7, b"\xff")
    with pytest.raises(StateUnavailable, match="book 7 cannot be read"):
        run(needs_book(7), Books())


def test_another_version_under_a_books_number_is_not_used_but_fetched(store, run):
    store.publish_book(7, b"seven")
    books = Books()
    books.kept[7] = Compiled(6, "six")
    assert run(needs_book(7), books) == Compiled(7, "seven")


def test_content_of_another_version_makes_the_state_unavailable(store, run):
    """Whoever compiles it may not look; what is decided names the book asked for."""
    store.publish_book(7, b"six")

    class Careless(Books):
        def put(self, version: int, content: bytes) -> Compiled:
            return super().put(6, content)

    with pytest.raises(StateUnavailable, match="book 7 is book 6"):
        run(needs_book(7), Careless())


def test_a_book_that_a_newer_one_pushes_out_at_once_is_handed_over(store, run):
    store.publish_book(7, b"seven")

    class Full(Books):
        def get(self, version: int) -> None:
            return None

    assert run(needs_book(7), Full()) == Compiled(7, "seven")


def test_steps_are_closed_when_the_store_fails(run):
    closed = []

    def steps():
        try:
            yield NeedBook(7)
        finally:
            closed.append(True)

    with pytest.raises(StateUnavailable):
        run(steps(), Books())
    assert closed == [True]


def test_threads_that_need_a_new_book_at_once_compile_it_once(store):
    store.publish_book(1, b"one")

    def slowly(content: bytes) -> str:
        time.sleep(0.05)
        return content.decode()

    books = Books(slowly)
    threads = [threading.Thread(target=run_sync, args=(needs_book(1), store, books)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert books.compiled == 1


async def test_tasks_that_need_a_new_book_at_once_fetch_it_once(store):
    store.publish_book(1, b"one")
    fetched = []

    class SlowStore(AsyncMemoryStore):
        async def fetch_book(self, version: int) -> bytes | None:
            fetched.append(version)
            await asyncio.sleep(0.01)
            return await super().fetch_book(version)

    books = Books()
    found = await asyncio.gather(*(run_async(needs_book(1), SlowStore(store), books) for _ in range(8)))
    assert (found, fetched, books.compiled) == ([Compiled(1, "one")] * 8, [1], 1)


def count_conflicts_of_threads(store: MemoryStore, turn) -> int:
    """Let threads write an account in several steps, and return how often one found that it had moved."""
    conflicts = []

    def steps():
        loaded = yield LOAD
        time.sleep(0.001)
        version = loaded.accounts[0].version
        what = change("a", version, ledger=b"{}")
        if isinstance((yield Commit(expect=None, changes=(what,), journal=(), reload=LOAD)), Loaded):
            conflicts.append(version)

    def work() -> None:
        for _ in range(10):
            with turn():
                run_sync(steps(), store, Books())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(conflicts)


def test_threads_take_turns_on_an_account(store):
    turns = ThreadTurns()
    conflicts = count_conflicts_of_threads(store, lambda: turns.of("a"))
    assert conflicts == 0
    assert view(store, "a").version == 40


def test_threads_take_turns_on_several_accounts_without_waiting_for_each_other_for_ever():
    turns = ThreadTurns()
    names = [f"account-{number}" for number in range(20)]
    inside: list[str] = []

    def work(number: int) -> None:
        ordered = names[number:] + names[:number]
        for _ in range(20):
            with turns.of_all(ordered):
                inside.append("in")
                assert inside.count("in") == inside.count("out") + 1
                inside.append("out")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert inside == ["in", "out"] * 160


async def test_tasks_take_turns_on_their_accounts():
    turns = TaskTurns()
    inside: list[str] = []

    async def work(names: list[str]) -> None:
        async with turns.of_all(names):
            inside.append("in")
            await asyncio.sleep(0)
            inside.append("out")

    async def work_alone() -> None:
        async with turns.of("a"):
            inside.append("in")
            await asyncio.sleep(0)
            inside.append("out")

    await asyncio.gather(*(work(["a", "b"]) for _ in range(5)), work_alone(), *(work(["b", "a"]) for _ in range(5)))
    assert inside == ["in", "out"] * 11
