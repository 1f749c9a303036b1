"""Publishing: handed over at once, sent in order, kept while NATS is away, and never an error of its caller."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bus import publish as bus
from bus.events import BookPublished
from bus.publish import Publisher, failures
from devtools.nats_server import NatsServer
from tests.support.patience import PATIENCE_S, eventually

ROOT = Path(__file__).parents[2]

BOOK = BookPublished(
    version=7, sha256="ab" * 32, actor="alice", reason="x", created_at=datetime(2026, 1, 2, tzinfo=UTC)
)


@pytest.fixture(autouse=True)
def listeners_first(monkeypatch) -> None:
    """After a break the publisher begins well after listeners are back: NATS keeps nothing for those who are not."""
    monkeypatch.setattr("bus.nats._LONGEST_PAUSE_S", 0.05)
    monkeypatch.setattr("bus.publish._PAUSE_S", 0.7)


@pytest.fixture
def publisher(server: NatsServer) -> Iterator[Publisher]:
    found = Publisher(server.url)
    yield found
    found.close()


def counted() -> float:
    return float(failures._value.get())


def numbers(count: int, start: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(start, start + count)]


async def test_messages_come_in_their_order(publisher, listener):
    before = counted()
    for each in numbers(1000):
        publisher.put("news", each)
    assert await listener.until(lambda came: len(came) >= 1000) == numbers(1000)
    await eventually(lambda: not publisher.waiting, "that they are forgotten")
    assert counted() == before


async def test_messages_of_many_threads_all_come(publisher, listener):
    def talk(start: int) -> None:
        for each in numbers(100, start):
            publisher.put("news", each)

    await asyncio.gather(*(asyncio.to_thread(talk, 100 * number) for number in range(8)))
    came = await listener.until(lambda came: len(came) >= 800)
    assert sorted(came, key=int) == numbers(800)


async def test_what_is_published_while_nats_is_away_comes_when_it_is_back(server, publisher, listener):
    publisher.put("news", b"before")
    await listener.until(bool)
    await eventually(lambda: not publisher.waiting, "that NATS has it")  # a listener may have it before
    await asyncio.to_thread(server.kill)
    for each in numbers(300):
        publisher.put("news", each)
    assert publisher.waiting == 300
    await asyncio.to_thread(server.start)
    came = await listener.until(lambda came: came[-1] == b"299")
    # A break in between may bring some twice; none is missing, and those that come again come in order.
    assert list(dict.fromkeys(came)) == [b"before", *numbers(300)]


async def test_what_a_server_took_and_never_read_is_sent_again(server, publisher, listener):
    publisher.put("news", b"before")
    await listener.until(bool)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    before = counted()
    for each in numbers(50):
        publisher.put("news", each)
    await eventually(lambda: counted() > before, "a failure")
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    await listener.until(lambda came: set(numbers(50)) <= set(came))


class Crowding:
    """A connection that takes messages, while the publisher is given more than may wait."""

    most_bytes = 1000

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def publish(self, _subject: str, _payload: bytes) -> bool:
        return True

    async def flush(self) -> bool:
        for each in numbers(7, 100):
            self._publisher.put("news", each)
        return True


async def test_only_what_was_sent_is_forgotten_where_the_oldest_had_to_go_meanwhile(server, monkeypatch):
    monkeypatch.setattr("threading.Thread.start", lambda _: None)
    publisher = Publisher(server.url, most=10)
    for each in numbers(8):
        publisher.put("news", each)
    assert await publisher._send_some(Crowding(publisher))  # type: ignore[arg-type] # as much of one as is used
    assert [payload for _, payload in publisher._waiting] == numbers(7, 100)


async def test_of_too_many_that_wait_the_oldest_go(server, listener):
    await asyncio.to_thread(server.stop)
    publisher = Publisher(server.url, most=10)
    before = counted()
    for each in numbers(25):
        publisher.put("news", each)
    assert publisher.waiting == 10
    assert counted() >= before + 15
    await asyncio.to_thread(server.start)
    publisher.put("news", b"last")
    came = await listener.until(lambda came: came[-1:] == [b"last"])
    assert set(came) <= {*numbers(10, 15), b"last"}
    await asyncio.to_thread(publisher.close)


async def test_a_message_that_is_too_long_does_not_hold_up_the_next(publisher, listener):
    before = counted()
    publisher.put("news", bytes(9_000_000))
    publisher.put("news", b"next")
    assert await listener.until(bool) == [b"next"]
    assert counted() == before + 1


async def test_closing_sends_what_is_left(server, listener):
    publisher = Publisher(server.url)
    for each in numbers(500):
        publisher.put("news", each)
    await asyncio.to_thread(publisher.close, 10.0)
    assert publisher.waiting == 0
    assert await listener.until(lambda came: len(came) >= 500) == numbers(500)


def test_how_many_of_the_process_wait_is_known(settings):
    bus.close_publisher()  # of a test before, which may have a connection
    settings.NATS_URL = "nats://127.0.0.1:1"
    assert bus.waiting() == 0
    try:
        bus.publish(BOOK)
        assert bus.waiting() == 1
    finally:
        bus.close_publisher()
    assert bus.waiting() == 0


def test_closing_while_nats_is_away_waits_for_nothing(server):
    server.stop()
    publisher = Publisher(server.url)
    publisher.put("news", b"lost")
    publisher.close(20.0)
    assert publisher._thread is not None
    assert not publisher._thread.is_alive()
    assert publisher.waiting == 1


# ------------------------------------------------------------------------------------------ of the process
@pytest.fixture
def publishing(server, settings) -> Iterator[None]:
    bus.close_publisher()
    settings.NATS_URL = server.url
    yield
    bus.close_publisher()


async def test_an_event_is_the_json_of_its_fields_on_its_subject(publishing, connect):
    from tests.bus.conftest import Listener

    heard, connection = Listener(), connect()
    connection.subscribe("risk.policies.published", heard.hear)
    connection.start()
    await connection.until_up()
    bus.publish(BOOK)
    (payload,) = await heard.until(bool)
    assert json.loads(payload) == {
        "version": 7,
        "sha256": "ab" * 32,
        "actor": "alice",
        "reason": "x",
        "created_at": "2026-01-02T00:00:00Z",
    }


def test_without_nats_publishing_does_nothing(settings):
    bus.close_publisher()
    settings.NATS_URL = ""
    bus.publish(BOOK)
    assert bus._publisher is None


def test_a_failure_of_ours_is_counted_and_told_to_nobody_else(publishing, monkeypatch, caplog):
    def broken(*_args: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Publisher, "put", broken)
    before = counted()
    bus.publish(BOOK)
    assert counted() == before + 1
    assert "can't start new thread" in caplog.text


PROGRAM = """
import os, sys
from datetime import UTC, datetime
import django; django.setup()
from bus.events import BookPublished
from bus.publish import publish

def say(version):
    publish(BookPublished(version=version, sha256="", actor="", reason="", created_at=datetime.now(UTC)))

say(1)
if os.fork() == 0:
    say(2)
    sys.exit()
say(3)
os.wait()
"""


async def test_a_process_that_ends_at_once_and_its_fork_have_published(server, connect):
    from tests.bus.conftest import Listener

    heard, connection = Listener(), connect()
    connection.subscribe("risk.policies.published", heard.hear)
    connection.start()
    await connection.until_up()
    env = {**os.environ, "NATS_URL": server.url, "DJANGO_SETTINGS_MODULE": "riskportal.settings"}
    await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", PROGRAM], cwd=ROOT, env=env, check=True, timeout=PATIENCE_S
    )
    came = await heard.until(lambda came: len(came) >= 3)
    assert sorted(json.loads(each)["version"] for each in came) == [1, 2, 3]
