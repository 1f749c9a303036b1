"""Asking over the bus: each request has its own answer, or why there is none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from bus.asking import Unanswered, ask_all
from bus.connection import Message
from bus.wiring import new_connection
from tests.support.patience import PATIENCE_S

Answer = Callable[[Message], bytes | None]


class Peer:
    """Somebody on the bus who answers on `work`, in a thread of his own."""

    def __init__(self, answer: Answer) -> None:
        self._answer, self._up, self._loop = answer, threading.Event(), asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Peer:
        self._thread.start()
        assert self._up.wait(PATIENCE_S)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._told.set)
        self._thread.join(PATIENCE_S)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        connection = new_connection("peer")
        assert connection is not None

        async def hear(message: Message) -> None:
            answer = self._answer(message)
            if answer is not None:
                await connection.publish(message.reply, answer)

        connection.subscribe("work", hear)
        connection.start()
        await connection.until_up()
        self._told = asyncio.Event()
        self._up.set()
        await self._told.wait()
        await connection.close()


@pytest.fixture(params=["nats", "local"])
def bus(request, settings) -> None:
    """A bus as the settings say."""
    local = request.param == "local"
    settings.EMBEDDED, settings.NATS_URL = local, "" if local else request.getfixturevalue("nats_server").url


def echo(message: Message) -> bytes:
    return b"did " + message.data


def test_without_a_bus_nobody_can_be_asked(settings):
    settings.EMBEDDED, settings.NATS_URL = False, ""
    assert ask_all([("work", b"1")], within_s=1) == [Unanswered("NATS_URL is not set")]


def test_where_nats_is_away_it_says_so_in_time(settings):
    settings.NATS_URL = "nats://127.0.0.1:1"
    assert ask_all([("work", b"1")] * 2, within_s=1) == [Unanswered("the bus is away")] * 2


@pytest.mark.usefixtures("bus")
def test_where_nobody_listens_it_is_known_at_once():
    assert ask_all([("work", b"1")], within_s=PATIENCE_S) == [Unanswered("nobody listens")]


@pytest.mark.usefixtures("bus")
def test_who_does_not_answer_in_time_is_not_waited_for():
    with Peer(lambda message: None if message.data == b"2" else echo(message)):
        found = ask_all([("work", b"1"), ("work", b"2"), ("work", b"3")], within_s=3)
    assert found == [b"did 1", Unanswered("no answer within 3 s"), b"did 3"]


@pytest.mark.usefixtures("bus")
def test_what_is_too_long_is_not_asked():
    with Peer(echo):
        found = ask_all([("work", bytes(20_000_000)), ("work", b"1")], within_s=PATIENCE_S)
    assert found == [Unanswered("too long to send"), b"did 1"]


@pytest.mark.usefixtures("bus")
def test_each_request_has_its_own_answer():
    with Peer(echo):
        found = ask_all([("work", b"%d" % number) for number in range(1000)], within_s=PATIENCE_S)
    assert found == [b"did %d" % number for number in range(1000)]


@pytest.mark.usefixtures("bus")
def test_of_several_answers_the_first_is_taken():
    with Peer(lambda _: b"one"), Peer(lambda _: b"two"):
        (found,) = ask_all([("work", b"")], within_s=PATIENCE_S)
    assert found in (b"one", b"two")


@pytest.mark.usefixtures("bus")
def test_an_empty_answer_is_one():
    with Peer(lambda _: b""):
        assert ask_all([("work", b"")], within_s=PATIENCE_S) == [b""]


def test_nothing_to_ask_asks_nobody():
    assert ask_all([], within_s=1) == []
