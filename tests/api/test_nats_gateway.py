"""The NATS door's own ways: headers, what it refuses when it has too much under way, and its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator

import nats.errors
import pytest

from api import metrics
from api.metrics import Result
from api.nats_gateway import BATCH as BATCH_SUBJECT
from api.nats_gateway import CHECK as CHECK_SUBJECT
from devtools.nats_server import NatsServer
from state.wiring import async_store
from tests.api.nats_door import ANSWER_S, NatsDoor
from tests.api.world import BATCH, CHECK, Answer, bearer, key_text, order


@pytest.fixture
def narrow_server() -> Iterator[NatsServer]:
    """A server that takes no longer messages than 64 kB."""
    with NatsServer(settings={"max_payload": "65536"}) as server:
        yield server


@pytest.fixture
def new_door(store, nats_server) -> Iterator[Callable[..., NatsDoor]]:
    """Call it for a gateway with its own bounds."""
    made: list[NatsDoor] = []

    def new(url: str = "", **bounds: int) -> NatsDoor:
        made.append(NatsDoor(url or nats_server.url, **bounds))
        return made[-1]

    yield new
    for door in made:
        door.close()


class Held:
    """The live state answers no load until it is let go."""

    def __init__(self, monkeypatch, door: NatsDoor) -> None:
        self.asked = 0
        self._go = asyncio.Event()
        store = door.run(self._store())
        self._load = store.load
        monkeypatch.setattr(store, "load", self._wait)

    def let_go(self) -> None:
        self._go.set()

    async def until_asked(self, times: int) -> None:
        async with asyncio.timeout(ANSWER_S):
            while self.asked < times:  # noqa: ASYNC110 - the store is asked by many
                await asyncio.sleep(0.005)

    async def _wait(self, load):
        self.asked += 1
        await self._go.wait()
        return await self._load(load)

    @staticmethod
    async def _store():
        return async_store()


def counted(result: Result) -> float:
    return float(metrics._by_result[result]._value.get())


def ask(door: NatsDoor, order_id: str) -> asyncio.Task[Answer]:
    return asyncio.create_task(door.ask(CHECK, json.dumps(order(order_id)).encode(), bearer()))


def test_a_plain_answer_has_no_headers(ready, new_door):
    assert new_door().post(CHECK, order()).headers == {}


def test_an_answer_that_is_none_says_so_as_nats_services_do(ready, new_door):
    answer = new_door().post(CHECK, b"{}")
    assert answer.headers["nats-service-error-code"] == "400"
    assert answer.headers["nats-service-error"] == "Bad Request"


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
def test_the_name_of_the_header_may_be_in_any_case(ready, new_door, name):
    assert new_door().post(CHECK, order(), {name: f"Bearer {key_text()}"}).status == 200


@pytest.mark.parametrize("reply", ["", "risk.check.order", "execution.cancel_all", "INBOX.a"])
@pytest.mark.parametrize("subject", [CHECK_SUBJECT, BATCH_SUBJECT])
@pytest.mark.parametrize("bounds", [{}, {"most_checks": 0, "most_batches": 0}], ids=["idle", "busy"])
def test_a_request_whose_answer_has_no_inbox_to_go_to_decides_nothing(ready, new_door, subject, reply, bounds):
    door = new_door(**bounds)
    before = counted(Result.MALFORMED)

    async def tell() -> None:
        body = order() if subject == CHECK_SUBJECT else {"orders": [order()]}
        await door.client.publish(subject, json.dumps(body).encode(), reply, bearer())
        await door.client.flush()
        async with asyncio.timeout(ANSWER_S):
            while counted(Result.MALFORMED) == before:  # noqa: ASYNC110 - nobody says so
                await asyncio.sleep(0.005)

    door.run(tell())
    assert ready.reservations("A") == ()
    assert ready.journal_length(0) == 0


def test_what_is_too_much_at_a_time_is_refused_at_once_with_a_block(ready, new_door, monkeypatch):
    door = new_door(most_checks=3)
    door.post(CHECK, order("warm", what_if=True))
    held = Held(monkeypatch, door)

    async def crowd() -> tuple[list[Answer], list[Answer]]:
        first = [ask(door, f"o-{number}") for number in range(3)]
        await held.until_asked(1)  # the checks of one account take turns
        refused = [await ask(door, f"late-{number}") for number in range(2)]
        held.let_go()
        return await asyncio.gather(*first), refused

    answered, refused = door.run(crowd())
    assert [answer.json["approved"] for answer in answered] == [True] * 3
    for answer in refused:
        assert (answer.status, answer.headers["retry-after"], answer.json["status"]) == (503, "1", 503)
        assert (answer.json["approved"], answer.json["reason"]) == (False, "state_unavailable")
        assert answer.json["code"] == "too_busy"
    assert [held.order_id for held in ready.reservations("A")] == ["o-0", "o-1", "o-2"]
    assert door.post(CHECK, order("late-0")).json["approved"]


def test_when_there_is_too_much_a_hostile_body_is_still_refused_for_what_it_is(ready, new_door):
    assert new_door(most_checks=0).post(CHECK, b"[" * 10_000).status == 400


def test_batches_that_are_too_much_are_refused_at_once(ready, new_door):
    answer = new_door(most_batches=0).post(BATCH, {"orders": [order()]})
    assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "too_busy", "1")
    assert ready.journal_length(0) == 0


def test_an_answer_that_is_too_long_says_so_and_comes_in_smaller_batches(ready, narrow_server, new_door):
    orders = [order(f"o-{number}", quantity="0.001") for number in range(100)]
    door = new_door(narrow_server.url)

    answer = door.post(BATCH, {"orders": orders})

    assert (answer.status, answer.json["code"]) == (413, "answer_too_large")
    assert len(ready.reservations("A")) == 100
    some = door.post(BATCH, {"orders": orders[:5]})
    assert [decision["approved"] for decision in some.json["decisions"]] == [True] * 5
    assert ready.journal_length(0) == 100


def test_at_the_end_what_was_taken_is_answered_and_no_more_is_taken(ready, new_door, monkeypatch):
    door = new_door()
    door.post(CHECK, order("warm", what_if=True))
    held = Held(monkeypatch, door)

    async def end() -> list[Answer]:
        taken = [ask(door, f"o-{number}") for number in range(5)]
        await held.until_asked(1)
        ended = asyncio.create_task(door.gateway.drain(ANSWER_S))
        await asyncio.sleep(0.05)
        held.let_go()
        assert await ended == 0
        with pytest.raises(nats.errors.NoRespondersError):
            await door.ask(CHECK, b"{}", bearer())
        return await asyncio.gather(*taken)

    assert [answer.json["approved"] for answer in door.run(end())] == [True] * 5


def test_what_takes_too_long_at_the_end_is_told(ready, new_door, monkeypatch):
    door = new_door()
    door.post(CHECK, order("warm", what_if=True))
    held = Held(monkeypatch, door)

    async def end() -> int:
        asked = ask(door, "o-1")
        await held.until_asked(1)
        left: int = await door.gateway.drain(0.05)
        held.let_go()
        await asked
        return left

    assert door.run(end()) == 1
