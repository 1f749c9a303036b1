"""What an OMS says of an emergency stop: noted for whoever sees the stop through, or a dead letter."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from audit.acting import system
from bus.local import Broker, LocalConnection
from bus.nats import NatsConnection
from devtools.nats_server import NatsServer
from emergency import progress
from emergency.notes import StopNote, decode, encode
from emergency.words import Command, Trigger
from emergency.work import Progress, ProgressNote
from feeds.books import CompiledBooks
from feeds.dead_letters import DeadLetters, NotReplayed, do_replay_dead_letter
from feeds.intake import Outcome
from feeds.listener import Listener
from feeds.models import DeadLetter
from riskcore.ports import StopScope
from riskcore.types import TradingState
from state.async_memory_store import AsyncMemoryStore
from state.memory_store import MemoryStore
from tests.feeds.test_listener import with_book
from tests.support.patience import PATIENCE_S, eventually

pytestmark = pytest.mark.django_db(transaction=True)

SUBJECT = "execution.progress"
STOP = "01a1fef2-cf88-7641-9189-bac8ce18d6e9"
GOOD: dict[str, Any] = {
    "stop_id": STOP,
    "account_id": "desk-1",
    "command": "close_all",
    "orders_canceled": 2,
    "positions_closed": 1,
    "remaining": 3,
    "rejects": 4,
    "reject_reasons": {"not_reducing": 4},
    "timestamp": 1_760_000_000_000_000,
}


@pytest.fixture(autouse=True)
def called(monkeypatch) -> list[str]:
    """How often a worker was called."""
    found: list[str] = []
    monkeypatch.setattr(progress, "unwind_soon", lambda: found.append("called"))
    monkeypatch.setattr(progress, "_called_s", -1_000.0)
    return found


@pytest.fixture
def live() -> MemoryStore:
    """A live state with one stop."""
    store = MemoryStore()
    with_book(store)
    note = StopNote(
        id=STOP,
        scope=StopScope.GLOBAL,
        scope_id="",
        state=TradingState.HALTED,
        reason="a test",
        triggered_by="alice",
        trigger=Trigger.PERSON,
        unwind=True,
        actor="alice",
        asked_at_us=1,
    )
    store.put_stop_notes({note.name: encode(note)})
    return store


def noted(store: MemoryStore) -> list[ProgressNote]:
    return [note for note in decode(store.stop_notes()) if isinstance(note, ProgressNote)]


async def hear(store: MemoryStore, *payloads: bytes) -> None:
    """Let a listener hear messages, and end."""
    broker, told, letters = Broker(), asyncio.Event(), DeadLetters()
    connection, sender = LocalConnection(broker), LocalConnection(broker)
    listener = Listener(connection, AsyncMemoryStore(store), store, CompiledBooks(), letters)
    running = asyncio.create_task(listener.run(told, grace_s=PATIENCE_S))
    await connection.until_up()
    sender.start()
    for payload in payloads:
        assert await sender.publish(SUBJECT, payload)
    told.set()
    await running
    await sender.close()


def said(**what: Any) -> bytes:
    return json.dumps({**GOOD, **what}).encode()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        said(stop_id=7),
        said(stop_id="life"),
        said(stop_id="01a1fef2-cf88-7641-9189-000000000000"),
        said(account_id=None),
        said(account_id=""),
        said(command="sell_all"),
        said(remaining=-1),
        said(remaining=None),
        said(reject_reasons={"x" * 201: 1}),
    ],
)
async def test_what_is_not_understood_is_a_dead_letter(live, called, payload):
    await hear(live, payload)
    (letter,) = await asyncio.to_thread(lambda: list(DeadLetter.objects.all()))
    assert (letter.subject, bytes(letter.payload)) == (SUBJECT, payload)
    assert noted(live) == []
    assert called == []


async def test_what_is_understood_is_noted_and_a_worker_is_called(live, called):
    await hear(live, said())
    expected = Progress(orders_canceled=2, positions_closed=1, remaining=3, rejects={"not_reducing": 4})
    (found,) = noted(live)
    assert (found.account_id, found.command, found.progress) == ("desk-1", Command.CLOSE_ALL, expected)
    assert called == ["called"]


async def test_the_last_word_on_each_account_counts_and_workers_are_called_now_and_then(live, called):
    await hear(live, *(said(remaining=remaining) for remaining in range(20, -1, -1)), said(account_id="desk-2"))
    assert sorted((each.account_id, each.progress.remaining) for each in noted(live)) == [("desk-1", 0), ("desk-2", 3)]
    assert len(called) < 22


def test_a_dead_letter_may_be_taken_once_its_stop_is_known(live):
    letter = DeadLetter.objects.create(subject=SUBJECT, payload=said(), error="?", received_at="2026-01-01T00:00Z")
    what: dict[str, Any] = {"acting": system("olga"), "reason": "it is known now", "books": CompiledBooks()}
    with pytest.raises(NotReplayed, match="there is no stop"):
        do_replay_dead_letter(letter.pk, store=without_stop(), **what)
    assert do_replay_dead_letter(letter.pk, store=live, **what) is Outcome.TAKEN


def without_stop() -> MemoryStore:
    store = MemoryStore()
    with_book(store)
    return store


async def test_over_nats_as_well(live, nats_server: NatsServer):
    nats_server.start()
    told = asyncio.Event()
    connection, sender = (NatsConnection(nats_server.url, name=name) for name in ("listener", "sender"))
    listener = Listener(connection, AsyncMemoryStore(live), live, CompiledBooks(), DeadLetters())
    running = asyncio.create_task(listener.run(told, grace_s=PATIENCE_S))
    sender.start()
    await asyncio.wait_for(asyncio.gather(connection.until_up(), sender.until_up()), PATIENCE_S)
    assert await sender.publish(SUBJECT, said())
    await eventually(lambda: noted(live), "the progress")
    told.set()
    await running
    await sender.close()
