"""What an emergency stop asks of the OMS: done once, told as it goes, and in the end flat."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from simulator import execution
from simulator.execution import CANCEL_ALL, CLOSE_ALL, Command, Unreadable, read_command
from simulator.line import Away
from simulator.oms import Oms
from simulator.orders import Closed, Fill
from tests.simulator.world import ACCOUNTS, Riskportal, StillMarket, new_oms
from tests.support.patience import PATIENCE_S, eventually


@pytest.fixture
def riskportal() -> Riskportal:
    return Riskportal()


@pytest.fixture
def market() -> StillMarket:
    return StillMarket()


@pytest.fixture
async def oms(riskportal: Riskportal, market: StillMarket) -> AsyncIterator[Oms]:
    """An OMS with positions, orders that wait in the market, and no further orders of its own."""
    oms = new_oms(riskportal, market, works_s=1000)
    stop = threading.Event()
    running = asyncio.create_task(oms.run(stop))
    await until(lambda: all(working(oms, account_id) > 3 for account_id in ACCOUNTS))
    oms.hold()
    await until(lambda: oms.is_quiet)
    yield oms
    stop.set()
    await running


async def until(look: Callable[[], object]) -> None:
    await eventually(look, "what the OMS is to do")


def everything(account_id: str = "") -> Command:
    return Command(CLOSE_ALL, "any", account_id)


def working(oms: Oms, account_id: str = "") -> int:
    return oms.working(everything(account_id))


async def say(oms: Oms, subject: str, stop_id: str = "stop-1", **fields: Any) -> dict[str, Any]:
    """Send a command and return the answer."""
    answer = await oms.executor.hear(subject, json.dumps({"stop_id": stop_id, **fields}).encode())
    assert answer is not None
    return dict(answer)


async def test_all_orders_are_cancelled_at_once_and_told(oms, riskportal):
    open_before = working(oms)
    answer = await say(oms, CANCEL_ALL)
    assert answer == {
        "stop_id": "stop-1",
        "account_id": None,
        "command": "cancel_all",
        "orders_canceled": open_before,
        "positions_closed": 0,
        "remaining": 0,
        "rejects": 0,
        "reject_reasons": {},
    }
    await until(lambda: riskportal.of("progress"))
    (progress,) = riskportal.of("progress")
    assert {**progress, "timestamp": 0} == {**answer, "timestamp": 0}
    assert progress["timestamp"] > 0
    await until(lambda: oms.is_quiet)
    assert sum(closed.end == "cancelled" for closed in riskportal.events_of(Closed)) >= open_before


async def test_a_command_that_is_sent_again_does_nothing_twice(oms, riskportal):
    first = await say(oms, CANCEL_ALL)
    await until(lambda: oms.is_quiet and riskportal.of("progress"))
    before = riskportal.count()["events"]
    assert [await say(oms, CANCEL_ALL) for _ in range(3)] == [first] * 3
    await asyncio.sleep(0.1)
    assert riskportal.count()["events"] == before
    assert len(riskportal.of("progress")) == 1


async def test_everything_is_closed_through_the_checks_with_reducing_orders(oms, riskportal):
    held = oms.held(everything())
    asked = len(riskportal.asked)
    await say(oms, CLOSE_ALL)
    await until(lambda: not oms.held(everything()))
    closing = riskportal.asked[asked:]
    assert {(order["account_id"], order["symbol"]) for order in closing} == held
    assert len(closing) == len(held)
    assert all(order["reduce_only"] and "price" not in order for order in closing)
    assert {order["stop_id"] for order in closing} == {"stop-1"}
    await until(lambda: riskportal.of("progress")[-1]["remaining"] == 0)
    last = riskportal.of("progress")[-1]
    assert (last["positions_closed"], last["rejects"]) == (len(held), 0)
    assert (await say(oms, CLOSE_ALL))["positions_closed"] == len(held)
    await asyncio.sleep(0.3)
    assert len(riskportal.asked) == asked + len(held)
    assert working(oms) == 0


async def test_what_is_too_large_for_the_market_is_closed_in_parts(riskportal):
    market = StillMarket(size=100)
    oms = new_oms(riskportal, market, accounts=["desk-1"])
    oms.hold()
    stop = threading.Event()
    running = asyncio.create_task(oms.run(stop))
    await until(lambda: "desk-1" in {statement.account_id for statement, _now in riskportal.of("state")})
    await say(oms, CLOSE_ALL)

    def refilled_and_flat() -> bool:
        for symbol, quote in list(market.quotes.items()):
            market.set(symbol, str(quote.bid), size=100)
        return not oms.held(everything())

    await until(refilled_and_flat)
    assert len(riskportal.events_of(Fill)) > 5
    assert len(riskportal.asked) == len({fill.symbol for fill in riskportal.events_of(Fill)})
    stop.set()
    await running


async def test_a_closing_order_that_is_blocked_is_tried_again_and_told(oms, riskportal):
    riskportal.blocks = "not_reducing"
    await say(oms, CLOSE_ALL)
    await until(lambda: riskportal.of("progress") and riskportal.of("progress")[-1]["rejects"] > 2)
    progress = riskportal.of("progress")[-1]
    assert progress["reject_reasons"] == {"not_reducing": progress["rejects"]}
    assert progress["remaining"] == len(oms.held(everything())) > 0
    riskportal.blocks = None
    await until(lambda: not oms.held(everything()))


async def test_a_command_that_is_sent_again_while_it_is_under_way_is_not_done_beside_itself(
    oms, riskportal, monkeypatch
):
    monkeypatch.setattr(execution, "_FIRST_PAUSE_S", PATIENCE_S)
    riskportal.blocks = "not_reducing"
    held, before = oms.held(everything()), len(riskportal.asked)
    for _ in range(10):
        await say(oms, CLOSE_ALL)
    await until(lambda: len(riskportal.asked) > before)
    await asyncio.sleep(0.05)
    assert len(riskportal.asked) - before == len(held)


async def test_what_was_cancelled_is_told_before_anything_is_closed(oms, riskportal):
    """Open orders of its side might close the position as well: the closing order would not be let go."""
    told: list[int] = []
    tell, answer = riskportal.events, riskportal.check

    async def events(*arguments):
        await asyncio.sleep(0.1)
        await tell(*arguments)

    async def check(order):
        told.append(len({closed.order_id for closed in riskportal.events_of(Closed)}))
        return await answer(order)

    riskportal.events, riskportal.check = events, check
    ended, open_before = len(riskportal.events_of(Closed)), working(oms, "desk-1")
    await say(oms, CLOSE_ALL, account_id="desk-1")
    await until(lambda: told)
    assert told[0] == ended + open_before


async def test_what_was_given_up_goes_on_when_it_is_sent_again(oms, riskportal, monkeypatch):
    monkeypatch.setattr(execution, "TRIES_S", 0.2)
    riskportal.blocks = "emergency_stop_active"
    await say(oms, CLOSE_ALL)
    await asyncio.sleep(0.5)
    asked = len(riskportal.asked)
    await asyncio.sleep(0.3)
    assert len(riskportal.asked) == asked
    riskportal.blocks = None
    await say(oms, CLOSE_ALL)
    await until(lambda: not oms.held(everything()))


@pytest.mark.parametrize(
    ("event", "goes_on"),
    [
        (b'{"event": "stop_lifted", "stop_id": "stop-1"}', False),
        (b'{"event": "stop_lifted", "stop_id": "stop-2"}', True),
        (b'{"event": "stop_engaged", "stop_id": "stop-1"}', True),
        (b"[]", True),
        (b"lifted", True),
    ],
)
async def test_what_a_stop_asked_for_is_left_off_when_that_is_lifted(oms, riskportal, event, goes_on):
    riskportal.blocks = "contention"
    held = oms.held(everything())
    await say(oms, CLOSE_ALL)
    await oms.executor.heed(execution.STOPS, event)
    await asyncio.sleep(0.05)
    riskportal.blocks = None
    asked = len(riskportal.asked)
    assert held
    if goes_on:
        await until(lambda: not oms.held(everything()))
    else:
        await asyncio.sleep(0.5)
        assert (len(riskportal.asked), oms.held(everything())) == (asked, held)


async def test_it_goes_on_when_riskportal_was_away(oms, riskportal):
    riskportal.problem = Away("gone")
    await say(oms, CLOSE_ALL)
    await asyncio.sleep(0.5)
    assert oms.held(everything())
    riskportal.problem = None
    await until(lambda: not oms.held(everything()))


async def test_an_account_is_left_alone_that_was_not_meant(oms):
    held, open_before = oms.held(everything("desk-2")), working(oms, "desk-2")
    await say(oms, CLOSE_ALL, account_id="desk-1")
    await until(lambda: not oms.held(everything("desk-1")))
    assert (oms.held(everything("desk-2")), working(oms, "desk-2")) == (held, open_before)
    assert working(oms, "desk-1") == 0


async def test_a_symbol_is_left_alone_that_was_not_meant(oms):
    others = {key for key in oms.held(everything()) if key[1] != "AAA"}
    await say(oms, CLOSE_ALL, scope={"type": "symbol", "id": "AAA"})
    await until(lambda: oms.held(everything()) == others)
    assert others


async def test_two_stops_are_two_commands(oms):
    await say(oms, CANCEL_ALL, "stop-1", account_id="desk-1")
    assert (await say(oms, CANCEL_ALL, "stop-1", account_id="desk-2"))["orders_canceled"] > 0
    assert (await say(oms, CANCEL_ALL, "stop-2", account_id="desk-1"))["orders_canceled"] == 0


async def test_an_account_of_another_oms_is_not_answered_for(oms):
    assert await oms.executor.hear(CANCEL_ALL, b'{"stop_id": "s", "account_id": "elsewhere"}') is None


async def test_an_order_that_is_being_asked_about_does_not_reach_the_market(riskportal):
    answer, waits = riskportal.check, asyncio.Event()

    async def check(order):
        asked.append(order["order_id"])
        await waits.wait()
        return await answer(order)

    asked: list[str] = []
    riskportal.check = check
    oms = new_oms(riskportal)
    running = asyncio.create_task(oms.run(threading.Event(), 2.0))
    await until(lambda: len(asked) > 3)
    await say(oms, CANCEL_ALL)
    before = list(asked)
    waits.set()
    await until(lambda: oms.is_quiet)
    ended = {closed.order_id: closed.end for closed in riskportal.events_of(Closed)}
    assert [ended[order_id] for order_id in before] == ["cancelled"] * len(before)
    assert asked == before, "a desk rests after a command"
    await running


async def test_an_order_that_was_about_to_be_asked_about_is_not_sent(riskportal):
    oms = new_oms(riskportal)
    sending = asyncio.create_task(oms._order(oms._venue.desks[ACCOUNTS[0]]))
    await say(oms, CANCEL_ALL)
    await sending
    assert riskportal.asked == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("", "body"),
        ("[]", "body"),
        ("{}", "stop_id"),
        ('{"stop_id": ""}', "stop_id"),
        ('{"stop_id": 7}', "stop_id"),
        ('{"stop_id": "s", "account_id": 7}', "account_id"),
        ('{"stop_id": "s", "scope": "global"}', "scope"),
        ('{"stop_id": "s", "scope": {"type": "planet"}}', "scope"),
        ('{"stop_id": "s", "scope": {"type": "symbol"}}', "scope.id"),
        ('{"stop_id": "s", "scope": {"type": "symbol", "id": 5}}', "scope.id"),
        ('{"stop_id": "s", "all": true}', "all"),
        ('{"stop_id": "' + "s" * 65 + '"}', "stop_id"),
        ("[" * 100_000, "body"),
    ],
)
async def test_what_is_no_command_is_refused_with_its_field(oms, riskportal, body, field):
    with pytest.raises(Unreadable):
        read_command(CANCEL_ALL, body.encode())
    answer = await oms.executor.hear(CANCEL_ALL, body.encode())
    assert answer["error"]["field"] == field
    assert answer["error"]["message"]
    assert working(oms) > 0


@pytest.mark.parametrize(
    ("scope", "scope_id", "meant"),
    [
        ("global", "", True),
        ("account", "desk-1", True),
        ("account", "desk-2", False),
        ("symbol", "AAA", True),
        ("symbol", "BBB", False),
        ("strategy", "simulated", True),
        ("strategy", "other", False),
        ("exchange", "anywhere", True),  # an order that names none may be there
    ],
)
def test_a_scope_is_as_in_a_stop(scope, scope_id, meant):
    assert Command(CANCEL_ALL, "s", "", scope, scope_id).covers("desk-1", "AAA", "simulated") is meant
