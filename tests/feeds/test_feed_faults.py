"""The feeds as a process: what is frozen blocks, a server that comes back is caught up with, nothing counts twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

import nats
import pytest
from nats.aio.client import Client as Nats

from bench.doors import ASGI, door
from bench.installation import Installation, Rows
from bench.processes import Process
from devtools.nats_server import NatsServer
from devtools.servers import PostgresServer, RedisServer
from riskcore.case import decode_state
from riskcore.ports import AccountQuery, Load
from state.redis_store import RedisStore
from tests.races.client import Client, Door, connected
from tests.races.houses import new_database
from tests.support.patience import PATIENCE_S, PATIENT, REDIS_S, eventually

pytestmark = pytest.mark.fault

MAX_AGE_S = 2.0
CLOCK_TOLERANCE_S = 2.0  # of which a message may be late before its sender's clock counts
SYMBOL = "BTCUSDT"


@dataclass
class House:
    """riskportal behind one HTTP door, fed over NATS."""

    key: str
    checks: Door
    nats: NatsServer
    store: RedisStore
    feeds: Process


@pytest.fixture(scope="module")
def house(postgres_server: PostgresServer) -> Iterator[House]:
    with ExitStack() as stack:
        redis, server = stack.enter_context(RedisServer()), stack.enter_context(NatsServer())
        settings = {**PATIENT, "RISK_STATE_MAX_AGE": f"{MAX_AGE_S}s", "RISK_PRICE_MAX_AGE": f"{MAX_AGE_S}s"}
        installation = Installation(
            database_url=stack.enter_context(new_database(postgres_server)),
            redis_url=redis.url,
            nats_url=server.url,
            settings=settings,
        )
        stack.callback(installation.close)
        key = installation.found(Rows(accounts=[{"account_id": "A", "profile": "aggressive"}])).key
        asgi = stack.enter_context(door(ASGI, installation.environment))
        command = [sys.executable, "-m", "riskportal.serve", "feeds"]
        feeds = stack.enter_context(Process("feeds", command, installation.environment, says="connected to NATS"))
        store = RedisStore(redis.url, timeout_s=REDIS_S)
        stack.callback(store.close)
        yield House(key, Door(asgi.port), server, store, feeds)


@dataclass
class Custodian:
    """What is true of the account, and what is told of it, ten times a second. `frozen` feeds tell nothing.

    `told_at` has when each feed told something for the last time, in seconds since the epoch.
    """

    url: str
    held: int = 0
    trades: bool = True
    frozen: set[str] = field(default_factory=set)
    told_at: dict[str, float] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(time.time_ns() // 1000))

    async def run(self) -> None:
        client = await nats.connect(
            self.url, max_reconnect_attempts=-1, reconnect_time_wait=0, error_cb=_forget, allow_reconnect=True
        )
        try:
            while True:
                if self.trades:
                    await self._trade(client)
                await self._report(client)
                await asyncio.sleep(0.1)
        finally:
            await client.close()

    async def _trade(self, client: Nats) -> None:
        """A fill, which is told twice or, while the server is away, perhaps not at all."""
        self.held += 1
        fill = {
            "fill_id": str(next(self._numbers)),
            "order_id": "sent-by-hand",
            "account_id": "A",
            "symbol": SYMBOL,
            "side": "BUY",
            "quantity": 1,
            "price": 1,
        }
        for _ in range(2):
            await self._tell(client, "fills.confirmed", fill)

    async def _report(self, client: Nats) -> None:
        held = [{"symbol": SYMBOL, "quantity": self.held, "entry_price": 1}]
        positions = {"account_id": "A", "positions": held, "sequence": next(self._numbers)}
        await self._tell(client, "positions.update", positions)
        money = {"account_id": "A", "equity": 10**9, "margin_used": 0, "sequence": next(self._numbers)}
        await self._tell(client, "pnl.update", money)
        await self._tell(client, f"market.tick.{SYMBOL}", {"symbol": SYMBOL, "price": 1})

    async def _tell(self, client: Nats, subject: str, payload: dict[str, Any]) -> None:
        feed = subject.split(".", maxsplit=1)[0]
        if feed in self.frozen:
            return
        self.told_at[feed] = time.time()
        with contextlib.suppress(nats.errors.Error, OSError):
            stamped = {**payload, "timestamp": time.time_ns() // 1000}
            await client.publish(subject, json.dumps(stamped).encode())


async def _forget(_error: Exception) -> None:
    """What is lost on the way is the test's business, not the client's."""


@asynccontextmanager
async def fed(house: House) -> AsyncIterator[tuple[Custodian, Client]]:
    """A custodian that tells of the account, and a client that asks; the account is fresh."""
    house.nats.start()
    custodian = Custodian(house.nats.url)
    telling = asyncio.create_task(custodian.run())
    try:
        async with connected([house.checks], house.key) as (client,):
            # What approves may be what another test has told.
            await eventually(lambda: custodian.told_at.keys() >= {"positions", "pnl", "market"}, "the first report")
            await until(lambda: reason(client), None)
            yield custodian, client
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


_orders = count()


async def decided(client: Client) -> dict[str, Any]:
    """Ask about a small order."""
    answer = await client.check(
        {"order_id": f"o{next(_orders)}", "account_id": "A", "symbol": SYMBOL, "side": "BUY", "quantity": 1, "price": 1}
    )
    assert answer.status == 200
    return answer.decision


async def reason(client: Client) -> str | None:
    """Ask about a small order and give why it is blocked, None where it is not."""
    found: str | None = (await decided(client))["reason"]
    return found


async def until(look: Callable[[], Any], wanted: Any) -> None:
    """Look until it is so."""
    began = time.monotonic()
    while (found := await look()) != wanted:
        assert time.monotonic() - began < PATIENCE_S, f"{found} is not {wanted}"
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("feed", "blocked"),
    [("pnl", "stale_account_state"), ("positions", "stale_account_state"), ("market", "price_unavailable")],
)
async def test_a_frozen_feed_blocks_in_the_configured_time_and_no_sooner(house: House, feed: str, blocked: str) -> None:
    async with fed(house) as (custodian, client):
        custodian.frozen.add(feed)
        decisions: list[dict[str, Any]] = []

        async def ask() -> str | None:
            oldest = min(custodian.told_at.values())  # on a slow machine another may have been silent for as long
            decisions.append(await decided(client))
            if not decisions[-1]["approved"]:
                assert decided_at(decisions[-1]) - oldest >= MAX_AGE_S
            return str(decisions[-1]["reason"])

        await until(ask, blocked)
        approved = [decided_at(each) for each in decisions if each["approved"]]
        assert max(approved, default=0) - custodian.told_at[feed] <= MAX_AGE_S + CLOCK_TOLERANCE_S
        custodian.frozen.clear()
        await until(lambda: reason(client), None)


async def test_a_server_that_was_killed_is_caught_up_with_and_nothing_counts_twice(house: House) -> None:
    async with fed(house) as (custodian, client):
        await asyncio.to_thread(house.nats.kill)
        await until(lambda: reason(client), "stale_account_state")  # REST goes on answering
        await asyncio.to_thread(house.nats.start)
        await until(lambda: reason(client), None)
        await assert_nothing_counts_twice(house, custodian)


async def test_feeds_that_were_killed_come_back_to_the_same(house: House) -> None:
    async with fed(house) as (custodian, client):
        await asyncio.to_thread(house.feeds.kill)
        await until(lambda: reason(client), "stale_account_state")
        await asyncio.to_thread(house.feeds.start)
        await until(lambda: reason(client), None)
        await assert_nothing_counts_twice(house, custodian)


def decided_at(decision: dict[str, Any]) -> float:
    """Return when it was decided, by riskportal's clock, which is this machine's: in seconds since 1970."""
    return datetime.fromisoformat(decision["timestamp"]).timestamp()


async def assert_nothing_counts_twice(house: House, custodian: Custodian) -> None:
    """Once the snapshots have caught up, fills alone go on for a while; then what is held is what is known."""
    await until(lambda: same(house, custodian), True)
    custodian.frozen.add("positions")
    await asyncio.sleep(0.5)
    custodian.trades = False
    await until(lambda: same(house, custodian), True)
    await asyncio.sleep(0.3)
    assert await same(house, custodian)


async def same(house: House, custodian: Custodian) -> bool:
    """Whether exactly what is held is known here."""
    (view,) = house.store.load(Load(accounts=(AccountQuery(account_id="A"),))).accounts
    assert view.state is not None
    return int(decode_state(view.state).positions[SYMBOL].quantity) == custodian.held
