"""What is brought once for everybody who needs it at the same time, and kept for a moment."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from feeds.flights import Flights, wait_for, wait_in_task
from tests.support.patience import PATIENCE_S


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Bringer:
    """Brings each name in upper case, when the test lets it."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.called, self.going = threading.Event(), threading.Event()
        self.going.set()
        self.error: Exception | None = None

    def __call__(self, names: Sequence[str]) -> dict[str, str]:
        self.calls.append(list(names))
        self.called.set()
        assert self.going.wait(PATIENCE_S)
        if self.error is not None:
            raise self.error
        return {name: name.upper() for name in names if name != "nothing"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bringer() -> Bringer:
    return Bringer()


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as found:
        yield found


@pytest.fixture
def flights(bringer, executor, clock) -> Flights[str]:
    return Flights(bringer, executor, fresh_s=0.1, together=2, clock=clock)


def bring(flights: Flights[str], *names: str) -> list[str | None]:
    wait_for(flights.begin(names), PATIENCE_S)
    return [flights.value(name) for name in names]


def test_what_is_not_known_is_brought(flights, bringer):
    assert flights.stale(["a"]) == ["a"]
    assert bring(flights, "a") == ["A"]
    assert flights.stale(["a"]) == []


def test_what_is_fresh_is_neither_brought_nor_waited_for(flights, bringer, clock):
    bring(flights, "a")
    clock.now_s += 0.1
    assert not flights.begin(["a"])
    assert bringer.calls == [["a"]]


def test_what_is_older_is_brought_again(flights, bringer, clock):
    bring(flights, "a")
    clock.now_s += 0.11
    assert flights.stale(["a"]) == ["a"]
    bring(flights, "a")
    assert bringer.calls == [["a"], ["a"]]


def test_its_age_counts_from_when_its_bringing_began(flights, bringer, clock):
    bringer.going.clear()
    under_way = flights.begin(["a"])
    assert bringer.called.wait(PATIENCE_S)
    clock.now_s += 0.2
    bringer.going.set()
    wait_for(under_way, PATIENCE_S)
    assert flights.stale(["a"]) == ["a"]


def test_threads_that_need_the_same_wait_for_one_bringing(flights, bringer):
    bringer.going.clear()
    first = flights.begin(["a"])
    others = [flights.begin(["a"]) for _ in range(20)]
    assert all(set(each) == set(first) for each in others)
    bringer.going.set()
    for each in others:
        wait_for(each, PATIENCE_S)
    assert flights.value("a") == "A"
    assert bringer.calls == [["a"]]


async def test_tasks_wait_for_the_same_as_threads(flights, bringer):
    bringer.going.clear()
    in_thread = asyncio.create_task(asyncio.to_thread(bring, flights, "a"))
    await asyncio.to_thread(bringer.called.wait, PATIENCE_S)
    in_tasks = [asyncio.create_task(wait_in_task(flights.begin(["a"]), PATIENCE_S)) for _ in range(20)]
    await asyncio.sleep(0)
    bringer.going.set()
    await asyncio.gather(*in_tasks)
    assert await in_thread == ["A"]
    assert bringer.calls == [["a"]]


async def test_a_task_that_gives_up_does_not_take_it_from_the_others(flights, bringer):
    bringer.going.clear()
    under_way = flights.begin(["a"])
    impatient = asyncio.create_task(wait_in_task(under_way, PATIENCE_S))
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    bringer.going.set()
    await wait_in_task(under_way, PATIENCE_S)
    assert flights.value("a") == "A"


def test_nobody_waits_longer_than_his_patience(flights, bringer):
    bringer.going.clear()
    wait_for(flights.begin(["a"]), 0.01)
    assert flights.value("a") is None
    bringer.going.set()


def test_several_names_are_brought_together(flights, bringer):
    assert bring(flights, "a", "b", "c") == ["A", "B", "C"]
    assert sorted(bringer.calls) == [["a", "b"], ["c"]]


def test_a_name_without_a_value_is_not_asked_for_again_at_once(flights, bringer):
    assert bring(flights, "nothing") == [None]
    assert not flights.begin(["nothing"])


def test_an_error_leaves_no_value_and_nobody_waiting(flights, bringer, clock):
    bringer.error = RuntimeError("as the test wants it")
    assert bring(flights, "a") == [None]
    bringer.error = None
    clock.now_s += 1
    assert bring(flights, "a") == ["A"]


def test_a_failure_takes_the_last_value_away(flights, bringer, clock):
    bring(flights, "a")
    clock.now_s += 1
    bringer.error = RuntimeError("as the test wants it")
    assert bring(flights, "a") == [None]


def test_at_the_end_of_the_process_nothing_is_brought_and_nobody_waits(flights, bringer, executor):
    executor.shutdown()
    assert bring(flights, "a") == [None]
    assert not bringer.calls


def test_names_that_nobody_asks_about_any_more_are_forgotten(flights, clock):
    for number in range(10_001):
        bring(flights, f"name-{number}")
        clock.now_s += 0.001
    assert flights.value("name-0") is None
    assert flights.value("name-10000") == "NAME-10000"
