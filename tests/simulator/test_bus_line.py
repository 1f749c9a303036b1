"""The line over a real NATS server: what is told is told in riskportal's words, and nothing is told to nobody."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from bus.nats import NatsConnection
from devtools.nats_server import NatsServer
from feeds.published import read_message, read_tick
from riskcore.flow import CloseStatus, Fill, OrderClosed
from riskcore.report import PnlReport, PositionsReport
from simulator.bus_line import CHECK, BusLine
from simulator.desks import Desk
from simulator.line import Away, Refused
from simulator.market import Quote
from simulator.orders import SELL, Closed, End
from simulator.orders import Fill as Sold
from tests.support.nats import nats_client
from tests.support.patience import PATIENCE_S, eventually

FILL = Sold("f1", "o1", "d", "X", SELL, Decimal("2.50"), Decimal(100), Decimal("0.125"), 1_700_000_000_000_001)
END = Closed("o1", "d", End.EXPIRED, 1_700_000_000_000_002)
NOW_US = 1_700_000_000_000_003


@pytest.fixture
async def line(nats_server: NatsServer) -> AsyncIterator[BusLine]:
    async with BusLine(NatsConnection(nats_server.url, name="simulator"), "the-key") as line:
        yield line


@pytest.fixture
async def client(nats_server: NatsServer) -> AsyncIterator[Client]:
    client = await nats_client(nats_server.url)
    yield client
    await client.close()


async def listening(client: Client, *subjects: str) -> list[Msg]:
    heard: list[Msg] = []

    async def hear(message: Msg) -> None:
        heard.append(message)

    for subject in subjects:
        await client.subscribe(subject, cb=hear)
    await client.flush()
    return heard


def told_on(heard: list[Msg]) -> Counter[str]:
    return Counter(message.subject for message in heard)


async def until(look: Callable[[], object]) -> None:
    await eventually(look, "what is to be heard")


def statement() -> Any:
    desk = Desk("d", deposit=Decimal(1000))
    desk.take(FILL)
    return desk.statement({"X": Decimal(90)})


async def test_fills_and_ends_are_what_riskportal_reads(line, client):
    heard = await listening(client, "fills.confirmed", "orders.closed")
    await line.events([FILL, END], statement(), NOW_US)
    await until(lambda: len(heard) == 2)
    fill, closed = (read_message(each.subject, each.data, now_us=NOW_US) for each in heard)
    assert isinstance(fill, Fill)
    assert (fill.fill_id, fill.order_id, fill.account_id, fill.symbol) == ("f1", "o1", "d", "X")
    assert [fill.signed, fill.price, fill.sent_at_us] == [Decimal("-2.5"), 100, FILL.at_us]
    assert json.loads(heard[0].data)["fee"] == "0.125"
    assert closed == OrderClosed(account_id="d", order_id="o1", status=CloseStatus.EXPIRED, sent_at_us=END.at_us)


async def test_a_snapshot_is_two_messages_of_one_moment(line, client):
    heard = await listening(client, "positions.update", "pnl.update")
    for _ in range(2):
        await line.state(statement(), NOW_US)
    await until(lambda: len(heard) == 4)
    heard.sort(key=lambda each: each.subject)
    pnl, pnl_2, positions, positions_2 = (read_message(each.subject, each.data, now_us=NOW_US) for each in heard)
    assert isinstance(positions, PositionsReport)
    assert isinstance(pnl, PnlReport)
    assert (pnl.equity, pnl.balance, pnl.margin_used) == (Decimal("1024.875"), Decimal("999.875"), Decimal("22.5"))
    (held,) = positions.positions.values()
    assert [held.symbol, held.quantity, held.entry_price, held.mark_price] == ["X", Decimal("-2.5"), 100, 90]
    assert positions.sent_at_us == pnl.sent_at_us == NOW_US
    assert positions_2 == positions
    assert pnl_2 == pnl
    said = json.loads(heard[0].data)
    assert Decimal(said["equity"]) == Decimal(said["balance"]) + Decimal(said["unrealized_pnl"])


async def test_numbers_follow_each_other_and_a_later_life_needs_none_of_the_one_before(client, nats_server):
    """It begins without, and goes on above: whichever of the two comes to riskportal is enough."""
    heard = await listening(client, "pnl.update", "positions.update")
    for _life in range(2):
        async with BusLine(NatsConnection(nats_server.url, name="simulator"), "the-key") as line:
            for _ in range(5):
                await line.state(statement(), NOW_US)
    await until(lambda: len(heard) == 20)
    for subject in ("pnl.update", "positions.update"):
        said = [json.loads(each.data) for each in heard if each.subject == subject]
        numbers = [each.get("sequence") for each in said]
        first, second = numbers[:5], numbers[5:]
        assert first[:3] == second[:3] == [None] * 3
        assert (first[4], second[4]) == (first[3] + 1, second[3] + 1)
        assert time.time() - 60 < first[3] <= second[3]


async def test_every_quote_is_a_tick(line, client):
    heard = await listening(client, "market.tick.>")
    quotes = [Quote("X", Decimal(bid), Decimal(bid + 1), Decimal(1), Decimal(1)) for bid in (99, 100)]
    await line.quotes(quotes, NOW_US)
    await until(lambda: len(heard) == 2)
    ticks = [read_tick(each.subject, each.data, now_us=NOW_US) for each in heard]
    assert [tick.price for tick in ticks] == [Decimal("99.5"), Decimal("100.5")]


async def test_what_nobody_listens_to_is_not_told(line, client):
    with pytest.raises(Away, match=r"nobody listens on fills\.confirmed, orders\.closed"):
        await line.events([FILL, END], statement(), NOW_US)
    await listening(client, "fills.confirmed")
    with pytest.raises(Away, match=r"nobody listens on orders\.closed:"):
        await line.events([FILL, END], statement(), NOW_US)
    await listening(client, "orders.closed")
    await line.events([FILL, END], statement(), NOW_US)
    with pytest.raises(Away, match=r"pnl\.update, positions\.update"):
        await line.state(statement(), NOW_US)


async def answered(line: BusLine, client: Client, body: bytes, headers: dict[str, str] | None = None) -> Any:
    """Ask about an order where this is the answer."""

    async def answer(message: Msg) -> None:
        asked.append(message)
        await client.publish(message.reply, body, headers=headers)

    asked: list[Msg] = []
    await client.subscribe(CHECK, cb=answer)
    await client.flush()
    decision = await line.check({"order_id": "o"})
    assert asked[0].headers == {"Authorization": "Bearer the-key"}
    assert asked[0].reply.startswith("_INBOX")
    return decision


async def test_an_order_is_asked_about_with_the_key(line, client):
    assert await answered(line, client, b'{"approved": true, "reason": null}') == {"approved": True, "reason": None}


async def test_a_block_that_comes_with_503_is_a_decision(line, client):
    headers = {"Nats-Service-Error-Code": "503", "Nats-Service-Error": "Service Unavailable"}
    decision = await answered(line, client, b'{"approved": false, "reason": "recovering"}', headers)
    assert decision["reason"] == "recovering"


async def test_a_wrong_key_is_refused(line, client):
    with pytest.raises(Refused, match="401"):
        await answered(line, client, b"{}", {"Nats-Service-Error-Code": "401"})


async def test_too_many_at_once_is_away(line, client):
    with pytest.raises(Away, match="429"):
        await answered(line, client, b"{}", {"Nats-Service-Error-Code": "429"})


async def test_where_nobody_answers_it_is_said(line):
    with pytest.raises(Away, match=r"nobody answers on risk\.check\.order: no gateway"):
        await line.check({"order_id": "o"})


async def test_an_answer_that_does_not_come_is_said(line, client, monkeypatch):
    monkeypatch.setattr("simulator.bus_line.TIMEOUT_S", 0.1)
    await listening(client, CHECK)
    with pytest.raises(Away, match=r"no answer from risk\.check\.order"):
        await line.check({"order_id": "o"})


async def test_commands_are_answered(nats_server, client):
    line = BusLine(NatsConnection(nats_server.url, name="simulator"), "the-key")

    async def answer(subject: str, payload: bytes) -> dict[str, str] | None:
        return None if payload == b"quiet" else {"heard": subject + payload.decode()}

    line.serve("execution.cancel_all", answer)
    async with line:
        reply = await client.request("execution.cancel_all", b"!", timeout=PATIENCE_S)
        assert json.loads(reply.data) == {"heard": "execution.cancel_all!"}
        with pytest.raises(nats.errors.TimeoutError):
            await client.request("execution.cancel_all", b"quiet", timeout=0.2)


async def test_nobody_makes_it_publish_where_he_likes(nats_server, client):
    line = BusLine(NatsConnection(nats_server.url, name="simulator"), "the-key")

    async def answer(_subject: str, _payload: bytes) -> dict[str, str]:
        return {}

    line.serve("execution.cancel_all", answer)
    heard = await listening(client, "fills.confirmed", "_INBOX.mine")
    async with line:
        await client.publish("execution.cancel_all", b"", reply="fills.confirmed")
        await client.publish("execution.cancel_all", b"", reply="_INBOX.mine")
        await until(lambda: heard)
    assert [message.subject for message in heard] == ["_INBOX.mine"]


@pytest.mark.fault
async def test_while_nats_is_away_everything_says_so_and_then_goes_on():
    with NatsServer() as server:
        async with BusLine(NatsConnection(server.url, name="simulator"), "the-key") as line:
            client = await nats_client(server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.05)
            heard = await listening(client, "fills.confirmed", "orders.closed")
            await line.events([FILL, END], statement(), NOW_US)
            await until(lambda: told_on(heard) == {"fills.confirmed": 1, "orders.closed": 1})
            server.kill()
            for call in (lambda: line.events([FILL], statement(), NOW_US), lambda: line.check({})):
                with pytest.raises(Away, match=r"NATS|no answer"):
                    await call()
            server.start()
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    try:
                        await line.events([FILL, END], statement(), NOW_US)
                        break
                    except Away:
                        await asyncio.sleep(0.05)
            # The listener may have come back to one subject before the other: what is told again may be told twice.
            await until(lambda: all(told >= 2 for told in told_on(heard).values()))
            await client.close()


async def test_where_nats_is_not_there_from_the_start_it_says_so():
    async with BusLine(NatsConnection("nats://127.0.0.1:1", name="simulator"), "the-key") as line:
        with pytest.raises(Away, match="NATS cannot be reached"):
            await line.state(statement(), NOW_US)
