"""The listener on a real NATS server: every message once, bad ones kept, nothing lost while Redis is away."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from bus.nats import NatsConnection
from devtools.nats_server import NatsServer
from feeds.books import CompiledBooks
from feeds.dead_letters import DeadLetters
from feeds.listener import Listener
from feeds.models import DeadLetter
from riskcore.book import encode_book
from riskcore.case import decode_state
from riskcore.flow import decode_flow
from riskcore.ledger import encode_ledger
from riskcore.ports import AccountChange, AccountQuery, AccountView, Commit, Load
from state.async_memory_store import AsyncMemoryStore
from state.memory_store import MemoryStore
from state.redis_store import AsyncRedisStore, RedisStore
from state.store import AsyncStore, StateUnavailable, Store
from tests.riskcore import builders
from tests.support.patience import PATIENCE_S, REDIS_S, eventually

pytestmark = pytest.mark.django_db(transaction=True)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Desk:
    """A listener that runs, somebody who publishes to it, and a look at what became of it."""

    def __init__(self, url: str, store: Store, tasks_store: AsyncStore, letters: DeadLetters) -> None:
        self.store, self.letters = store, letters
        self.told = asyncio.Event()
        self.sender = NatsConnection(url, name="sender")
        self.connection = NatsConnection(url, name="listener")
        self.listener = Listener(self.connection, tasks_store, store, CompiledBooks(), letters)
        self.running: asyncio.Task[int] | None = None
        self.grace_s = PATIENCE_S

    async def start(self) -> None:
        self.running = asyncio.create_task(self.listener.run(self.told, grace_s=self.grace_s))
        self.sender.start()
        for connection in (self.sender, self.connection):
            await asyncio.wait_for(connection.until_up(), PATIENCE_S)

    async def end(self) -> int:
        self.told.set()
        assert self.running is not None
        return await self.running

    async def publish(self, subject: str, **fields: Any) -> None:
        assert await self.sender.publish(subject, json.dumps({"timestamp": now_ms(), **fields}).encode())

    def view(self, account_id: str = "A") -> AccountView:
        (found,) = self.store.load(Load(accounts=(AccountQuery(account_id=account_id, flow=True),))).accounts
        return found

    def quantity(self, key: str = "BTCUSDT") -> Decimal | None:
        content = self.view().state
        held = None if content is None else decode_state(content).positions.get(key)
        return None if held is None else held.quantity


def with_book(store: Store) -> None:
    store.restore(book_version=1, content=encode_book(builders.book()), stops=(), keys=b"[]")


@pytest.fixture(params=["memory", "redis"])
async def desk(request, nats_server: NatsServer) -> AsyncIterator[Desk]:
    nats_server.start()
    store: MemoryStore | RedisStore
    tasks_store: AsyncStore
    if request.param == "memory":
        store = MemoryStore()
        tasks_store = AsyncMemoryStore(store)
    else:
        url = request.getfixturevalue("clean_redis")
        store, tasks_store = RedisStore(url, timeout_s=REDIS_S), AsyncRedisStore(url, timeout_s=REDIS_S)
    with_book(store)
    found = Desk(nats_server.url, store, tasks_store, DeadLetters())
    await found.start()
    yield found
    if found.running is not None and not found.running.done():
        await found.end()
    await found.sender.close()
    await tasks_store.close()
    store.close()


def a_fill(number: int, quantity: int = 1, **what: Any) -> dict[str, Any]:
    return {
        "fill_id": f"f{number}",
        "order_id": "o",
        "account_id": "A",
        "symbol": "BTCUSDT",
        "side": "BUY",
        "quantity": quantity,
        "price": 100,
        **what,
    }


async def test_every_feed_reaches_its_account(desk):
    await desk.publish("positions.update", account_id="A", positions=[{"symbol": "BTCUSDT", "quantity": 2}])
    await desk.publish("pnl.update", account_id="A", equity="1000.50", margin_used=3)
    await eventually(lambda: desk.quantity() == 2, "the positions")
    await eventually(lambda: decode_state(desk.view().state).equity == Decimal("1000.5"), "the money")
    await desk.publish("fills.confirmed", **a_fill(1, timestamp=now_ms() + 1000))
    await eventually(lambda: desk.quantity() == 3, "the fill")
    await desk.publish("orders.closed", account_id="A", order_id="never-asked", status="cancelled")
    asked = AccountQuery(account_id="A", order_ids=("never-asked",))
    await eventually(lambda: desk.store.load(Load(accounts=(asked,))).accounts[0].tails, "the end of an order")


async def test_a_flood_with_every_message_twice_counts_once(desk):
    for number in range(300):
        for _ in range(2):
            await desk.publish("fills.confirmed", **a_fill(number))
    await eventually(lambda: desk.quantity() == 300, "300 fills")
    assert await desk.end() == 0
    assert desk.quantity() == 300


async def test_ticks_come_in_as_prices_the_newest_of_each_symbol(desk):
    at = now_ms()
    for step in range(200):
        await desk.publish("market.tick.BTCUSDT", symbol="BTCUSDT", price=f"{50_000 + step}.5", timestamp=at + step)
    await desk.publish("market.tick.BTCUSDT", symbol="BTCUSDT", price=1, timestamp=at - 1)
    await desk.publish("market.tick.BRK.B", symbol="BRK.B", price="300")
    await eventually(
        lambda: (
            {name: one.price for name, one in desk.store.prices(["BTCUSDT", "BRK.B"]).items()}
            == {"BTCUSDT": Decimal("50199.5"), "BRK.B": Decimal(300)}
        ),
        "the newest prices",
    )


async def test_one_bad_message_does_not_stop_the_feed_and_is_kept_with_its_error(desk):
    await desk.sender.publish("fills.confirmed", b'{"quantity":"NaN"}')
    await desk.sender.publish("market.tick.BTCUSDT", b"\xff\x00")
    await desk.publish("fills.confirmed", **a_fill(1))
    await eventually(lambda: desk.quantity() == 1, "the good one")
    await desk.end()
    letters = await asyncio.to_thread(lambda: list(DeadLetter.objects.order_by("subject")))
    assert [(one.subject, bytes(one.payload)) for one in letters] == [
        ("fills.confirmed", b'{"quantity":"NaN"}'),
        ("market.tick.BTCUSDT", b"\xff\x00"),
    ]
    assert "quantity: must be a number" in letters[0].error
    assert desk.letters.waiting == 0


async def test_a_fill_that_does_not_fit_its_order_is_kept_too(desk):
    held = builders.reservation(5, order_id="o")
    ledger = encode_ledger(builders.holding(held))
    change = AccountChange(account_id="A", expected_version=0, ledger=ledger, add=(held,))
    reload = Load(accounts=(AccountQuery(account_id="A"),))
    await asyncio.to_thread(desk.store.commit, Commit(expect=None, changes=(change,), journal=(), reload=reload))
    await desk.publish("fills.confirmed", **a_fill(1, side="SELL"))
    await desk.publish("fills.confirmed", **a_fill(2))
    await eventually(lambda: desk.quantity() == 1, "the one that fits")
    await desk.end()
    (letter,) = await asyncio.to_thread(lambda: list(DeadLetter.objects.all()))
    assert "but order o does not" in letter.error


async def test_what_is_said_of_an_account_that_nobody_knows_changes_nothing(desk):
    await desk.publish("pnl.update", account_id="stranger", equity=1, margin_used=0)
    await desk.publish("fills.confirmed", **a_fill(1))
    await eventually(lambda: desk.quantity() == 1, "the account that is known")
    await desk.end()
    assert desk.view("stranger").version == 0
    assert await asyncio.to_thread(DeadLetter.objects.count) == 0


async def test_an_account_is_heard_once_a_book_names_it(desk):
    content = encode_book(builders.book(version=2, accounts=(builders.account("A"), builders.account("new"))))
    await asyncio.to_thread(desk.store.publish_book, 2, content)

    async def told_of_it() -> bool:
        await desk.publish("pnl.update", account_id="new", equity=1, margin_used=0)
        await asyncio.sleep(0.05)
        return bool(desk.view("new").version)

    async with asyncio.timeout(PATIENCE_S):
        while not await told_of_it():
            pass


async def test_missing_numbers_are_no_reason_to_wait(desk):
    for sequence in (1, 2, 7):
        await desk.publish("pnl.update", account_id="A", equity=sequence, margin_used=0, sequence=sequence)
    await eventually(lambda: decode_flow(desk.view().flow).pnl.sequence == 7, "the newest")


async def test_messages_wait_while_the_live_state_is_away(nats_server):
    nats_server.start()
    store = MemoryStore()
    with_book(store)
    away = Away(store)
    desk = Desk(nats_server.url, store, away, DeadLetters())
    await desk.start()
    away.is_away = True
    for number in range(5):
        await desk.publish("fills.confirmed", **a_fill(number))
    await eventually(lambda: away.tried >= 2, "an attempt")
    assert desk.quantity() is None
    away.is_away = False
    await eventually(lambda: desk.quantity() == 5, "all of them")
    assert await desk.end() == 0
    await desk.sender.close()


async def test_what_there_is_no_time_for_is_said(nats_server):
    nats_server.start()
    store = MemoryStore()
    with_book(store)
    away = Away(store)
    desk = Desk(nats_server.url, store, away, DeadLetters())
    desk.grace_s = 0.05
    await desk.start()
    away.is_away = True
    await desk.publish("fills.confirmed", **a_fill(1))
    await eventually(lambda: away.tried, "an attempt")
    assert await desk.end() == 1
    await desk.sender.close()


class Away(AsyncMemoryStore):
    """A store that may be out of reach."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.is_away, self.tried = False, 0

    async def load(self, load: Load) -> Any:
        if self.is_away:
            self.tried += 1
            raise StateUnavailable("away")
        return await super().load(load)
