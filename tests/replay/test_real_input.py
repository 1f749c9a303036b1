"""Real input: a recorded market of 5.7 minutes, every trade an order, through the doors of a running riskportal.

RISK_TEST_DATA says where the recording is, RISK_TEST_REPLAY_TRADES how many of its trades are replayed (all).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from decimal import Decimal

import msgspec
import pytest
import uvloop

from bench.doors import ASGI, WSGI, door
from bench.installation import Installation
from devtools.servers import PostgresServer, RedisServer
from tests.races.client import Door, connected
from tests.races.houses import new_database
from tests.replay import capture
from tests.replay.capture import SYMBOL, TICKS, TRADES, Tick, Trade
from tests.replay.desks import LAPSE_S, Fate
from tests.replay.proof import Exceeded, prove
from tests.replay.records import Records, read
from tests.replay.rules import GROUPS, rows
from tests.replay.session import Replay, Session, accepted
from tests.support.patience import PATIENT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(capture.missing()), reason=capture.missing()),
]

WANTED = int(os.environ.get("RISK_TEST_REPLAY_TRADES", TRADES))
PRICE_MAX_AGE_S = 4


@dataclass
class House:
    """The running riskportal of the replay: checks by the raw door, all else by the documented one."""

    key: str
    checks: Door
    rest: Door
    installation: Installation


@pytest.fixture(scope="module")
def house(postgres_server: PostgresServer) -> Iterator[House]:
    """riskportal on a Redis and a database of its own."""
    settings = {**PATIENT, "RISK_PRICE_MAX_AGE": f"{PRICE_MAX_AGE_S}s"}
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer())
        database_url = stack.enter_context(new_database(postgres_server))
        installation = Installation(database_url=database_url, redis_url=redis.url, settings=settings)
        stack.callback(installation.close)
        key = installation.found(rows()).key
        checks, rest = (stack.enter_context(door(kind, installation.environment)) for kind in (ASGI, WSGI))
        yield House(key=key, checks=Door(checks.port), rest=Door(rest.port), installation=installation)


@pytest.fixture(scope="module")
def session(house: House) -> Session:
    """The replay, done once."""
    return uvloop.run(Replay(house.checks, house.rest, house.key).run(some_events()))


@pytest.fixture(scope="module")
def records(house: House, session: Session) -> Records:
    """What riskportal has kept of it, once the journal is drained."""
    house.installation.run("-m", "bench.drain", "empty")
    return read(house.installation.environment["DATABASE_URL"])


def some_events() -> Iterator[Tick | Trade]:
    """Yield the recording up to the last trade that is wanted."""
    left = WANTED
    for event in capture.events():
        left -= isinstance(event, Trade)
        if left < 0:
            return
        yield event


def test_the_whole_recording_was_replayed(session):
    if WANTED < TRADES:
        pytest.skip(f"RISK_TEST_REPLAY_TRADES: only {WANTED} trades")
    assert (len(session.trades), session.ticks) == (TRADES, TICKS)


def test_every_row_was_decided(session):
    assert {answer.status for answer in session.answers.values()} == {200}
    assert session.answers.keys() == session.trades.keys()
    assert len(session.answers) == min(WANTED, TRADES)


def test_the_database_has_every_decision_once(session, records):
    told = {answer.decision["decision_id"] for answer in session.answers.values()}
    kept = Counter(each.decision_id for each in records.decisions)
    assert kept == Counter(told)
    assert records.rejects == 0
    said = {answer.decision["decision_id"]: answer.decision for answer in session.answers.values()}
    for each in records.decisions:
        answer = dict(said[each.decision_id])
        del answer["processing_time_us"]
        assert answer == each.answer, each.decision_id


def test_no_limit_was_exceeded_at_any_moment(records):
    outcomes = prove(records)
    assert outcomes.total() == len(records.decisions)


def test_the_limits_really_bound(records):
    outcomes = Counter(each.reason or "approved" for each in records.decisions)
    share = 1 - outcomes["approved"] / outcomes.total()
    assert 0.05 < share < 0.6, outcomes
    broken = Counter(each["metric"] for kept in records.decisions for each in kept.answer["violations"])
    if WANTED == TRADES:
        assert {"policy_violation", "self_match", "insufficient_margin"} <= outcomes.keys()
        assert len(broken) >= 6, broken


def test_the_proof_notices_an_approval_too_many(records):
    """Of every kind of block, the first one in the records passed off as an approval."""
    tried = set()
    for place, kept in enumerate(records.decisions):
        if kept.approved or kept.reason in tried:
            continue
        tried.add(kept.reason)
        forged = [*records.decisions[:place], kept.but(approved=True)]
        with pytest.raises(Exceeded, match=kept.decision_id):
            prove(replace(records, decisions=[each for each in forged if each.account_id == kept.account_id]))
    assert "policy_violation" in tried


def test_the_proof_notices_a_block_too_many(records):
    place = next(place for place, kept in enumerate(records.decisions) if kept.approved)
    forged = records.decisions[place].but(approved=False)
    with pytest.raises(Exceeded, match=forged.decision_id):
        prove(replace(records, decisions=[*records.decisions[:place], forged]))


def test_every_approval_was_reserved_and_its_reservation_ended(house, session, records):
    asked = {each.order_id: each for each in records.decisions}
    for order_id, answer in session.answers.items():
        kept = asked[order_id]
        if not answer.approved:
            assert answer.decision["reservation"] is None
            continue
        assert answer.decision["reservation"]["id"] == kept.decision_id
        # What was filled or closed was released; what nobody spoke of ran out.
        assert (kept.decision_id in records.ended_us) is (session.fates[order_id] is not Fate.LAPSED), order_id
    assert session.answers.keys().isdisjoint(uvloop.run(left_over(house)))


async def left_over(house: House) -> set[str]:
    """Return the orders that hold a reservation when the last one of the replay has run out."""
    await asyncio.sleep(LAPSE_S)
    async with connected([house.rest], house.key) as (client,):
        answer = await client.ask("GET", "/risk/reservations", {})
    return {held["order_id"] for held in msgspec.json.decode(answer.body)["results"]}


def test_decisions_were_taken_on_what_was_reported(session, records):
    """Each state is one that its OMS sent, never an older one than before; each price is the recording's."""
    reports = {desk.account_id: desk.reports for desk in session.desks}
    last = Counter[str]()
    for kept in records.decisions:
        state = kept.inputs["state"]
        sent = reports[kept.account_id][state["sequence"]]
        assert state["sequence"] >= last[kept.account_id]
        last[kept.account_id] = state["sequence"]
        held = [position["quantity"] for position in state["positions"].values()]
        assert list(map(Decimal, held)) == [Decimal(position["quantity"]) for position in sent["positions"]]
        for name in ("equity", "margin_used"):
            assert Decimal(state[name]) == Decimal(sent[name])
        price, received_us, sent_us = kept.inputs["prices"][SYMBOL]
        assert Decimal(price) == session.quotes[sent_us]
        assert sent_us > received_us, "the exchange's clock is ahead of ours in this recording"


def test_every_decision_comes_out_the_same_again(house, records):
    said = house.installation.manage("verify_decisions", "--json").splitlines()
    verified = msgspec.json.decode(said[-1])
    assert verified["differing"] == 0, said[:5]
    assert verified["checked"] >= len(records.decisions)


def test_a_stamp_ahead_of_our_clock_makes_no_price_younger(house, records):
    """As in the recording, the exchange's stamp is 1.25 s ahead: the price grows old by our own clock."""
    assert uvloop.run(asked_before_and_after(house)) == [None, "price_unavailable"]


async def asked_before_and_after(house: House) -> list[str | None]:
    """Ask about an order on a new price, and again when it is older than prices may be."""
    account_id, reasons = GROUPS[0].accounts[0], []
    async with connected([house.rest, house.checks], house.key) as (rest, checks):
        now_us = time.time_ns() // 1000
        price = {"symbol": SYMBOL, "price": "61700", "timestamp": now_us + 1_250_000}
        state = {"equity": "40000", "margin_used": "0", "positions": [], "sequence": 1_000_000, "timestamp": now_us}
        await accepted(rest.ask("PUT", "/risk/prices", {"prices": [price]}))
        await accepted(rest.ask("PUT", f"/risk/accounts/{account_id}/state", state))
        for wait_s in (0.0, PRICE_MAX_AGE_S + 0.25):
            await asyncio.sleep(wait_s)
            order = {"order_id": f"after-{wait_s}", "account_id": account_id, "symbol": SYMBOL, "side": "BUY"}
            answer = await checks.check({**order, "quantity": "0.001", "price": "61700"})
            reasons.append(answer.decision["reason"])
    return reasons
