"""Order flow nobody invented, over NATS: asked about at the gateway, filled and closed through the feeds.

In the order of the recording, shuffled within a second, and with messages that come twice, every account comes to
the same: what an independent reading of the recording says. Of the recording as it is all rows are told, of the
others RISK_TEST_FLOW_ROWS (15,000 of 50,414; 0 for all).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from bench.installation import Installation, Rows
from bench.processes import Process
from devtools.nats_server import NatsServer
from devtools.servers import PostgresServer, RedisServer
from riskcore.case import decode_state
from riskcore.ledger import decode_ledger
from riskcore.ports import AccountQuery, Load
from state.redis_store import RedisStore
from tests.races.houses import SETTINGS, new_database
from tests.replay import order_flow
from tests.replay.order_flow import CHECK, SYMBOL, Message, Outcome, Session, account_ids, shuffled, with_twins
from tests.support.patience import REDIS_S

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(order_flow.missing()), reason=order_flow.missing()),
]

WANTED = int(os.environ.get("RISK_TEST_FLOW_ROWS", "15000")) or None
PATIENCE_S = 120.0
MARK = Decimal("236.47")


@dataclass
class House:
    """A riskportal whose orders and feeds come over NATS."""

    key: str
    nats: NatsServer
    store: RedisStore


def rows() -> Rows:
    """One wide profile and no limits but its own: what is looked at is what is counted, not what is refused."""
    profile = {
        "name": "wide",
        "allowed_leverage": "100",
        "max_single_trade_risk": "1",
        "max_daily_loss": "1",
        "max_weekly_loss": "1",
        "max_open_positions": 10,
    }
    accounts = [{"account_id": account_id, "profile": "wide"} for account_id in account_ids()]
    return Rows(defaults=False, profiles=[profile], accounts=accounts)


@pytest.fixture
def house(postgres_server: PostgresServer) -> Iterator[House]:
    with ExitStack() as stack:
        redis, server = stack.enter_context(RedisServer()), stack.enter_context(NatsServer())
        installation = Installation(
            database_url=stack.enter_context(new_database(postgres_server)),
            redis_url=redis.url,
            nats_url=server.url,
            settings=SETTINGS,
        )
        stack.callback(installation.close)
        key = installation.found(rows()).key
        for role in ("gateway", "feeds"):
            command = [sys.executable, "-m", "riskportal.serve", role]
            stack.enter_context(Process(role, command, installation.environment, says="connected to NATS"))
        store = RedisStore(redis.url, timeout_s=REDIS_S)
        stack.callback(store.close)
        yield House(key, server, store)


@pytest.mark.parametrize("told", ["as it was recorded", "shuffled", "twice"])
def test_an_account_comes_to_the_same_however_it_is_told(house: House, told: str) -> None:
    random, recorded = Random(told), told == "as it was recorded"
    session = Session(order_flow.rows(None if recorded else WANTED))
    messages = session.messages
    if told == "shuffled":
        messages = shuffled(messages, random)
    if told == "twice":
        messages = with_twins(messages, random)
    reasons = asyncio.run(tell(house, messages))
    expected = picture(session.outcome)
    deadline = time.monotonic() + PATIENCE_S
    while (found := look(house.store)) != expected and time.monotonic() < deadline:
        time.sleep(0.2)
    assert found == expected
    if recorded:
        # A check may overtake the end of its order on the way, which then gives back what was reserved.
        assert reasons["duplicate_order"] <= len(session.outcome.never_open)
        assert set(reasons) <= {None, "duplicate_order"}


def test_the_recording_is_what_it_is_said_to_be() -> None:
    session = Session(order_flow.rows())
    kinds = Counter(message.subject for message in session.messages)
    assert kinds == {CHECK: 24_894, order_flow.FILL: 1_133, order_flow.CLOSE: 24_918}
    assert len(session.outcome.never_open) == 5


async def tell(house: House, messages: list[Message]) -> Counter[str | None]:
    """Tell every account its messages one after the other, all accounts beside each other; count the reasons."""
    client = await nats.connect(house.nats.url)
    end_ms = max(message.at_ms for message in messages)
    shift_ms = time.time_ns() // 1_000_000 - end_ms
    begin_ms = min(message.at_ms for message in messages) + shift_ms
    await publish(client, f"market.tick.{SYMBOL}", symbol=SYMBOL, price=str(MARK))
    for account_id in account_ids():
        await publish(client, "positions.update", account_id=account_id, positions=[], timestamp=begin_ms)
        money = {"equity": 10**9, "margin_used": 0, "timestamp": begin_ms}
        await publish(client, "pnl.update", account_id=account_id, **money)
    await asyncio.to_thread(until_fresh, house.store)
    reasons: Counter[str | None] = Counter()
    async with asyncio.TaskGroup() as tasks:
        for account_id in account_ids():
            own = [message for message in messages if message.account_id == account_id]
            tasks.create_task(tell_one(client, house.key, own, shift_ms, reasons))
    await client.drain()
    return reasons


async def tell_one(
    client: Client, key: str, messages: list[Message], shift_ms: int, reasons: Counter[str | None]
) -> None:
    for message in messages:
        if message.subject != CHECK:
            await publish(client, message.subject, **message.payload, timestamp=message.at_ms + shift_ms)
            continue
        decision = await ask(client, key, message)
        reasons[decision["reason"]] += 1


async def ask(client: Client, key: str, message: Message) -> dict[str, Any]:
    """Ask about an order, again where the moment was a bad one: on a slow machine Redis may not answer in time."""
    request = json.dumps(message.payload).encode()
    decision: dict[str, Any] = {}
    for _ in range(20):
        answer = await client.request(CHECK, request, timeout=PATIENCE_S, headers={"Authorization": f"Bearer {key}"})
        decision = json.loads(answer.data)
        assert "approved" in decision, decision
        if decision["reason"] not in ("state_unavailable", "contention", "recovering"):
            return decision
        await asyncio.sleep(0.1)
    raise AssertionError(f"asked about 20 times: {decision}")


async def publish(client: Client, subject: str, **payload: Any) -> None:
    await client.publish(subject, json.dumps(payload).encode())


def until_fresh(store: RedisStore) -> None:
    """Wait until every account and the price have come."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        states = [view.state for view in views(store)]
        if all(state and decode_state(state).received_at_us for state in states) and store.prices([SYMBOL]):
            return
        time.sleep(0.05)
    raise AssertionError("the first reports did not come")


def views(store: RedisStore) -> list[Any]:
    return list(store.load(Load(accounts=tuple(AccountQuery(account_id=each) for each in account_ids()))).accounts)


Picture = dict[str, tuple[Decimal, dict[str, Decimal], Decimal, Decimal, Decimal]]


def picture(outcome: Outcome) -> Picture:
    """By account: held, open orders, open buys and sells, and the exposure with all of them at the mark."""
    return {
        account_id: figures(outcome.held[account_id], outcome.open[account_id], account_id)
        for account_id in account_ids()
    }


def figures(
    held: Decimal, opened: dict[str, Decimal], account_id: str
) -> tuple[Decimal, dict[str, Decimal], Decimal, Decimal, Decimal]:
    total = sum(opened.values(), Decimal(0))
    buys, sells = (total, Decimal(0)) if account_id.startswith("bid") else (Decimal(0), total)
    return held, opened, buys, sells, max(abs(held + buys), abs(held - sells)) * MARK


def look(store: RedisStore) -> Picture:
    """The same as the live state has it."""
    found: Picture = {}
    for view in views(store):
        positions = decode_state(view.state).positions
        assert set(positions) <= {SYMBOL}
        held = positions[SYMBOL].quantity if positions else Decimal(0)
        reservations = {one.order_id: one.quantity for one in store.reservations(view.account_id)}
        sums = decode_ledger(view.ledger).open.get(SYMBOL)
        buys, sells = (sums.buy_quantity, sums.sell_quantity) if sums else (Decimal(0), Decimal(0))
        exposure = max(abs(held + buys), abs(held - sells)) * MARK
        found[view.account_id] = (held, reservations, buys, sells, exposure)
    return found
