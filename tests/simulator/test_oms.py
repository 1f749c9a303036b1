"""The simulated OMS against a riskportal made by hand: it reports first, asks, tells everything, and is patient."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from simulator import oms as module
from simulator.execution import CLOSE_ALL, Command
from simulator.line import Away, Clock, Refused
from simulator.oms import Oms
from simulator.orders import Closed, End, Fill
from tests.simulator.world import ACCOUNTS, Riskportal, StillMarket, new_oms
from tests.support.patience import PATIENCE_S, eventually

ALL = Command(CLOSE_ALL, "all")


@pytest.fixture
def riskportal() -> Riskportal:
    return Riskportal()


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """States are told twenty times as often, everything is tried again sooner, and the end waits for the last word."""
    monkeypatch.setattr(module, "STATE_EVERY_S", 0.05)
    monkeypatch.setattr(module, "_PAUSE_S", 0.05)
    monkeypatch.setattr(module, "_LAST_WORDS_S", PATIENCE_S)


@asynccontextmanager
async def trading(oms: Oms) -> AsyncIterator[None]:
    """It trades meanwhile, and has ended in good order after."""
    stop = threading.Event()
    running = asyncio.create_task(oms.run(stop))
    try:
        yield
    finally:
        stop.set()
        await running


async def run(oms: Oms, until: Callable[[], object] = lambda: True) -> None:
    """Let it trade for a moment, and for as long as something is wanting."""
    async with trading(oms):
        await asyncio.sleep(0.5)
        await eventually(until, "what it trades for")


async def test_it_reports_before_its_first_order(riskportal):
    seen: list[Counter[str]] = []
    answer = riskportal.check

    async def check(order):
        seen.append(riskportal.count())
        return await answer(order)

    riskportal.check = check
    await run(new_oms(riskportal))
    assert seen[0]["quotes"] >= 1
    assert seen[0]["state"] >= 1
    reported = {statement.account_id for statement, _now in riskportal.of("state")}
    assert reported == set(ACCOUNTS)


async def test_a_desk_that_could_not_be_reported_sends_no_orders(riskportal):
    tell = riskportal.state

    async def state(statement, now_us):
        if statement.account_id == "desk-2":
            raise Refused("404: no such account")
        await tell(statement, now_us)

    riskportal.state = state
    oms = new_oms(riskportal)
    await run(oms, lambda: riskportal.asked and oms.tally.unsent > 5)
    assert {order["account_id"] for order in riskportal.asked} == {"desk-1"}


async def test_every_order_ends_and_every_end_and_fill_is_told_once(riskportal):
    oms = new_oms(riskportal)
    tally = oms.tally
    await run(oms, lambda: tally.approved > 50 and min(tally.ends[end] for end in (End.FILLED, End.EXPIRED)) > 0)
    assert tally.sent == tally.approved
    ends = riskportal.events_of(Closed)
    assert Counter(closed.end for closed in ends) == +tally.ends
    assert {closed.order_id for closed in ends} == {order["order_id"] for order in riskportal.asked}
    assert len(ends) == tally.sent
    assert len({fill.fill_id for fill in riskportal.events_of(Fill)}) == len(riskportal.events_of(Fill)) == tally.fills
    assert tally.ends[End.CANCELLED] > 0, "what still worked at the end"


async def test_no_order_trades_more_than_it_was_approved_for(riskportal):
    await run(new_oms(riskportal, StillMarket(size=3)), lambda: riskportal.events_of(Fill))
    filled = Counter[str]()
    for fill in riskportal.events_of(Fill):
        filled[fill.order_id] += fill.quantity
    for order in riskportal.asked:
        assert filled[order["order_id"]] <= Decimal(order["quantity"])


async def test_a_snapshot_has_in_it_what_has_an_earlier_stamp_and_nothing_else(riskportal):
    oms = new_oms(riskportal)
    held = {account_id: dict[str, Decimal]() for account_id in ACCOUNTS}
    for statement in oms.statements():
        held[statement.account_id] = {position.symbol: position.quantity for position in statement.positions}
    await run(oms, lambda: len(riskportal.events_of(Fill)) > 10)
    fills = riskportal.events_of(Fill)
    for statement, now_us in riskportal.of("state"):
        own = [fill for fill in fills if fill.account_id == statement.account_id and fill.at_us < now_us]
        expected = Counter(held[statement.account_id])
        for fill in own:
            expected[fill.symbol] += fill.signed
        found = {position.symbol: position.quantity for position in statement.positions}
        assert found == {symbol: quantity for symbol, quantity in expected.items() if quantity}


async def test_blocked_orders_leave_nothing(riskportal):
    riskportal.blocks = "policy_violation"
    oms = new_oms(riskportal)
    await run(oms, lambda: oms.tally.sent)
    assert oms.tally.blocked == {"policy_violation": oms.tally.sent}
    assert riskportal.of("events") == []


async def test_what_may_have_been_reserved_for_a_block_is_given_back(riskportal):
    riskportal.blocks = "state_unavailable"
    oms = new_oms(riskportal)
    await run(oms, lambda: oms.tally.sent)
    assert len(riskportal.events_of(Closed)) == oms.tally.sent
    assert {closed.end for closed in riskportal.events_of(Closed)} == {End.REJECTED}


async def test_a_smaller_order_is_sent_where_that_may_go(riskportal):
    riskportal.blocks = "policy_violation"
    down = {"approved": False, "decision": "scale_down", "reason": "policy_violation", "max_quantity": "1.04"}
    riskportal.answers = [down]
    await run(new_oms(riskportal, accounts=["desk-1"], rate=5), lambda: len(riskportal.asked) > 1)
    first, second = riskportal.asked[:2]
    assert second["order_id"] != first["order_id"]
    assert (second["symbol"], second["side"]) == (first["symbol"], first["side"])
    assert Decimal(second["quantity"]) == 1


async def test_it_survives_that_riskportal_is_away_and_says_so_once(riskportal):
    said: list[str] = []
    riskportal.problem = Away("refused")
    oms = new_oms(riskportal, said=said)
    async with trading(oms):
        await eventually(lambda: oms.trouble == "away: refused" and oms.tally.unsent > 5, "the loss of riskportal")
        assert oms.tally.sent == 0  # nobody is there to ask
        riskportal.problem = None
        await eventually(lambda: oms.tally.approved > 10, "approvals")
    assert [text.split(":")[0] for text in said] == ["riskportal is away", "riskportal answers again"]


async def test_what_happens_while_riskportal_is_away_is_told_later(riskportal):
    oms = new_oms(riskportal, works_s=0.3)
    async with trading(oms):
        await eventually(lambda: oms.tally.fills and oms.working(ALL), "orders in the market")
        riskportal.problem = Away("gone")
        await eventually(lambda: oms.trouble and not oms.working(ALL), "ends that nobody hears of")
        riskportal.problem, sent = None, oms.tally.sent
        await eventually(lambda: oms.tally.sent > sent + 5, "orders after it came back")
    ends = [closed.order_id for closed in riskportal.events_of(Closed)]
    assert set(ends) == {order["order_id"] for order in riskportal.asked}
    assert len(riskportal.events_of(Fill)) == oms.tally.fills


async def test_an_order_is_asked_about_again_under_its_own_id_and_goes_once(riskportal):
    answer, asked = riskportal.check, []

    async def check(order):
        asked.append(order["order_id"])
        if len(asked) == 1:
            raise Away("the answer is lost")
        return await answer(order)

    riskportal.check = check
    await run(new_oms(riskportal, rate=10), lambda: len(asked) > 3)
    assert asked[0] == asked[1]
    assert len(set(asked)) == len(asked) - 1
    ends = [closed.order_id for closed in riskportal.events_of(Closed)]
    assert len(ends) == len(set(ends))


async def test_an_order_without_an_answer_gives_back_what_may_be_reserved(riskportal):
    async def check(order):
        asked.append(order["order_id"])
        raise Refused("400: no such field")

    asked: list[str] = []
    riskportal.check = check
    oms = new_oms(riskportal, rate=10)
    await run(oms, lambda: asked)
    assert oms.tally.lost == len(asked)
    assert {closed.order_id: closed.end for closed in riskportal.events_of(Closed)} == dict.fromkeys(
        asked, End.REJECTED
    )


async def test_an_order_that_is_asked_about_at_the_end_does_not_go(riskportal):
    async def check(order):
        asked.append(order["order_id"])
        await asyncio.sleep(60)

    asked: list[str] = []
    riskportal.check = check
    oms = new_oms(riskportal)
    await asyncio.wait_for(run(oms, lambda: asked), PATIENCE_S)
    assert {closed.order_id for closed in riskportal.events_of(Closed)} == set(asked)
    assert (oms.tally.fills, oms.tally.approved, oms.tally.lost) == (0, 0, len(asked))


async def test_no_order_is_cut_off_at_the_end(riskportal):
    """Also none that is sent at the very moment."""
    answer = riskportal.check

    async def check(order):
        for _ in range(20):
            await asyncio.sleep(0)
        return await answer(order)

    riskportal.check = check
    for seed in range(10):
        oms = new_oms(riskportal, rate=2000, seed=seed)
        await oms.run(threading.Event(), 0.01)
        assert oms.tally.lost == 0


async def test_at_the_end_orders_are_cancelled_and_the_last_state_is_told(riskportal):
    oms = new_oms(riskportal, works_s=3600)
    await run(oms, lambda: oms.tally.approved)
    assert len(riskportal.events_of(Closed)) == oms.tally.approved
    assert oms.is_quiet
    last = {statement.account_id: statement for statement, _now in riskportal.of("state")}
    assert list(last.values()) == oms.statements()


async def test_a_price_that_does_not_move_is_told_again(riskportal, monkeypatch):
    monkeypatch.setattr(module, "QUOTE_AGAIN_US", 100_000)
    began = time.monotonic()
    await run(new_oms(riskportal), lambda: quoted(riskportal)["AAA"] >= 5)
    assert quoted(riskportal)["AAA"] <= 2 + 10 * (time.monotonic() - began), "more often than it grows old"


def quoted(riskportal: Riskportal) -> Counter[str]:
    """Return how often the price of each symbol was told."""
    return Counter(quote.symbol for quotes in riskportal.of("quotes") for quote in quotes)


async def test_it_ends_with_its_market(riskportal):
    market = StillMarket()
    oms = new_oms(riskportal, market)
    running = asyncio.create_task(oms.run(threading.Event()))
    await asyncio.sleep(0.2)
    assert not running.done()
    market.has_ended = True
    await asyncio.wait_for(running, PATIENCE_S)


async def test_an_error_of_its_own_is_seen(riskportal):
    market = StillMarket()
    market.step = lambda _seconds: 1 / 0  # type: ignore[assignment, method-assign, return-value]
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(new_oms(riskportal, market).run(threading.Event()), PATIENCE_S)


def test_no_two_moments_are_the_same():
    clock = Clock()
    moments = [clock() for _ in range(10_000)]
    assert moments == sorted(set(moments))
