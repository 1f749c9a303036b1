"""The replay itself: quotes and trades in the order of the recording, through the doors of a running riskportal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from decimal import Decimal

from tests.races.client import Answer, Client, Door, connected
from tests.replay.capture import SYMBOL, Tick, Trade
from tests.replay.desks import Desk, Fate, assignments, desks

SEED = 20240808

# Orders that wait for an account's earlier ones; beyond it the recording waits.
_WAITING = 4
_ORDERS_A_REPORT = 12
_REPORT_S = 1.5
_QUOTE_S = 0.5


@dataclass
class Session:
    """What was sent and what came back.

    `trades` and `answers` by order_id; `quotes` by the stamp that was sent with them; `ticks` is how many were
    read, of which only those are sent that change the price or keep it fresh.
    """

    desks: list[Desk]
    trades: dict[str, Trade] = field(default_factory=dict)
    fates: dict[str, Fate] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    quotes: dict[int, Decimal] = field(default_factory=dict)
    ticks: int = 0


class Replay:
    """Replays events: orders over one connection for each account, quotes over one of their own.

    `checks` is the door of the orders; reports, quotes and releases go through `rest`.
    """

    def __init__(self, checks: Door, rest: Door, key: str) -> None:
        self.session = Session(desks(SEED))
        self._checks, self._rest, self._key = checks, rest, key
        self._mark = Decimal(0)
        self._quoted_at = 0.0
        self._sent_us = 0

    async def run(self, events: Iterable[Tick | Trade]) -> Session:
        """Replay all events and return what happened."""
        queues: list[asyncio.Queue[Trade | None]] = [asyncio.Queue(_WAITING) for _ in self.session.desks]
        async with AsyncExitStack() as stack:
            quoting, *lines = await stack.enter_async_context(connected([self._rest] * (1 + len(queues)), self._key))
            asking = await stack.enter_async_context(connected([self._checks] * len(queues), self._key))
            async with asyncio.TaskGroup() as tasks:
                for desk, queue, ask, line in zip(self.session.desks, queues, asking, lines, strict=True):
                    tasks.create_task(self._trade(desk, queue, ask, line))
                await self._feed(events, queues, quoting)
        return self.session

    async def _feed(
        self, events: Iterable[Tick | Trade], queues: list[asyncio.Queue[Trade | None]], quoting: Client
    ) -> None:
        """Send each quote that matters before the trade that follows it, and hand the trades to the desks."""
        taking = assignments(len(queues), SEED)
        tick: Tick | None = None
        for event in events:
            if isinstance(event, Tick):
                self.session.ticks += 1
                tick = event
                continue
            if tick is not None and (tick.mid != self._mark or time.monotonic() - self._quoted_at > _QUOTE_S):
                await self._quote(tick, quoting)
            await queues[next(taking)[event.side]].put(event)
        for queue in queues:
            await queue.put(None)

    async def _quote(self, tick: Tick, client: Client) -> None:
        """Report a price with the exchange's stamp: as far ahead of our clock as it was of the recorder's."""
        self._sent_us = max(self._sent_us + 1, _now_us() + tick.ahead_us)
        self._mark, self._quoted_at = tick.mid, time.monotonic()
        self.session.quotes[self._sent_us] = tick.mid
        price = {"symbol": SYMBOL, "price": str(tick.mid), "timestamp": self._sent_us}
        await accepted(client.ask("PUT", "/risk/prices", {"prices": [price]}))

    async def _trade(self, desk: Desk, queue: asyncio.Queue[Trade | None], ask: Client, line: Client) -> None:
        """Work through an account's trades, one after the other, and report what came of them now and then."""
        reported_at, since = 0.0, _ORDERS_A_REPORT
        while (trade := await queue.get()) is not None:
            if since >= _ORDERS_A_REPORT or time.monotonic() - reported_at > _REPORT_S:
                await self._report(desk, line)
                reported_at, since = time.monotonic(), 0
            order, fate = desk.order(trade, _now_us())
            answer = await ask.check(order)
            since += 1
            self.session.trades[trade.trade_id] = trade
            self.session.fates[trade.trade_id] = fate
            self.session.answers[trade.trade_id] = answer
            if answer.approved:
                desk.approved(trade, fate)
        await self._report(desk, line)

    async def _report(self, desk: Desk, line: Client) -> None:
        """Report the state first and release after it, so that no moment knows of neither."""
        over = desk.take_over()
        state = desk.report(self._mark, _now_us())
        await accepted(line.ask("PUT", f"/risk/accounts/{desk.account_id}/state", state))
        for order_id in over:
            path = f"/risk/reservations/{order_id}?account_id={desk.account_id}&reason=over"
            await accepted(line.ask("DELETE", path, {}))


async def accepted(asking: Awaitable[Answer]) -> None:
    """Wait for an answer that says yes."""
    answer = await asking
    assert answer.status == 200, (answer.status, answer.body)


def _now_us() -> int:
    return time.time_ns() // 1000
