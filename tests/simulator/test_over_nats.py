"""The simulated world and a whole riskportal, over a real NATS: in the end both hold the same.

Gateway and feeds are processes of their own, on a Redis, a PostgreSQL and a NATS of their own.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import nats
import pytest

from bench.installation import Installation, Rows
from bench.machine import ROOT
from bench.processes import Process
from bus.nats import NatsConnection
from devtools.nats_server import NatsServer
from devtools.servers import PostgresServer, RedisServer
from riskcore.case import decode_state
from riskcore.ports import AccountQuery, Load
from simulator.amounts import text
from simulator.bus_line import PROGRESS
from simulator.execution import CANCEL_ALL, CLOSE_ALL, Command
from simulator.market import MadeMarket, Quote
from simulator.oms import Oms
from simulator.peer import Plan, Reach, connected
from state.redis_store import RedisStore
from tests.races.houses import new_database
from tests.support.patience import PATIENCE_S, PATIENT, REDIS_S

pytestmark = [pytest.mark.slow, pytest.mark.fault]

ACCOUNTS = ("desk-1", "desk-2", "desk-3")
ALL = Command(CLOSE_ALL, "all")


@dataclass
class House:
    """A riskportal whose orders and feeds come over NATS."""

    installation: Installation
    key: str
    nats: NatsServer
    store: RedisStore


@pytest.fixture(scope="module")
def _house(postgres_server: PostgresServer) -> Iterator[House]:
    with ExitStack() as stack:
        redis, server = stack.enter_context(RedisServer()), stack.enter_context(NatsServer())
        installation = Installation(
            database_url=stack.enter_context(new_database(postgres_server)),
            redis_url=redis.url,
            nats_url=server.url,
            settings=PATIENT,
        )
        stack.callback(installation.close)
        accounts = [{"account_id": account_id, "profile": "aggressive"} for account_id in ACCOUNTS]
        key = installation.found(Rows(accounts=accounts)).key
        for role in ("gateway", "feeds"):
            command = [sys.executable, "-m", "riskportal.serve", role]
            stack.enter_context(Process(role, command, installation.environment, says="connected to NATS"))
        store = RedisStore(redis.url, timeout_s=REDIS_S)
        stack.callback(store.close)
        yield House(installation, key, server, store)


@pytest.fixture
def house(_house: House) -> House:
    _house.nats.start()
    return _house


class Halting(MadeMarket):
    """A made-up market that can be brought to a stand."""

    stands = False

    def step(self, seconds: float) -> Any:
        if self.stands:
            return list[Quote]()
        return super().step(seconds)


@dataclass
class Peer:
    """An OMS that trades, and its market."""

    oms: Oms
    market: Halting
    said: list[str]

    def working(self) -> int:
        return self.oms.working(ALL)

    def books(self) -> dict[str, dict[str, Any]]:
        """What every account holds, as text; `open`: what is left of each order in the market."""
        venue = self.oms._venue
        return {
            each.account_id: {
                "equity": text(each.equity),
                "balance": text(each.balance),
                "margin_used": text(each.margin_used),
                "positions": {held.symbol: text(held.quantity) for held in each.positions},
                "open": {order.order_id: text(venue.left(order)) for order in venue.working(each.account_id)},
            }
            for each in self.oms.statements()
        }


@asynccontextmanager
async def trading(house: House, *, rate: float = 40.0) -> AsyncIterator[Peer]:
    """An OMS that has begun to trade."""
    said: list[str] = []
    made: list[Halting] = []

    def make_market(generator: random.Random) -> Halting:
        made.append(Halting(generator))
        return made[0]

    plan, stop = Plan(ACCOUNTS, rate), threading.Event()
    reach = Reach(house.key, bus=NatsConnection(house.nats.url, name="simulator"))
    async with connected(plan, reach, say=said.append, make_market=make_market) as oms:
        running = asyncio.create_task(oms.run(stop))
        try:
            await until(lambda: oms.tally.fills > 30 or running.done(), "fills")
            yield Peer(oms, made[0], said)
        finally:
            stop.set()
            await running


async def until(look: Any, what: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not look():  # noqa: ASYNC110 - there is no event for everything that a test waits for
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {PATIENCE_S:.0f} s: {what}") from None


def held_by(store: RedisStore) -> dict[str, dict[str, Any]]:
    """What riskportal has of every account, in the form of `Peer.books`."""
    views = store.load(Load(accounts=tuple(AccountQuery(account_id=each) for each in ACCOUNTS))).accounts
    found = {}
    for view in views:
        state = decode_state(view.state or b"")
        found[view.account_id] = {
            "equity": plain(state.equity),
            "balance": plain(state.balance),
            "margin_used": plain(state.margin_used),
            "positions": {held.symbol: plain(held.quantity) for held in state.positions.values()},
            "open": {one.order_id: plain(one.quantity) for one in store.reservations(view.account_id)},
        }
    return found


def plain(value: Decimal) -> str:
    return format(value.normalize(), "f") if value else "0"


def normal(books: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same without trailing zeros."""

    def one(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: one(each) for name, each in value.items()}
        return plain(Decimal(value))

    return {account_id: one(fields) for account_id, fields in books.items()}


async def agree(house: House, peer: Peer) -> None:
    """Stop the desks and the market, and wait until riskportal holds what the peer does."""
    peer.oms.hold()
    peer.market.stands = True
    await until(lambda: peer.oms.is_quiet, "everything is told")
    deadline = time.monotonic() + PATIENCE_S
    while True:
        # Orders end by time meanwhile, so that the books are looked at on both sides of the other look.
        ours, theirs, again = peer.books(), await asyncio.to_thread(held_by, house.store), peer.books()
        if normal(ours) == theirs == normal(again):
            return
        assert time.monotonic() < deadline, (normal(ours), theirs)
        await asyncio.sleep(0.1)


async def test_riskportal_comes_to_hold_what_the_peer_does(house):
    async with trading(house) as peer:
        tally = peer.oms.tally
        await until(lambda: tally.approved > 50 and tally.blocked["policy_violation"], "orders")
        await agree(house, peer)
        assert tally.lost == 0
        assert all(held["positions"] for held in peer.books().values())
    # Those that worked to the end are cancelled, and nothing is held for them any more.
    await until(lambda: not any(held["open"] for held in held_by(house.store).values()), "no reservations")
    assert peer.said == []


async def test_it_goes_on_where_it_was_when_nats_was_killed(house):
    async with trading(house) as peer:
        house.nats.kill()
        await until(lambda: peer.oms.trouble, "the loss of NATS")
        await asyncio.sleep(1.5)  # orders fill and end meanwhile, of which nobody hears
        before = peer.oms.tally.approved
        house.nats.start()
        await until(lambda: peer.oms.tally.approved > before + 30, "orders after NATS came back")
        await agree(house, peer)
    assert [line.partition(":")[0] for line in peer.said][:2] == ["riskportal is away", "riskportal answers again"]


async def test_a_stop_ends_flat_however_often_it_is_said(house):
    client = await nats.connect(house.nats.url)
    heard: list[dict[str, Any]] = []

    async def hear(message: Any) -> None:
        heard.append(json.loads(message.data))

    async def say(subject: str, **fields: Any) -> dict[str, Any]:
        body = {"stop_id": "0190-stop", "account_id": "", "scope": {"type": "global"}, **fields}
        answer: dict[str, Any] = json.loads(
            (await client.request(subject, json.dumps(body).encode(), timeout=PATIENCE_S)).data
        )
        return answer

    await client.subscribe(PROGRESS, cb=hear)
    async with trading(house) as peer:
        held = peer.oms.held(ALL)
        cancelled = await say(CANCEL_ALL)
        assert (cancelled["stop_id"], cancelled["remaining"]) == ("0190-stop", 0)
        assert (await say(CANCEL_ALL))["orders_canceled"] == cancelled["orders_canceled"]
        await asyncio.gather(*(say(CLOSE_ALL) for _ in range(5)))
        await until(lambda: not peer.oms.held(ALL), "flat")
        peer.oms.hold()
        last = await say(CLOSE_ALL)
        assert (last["remaining"], last["positions_closed"] >= len(held)) == (0, True)
        await agree(house, peer)
        assert {name: (books["positions"], books["open"]) for name, books in held_by(house.store).items()} == {
            account_id: ({}, {}) for account_id in ACCOUNTS
        }
        await until(lambda: heard and heard[-1]["remaining"] == 0 and heard[-1]["command"] == "close_all", "progress")
    await client.close()
    assert {"stop_id", "orders_canceled", "positions_closed", "remaining", "rejects"} <= heard[-1].keys()


def until_decided(house: House, orders: int) -> None:
    """Wait until so many more orders are decided: nobody drains the journal here."""
    before, deadline = house.store.journal_length(0), time.monotonic() + PATIENCE_S
    while house.store.journal_length(0) < before + orders:
        assert time.monotonic() < deadline, "it does not trade"
        time.sleep(0.1)


def test_the_command_trades_over_nats_and_says_what_it_did(house):
    command = [sys.executable, "manage.py", "simulate", "--accounts", ",".join(ACCOUNTS), "--rate", "40", "--json"]
    environment = {**house.installation.environment, "RISK_SIMULATOR_KEY": house.key}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            until_decided(house, 100)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert house.nats.url.partition("@")[2] in err
    assert house.nats.url.partition("@")[0].rpartition(":")[2] not in err, "the password is nobody's business"
    said = json.loads(out)
    assert said["approved"] > 20
    assert said["lost"] == 0
    ours = {name: {"equity": each["equity"], "positions": each["positions"]} for name, each in said["accounts"].items()}
    ends = said["filled"] + said["cancelled"] + said["expired"]
    assert ends == said["approved"]
    deadline = time.monotonic() + PATIENCE_S
    while True:
        theirs = held_by(house.store)
        found = {name: (each["equity"], each["positions"]) for name, each in normal(ours).items()}
        if found == {name: (each["equity"], each["positions"]) for name, each in theirs.items()}:
            break
        assert time.monotonic() < deadline, (found, theirs)
        time.sleep(0.1)
    assert not any(each["open"] for each in theirs.values())
