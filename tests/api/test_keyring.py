"""The copy of the keys that every process keeps."""

from __future__ import annotations

import asyncio
import threading

import pytest

from api import keyring
from api.errors import Problem
from api.keyring import AsyncKeyRing, KeyRing, encode_records
from state.store import StateUnavailable
from tests.api.world import key_text, record
from tests.support.patience import PATIENCE_S


class Source:
    """A store that has keys, for threads and tasks; it counts how often it is asked."""

    def __init__(self) -> None:
        self.content: bytes | None = encode_records((record(),))
        self.asked = 0
        self.is_away = False

    def fetch_keys(self) -> bytes | None:
        self.asked += 1
        if self.is_away:
            raise StateUnavailable("away")
        return self.content


class AsyncSource:
    """The same for tasks."""

    def __init__(self) -> None:
        self.kept = Source()

    async def fetch_keys(self) -> bytes | None:
        return self.kept.fetch_keys()


@pytest.fixture
def clock(monkeypatch):
    """The monotonic clock, which a test moves."""

    class Clock:
        now = 1000.0

        def monotonic(self) -> float:
            return self.now

        def time_ns(self) -> int:
            return 1_800_000_000_000_000_000

    found = Clock()
    monkeypatch.setattr(keyring, "time", found)
    return found


def test_the_copy_is_read_again_after_half_a_second(clock):
    source = Source()
    ring = KeyRing(source)
    for _ in range(5):
        ring.refresh()
    assert source.asked == 1

    clock.now += 0.5
    ring.refresh()

    assert source.asked == 2


def test_a_copy_older_than_a_second_lets_nobody_in(clock):
    source = Source()
    ring = KeyRing(source)
    ring.refresh()
    source.is_away = True

    clock.now += 0.9
    ring.refresh()
    clock.now += 0.1
    with pytest.raises(Problem) as caught:
        ring.refresh()

    assert caught.value.status == 503


def test_a_store_that_is_away_is_not_asked_by_every_request(clock):
    source = Source()
    source.is_away = True
    ring = KeyRing(source)
    for _ in range(10):
        with pytest.raises(Problem):
            ring.refresh()
    assert source.asked == 1

    clock.now += keyring.PAUSE_S
    source.is_away = False
    ring.refresh()


def test_keys_that_were_never_put_are_a_state_that_is_not_restored(clock):
    source = Source()
    source.content = None

    with pytest.raises(Problem) as caught:
        KeyRing(source).refresh()

    assert (caught.value.status, caught.value.code) == (503, "recovering")


def test_keys_that_cannot_be_read_let_nobody_in(clock):
    source = Source()
    source.content = b"{}"

    with pytest.raises(Problem) as caught:
        KeyRing(source).refresh()

    assert caught.value.status == 503


async def test_tasks_share_one_reading(clock):
    source = AsyncSource()
    ring = AsyncKeyRing(source)

    await asyncio.gather(*(ring.refresh() for _ in range(20)))

    assert source.kept.asked == 1


async def test_tasks_wait_for_nothing_while_the_copy_is_good(clock):
    source = AsyncSource()
    ring = AsyncKeyRing(source)
    await ring.refresh()
    source.kept.is_away = True
    clock.now += 0.9
    await ring.refresh()

    clock.now += 0.2
    with pytest.raises(Problem):
        await ring.refresh()


def test_one_thread_reads_and_the_others_go_on(clock):
    entered, leave = threading.Event(), threading.Event()
    source = Source()
    ring = KeyRing(source)
    ring.refresh()
    clock.now += 0.6

    def slow() -> bytes | None:
        entered.set()
        leave.wait(PATIENCE_S)
        return source.content

    source.fetch_keys = slow  # type: ignore[method-assign]
    reader = threading.Thread(target=ring.refresh)
    reader.start()
    entered.wait(PATIENCE_S)

    ring.refresh()  # does not wait

    leave.set()
    reader.join()


def test_an_expired_key_is_out_though_it_is_published(clock):
    source = Source()
    source.content = encode_records((record(expires_at_us=1_800_000_000_000_000),))
    ring = KeyRing(source)
    ring.refresh()

    with pytest.raises(Problem) as caught:
        ring.admit(f"Bearer {key_text()}")

    assert caught.value.status == 401


def test_admin_may_do_everything():
    assert record("k", "admin").may("emergency.lift_stop")
    assert not record("k", "read").may("emergency.lift_stop")
