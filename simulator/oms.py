"""A simulated order management system: reports its desks, asks before every order, and tells what becomes of them."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from simulator.desks import Desk, Statement
from simulator.execution import Command, Executor
from simulator.flow import Flow
from simulator.line import STATE_EVERY_S, Away, Checks, Clock, Line, Refused
from simulator.market import Quote
from simulator.orders import STRATEGY, Closed, End, Event, Order
from simulator.outbox import Outbox, Troubles
from simulator.tally import Tally
from simulator.venue import Venue

QUOTE_AGAIN_US = 1_000_000  # a price that has not moved is told again, or it would look old

_TRIES_S = 20.0  # how long an outcome is asked for after the line broke
_PAUSE_S = 0.5
_MOST_ASKED = 256
_LAST_ANSWERS_S, _LAST_WORDS_S = 2.0, 0.8  # how long orders under way, and what is left to tell, hold up the end

Say = Callable[[str], None]


class Oms:
    """Trades on a venue at `rate` orders a second, until stopped.

    Parameters
    ----------
    venue, flow
        What is traded, and what the desks want.
    line, checks
        Where riskportal is told, and where it is asked: one and the same, or two.
    say
        Told, once each time, when riskportal goes away, comes back or refuses something.
    """

    def __init__(
        self,
        venue: Venue,
        flow: Flow,
        line: Line,
        checks: Checks,
        *,
        rate: float,
        say: Say,
        generator: random.Random | None = None,
    ) -> None:
        self.tally = Tally()
        self.executor = Executor(self)
        self._venue, self._flow, self._line, self._checks, self._rate = venue, flow, line, checks, rate
        self._random = generator or random.Random()
        self._clock = Clock()
        self._troubles = Troubles(say)
        self._outbox = Outbox(line, venue, self._clock, self._troubles)
        self._asked: dict[str, Order] = {}
        self._recalled: set[str] = set()
        self._holds = False
        self._quoted_us: dict[str, int] = {}
        for desk in venue.desks.values():
            flow.begin(desk, self._clock())

    # ------------------------------------------------------------------------------------------ its whole life
    async def run(self, stop: threading.Event, seconds: float | None = None) -> None:
        """Trade until `stop` is set, the market ends, or for so many seconds; then cancel what still works."""
        loop = asyncio.get_running_loop()
        until = None if seconds is None else loop.time() + seconds
        loops = [asyncio.create_task(each) for each in (self._move(), self._report(), self._outbox.run())]
        trading = asyncio.create_task(self._trade())
        try:
            while not stop.is_set() and not self._venue.market.has_ended and (until is None or loop.time() < until):
                await asyncio.sleep(0.1)
                for task in (*loops, trading):
                    if task.done():
                        task.result()  # a loop ends by an error alone: let it be seen
        finally:
            await self._leave(loops, trading)

    def hold(self) -> None:
        """Send no more orders; those in the market work on."""
        self._holds = True

    @property
    def is_quiet(self) -> bool:
        """Whether no answer is awaited, and all that has happened was told."""
        return not self._asked and self._outbox.is_empty

    @property
    def trouble(self) -> str:
        """What is wrong between riskportal and us, empty where nothing is."""
        return self._troubles.text

    def statements(self) -> list[Statement]:
        """Return every desk's books at the present prices."""
        return [self._venue.statement(account_id) for account_id in self._venue.desks]

    async def _leave(self, loops: list[asyncio.Task[None]], trading: asyncio.Task[None]) -> None:
        """End in good order, soon: within three seconds also where riskportal does not answer."""
        self.hold()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_ANSWERS_S):
                while self._asked:  # noqa: ASYNC110 - it is no longer than this
                    await asyncio.sleep(0.02)
        await self.executor.end()
        for task in (trading, *loops):
            task.cancel()
        await asyncio.gather(trading, *loops, return_exceptions=True)
        self._happened(self._venue.cancel(self._venue.working(), self._clock()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._outbox.last_words()

    # ------------------------------------------------------------------------------------- market and accounts
    async def _move(self) -> None:
        """Let the market go on, and tell its prices."""
        loop = asyncio.get_running_loop()
        before = loop.time()
        while True:
            now_us, now = self._clock(), loop.time()
            quotes, events = self._venue.move(max(1e-6, now - before), now_us)
            before = now
            self._happened(events)
            told = [*self._silent({quote.symbol for quote in quotes}, now_us), *quotes]
            if told and await self._troubles.tried("prices", self._line.quotes(told, self._clock())):
                self._quoted_us |= {quote.symbol: now_us for quote in told}
            await asyncio.sleep(self._line.quote_every_s)

    def _silent(self, moved: set[str], now_us: int) -> list[Quote]:
        """Return the quotes that have not moved, nor were told, for a while."""
        return [
            quote
            for symbol, quote in self._venue.market.quotes.items()
            if symbol not in moved and now_us - self._quoted_us.get(symbol, 0) >= QUOTE_AGAIN_US
        ]

    async def _report(self) -> None:
        while True:
            await asyncio.gather(*(self._outbox.report(account_id) for account_id in self._venue.desks))
            await asyncio.sleep(STATE_EVERY_S)

    def _happened(self, events: Iterable[Event]) -> None:
        found = list(events)
        self.tally.note(found)
        self._outbox.put(found)

    # --------------------------------------------------------------------------------------------------- orders
    async def _trade(self) -> None:
        desks = list(self._venue.desks.values())
        async with asyncio.TaskGroup() as orders:
            while True:
                await asyncio.sleep(self._random.expovariate(self._rate))
                desk = self._random.choice(desks)
                if self._rests(desk.account_id):
                    continue
                if self._may_send(desk):
                    orders.create_task(self._order(desk))
                else:
                    self.tally.unsent += 1

    def _rests(self, account_id: str) -> bool:
        return self._holds or self.executor.rests(account_id)

    def _may_send(self, desk: Desk) -> bool:
        """Return whether there is anybody to ask: while there is trouble, one order at a time looks whether it is over.

        Before prices and the desk were told, nothing is known that an order could be checked on.
        """
        if not self._quoted_us or desk.account_id not in self._outbox.reported:
            return False
        return len(self._asked) < (1 if self._troubles else _MOST_ASKED)

    async def _order(self, desk: Desk) -> None:
        """Send a desk's next order; where only a smaller one may go, send that."""
        account_id = desk.account_id
        if self._rests(account_id):  # a command has come since the task was made
            return
        asked = [order for order in self._asked.values() if order.account_id == account_id]
        order = self._flow.order(desk, [*self._venue.working(account_id), *asked])
        decision = await self._send(order)
        if decision is not None and decision.get("decision") == "scale_down":
            smaller = self._flow.smaller(order, Decimal(decision["max_quantity"]))
            if smaller is not None and not self._rests(account_id):
                await self._send(smaller)

    async def _send(self, order: Order) -> dict[str, Any] | None:
        """Ask for an order and bring it to the market if it may go; return the decision, None where there is none."""
        self._asked[order.order_id] = order
        self.tally.sent += 1
        decision = None
        try:
            decision = await self._patiently(order)
        except (Away, Refused):
            return None
        finally:
            del self._asked[order.order_id]
            self._decided(order, decision)
        return decision

    def _decided(self, order: Order, decision: Mapping[str, Any] | None) -> None:
        """Do what an OMS does after an answer, or after none: what may be reserved for nothing is given back."""
        now_us = self._clock()
        recalled = order.order_id in self._recalled
        self._recalled.discard(order.order_id)
        if decision is None:
            self.tally.lost += 1
            self._happened([Closed(order.order_id, order.account_id, End.REJECTED, now_us)])
        elif not decision["approved"]:
            self.tally.blocked[str(decision["reason"])] += 1
            if decision["reason"] == "state_unavailable":  # it may have been written all the same
                self._happened([Closed(order.order_id, order.account_id, End.REJECTED, now_us)])
        else:
            self.tally.approved += 1
            if recalled:
                self._happened([Closed(order.order_id, order.account_id, End.CANCELLED, now_us)])
            else:
                self._happened(self._venue.place(order, now_us))

    async def _patiently(self, order: Order) -> dict[str, Any]:
        """Ask again while riskportal is away: the order's id makes sure that it is decided once."""
        until = asyncio.get_running_loop().time() + _TRIES_S
        while True:
            try:
                decision = await self._checks.check(order.body())
            except Away as problem:
                self._troubles.notice("checks", f"away: {problem}")
                if self._holds or asyncio.get_running_loop().time() > until:
                    raise
                await asyncio.sleep(_PAUSE_S)
            except Refused as problem:
                self._troubles.notice("checks", f"refused: {problem}")
                raise
            else:
                self._troubles.notice("checks", "")
                return decision

    # ----------------------------------------------------------------------------- the emergency stop's orders
    def accounts(self) -> frozenset[str]:
        """Return the accounts that are traded for here."""
        return frozenset(self._venue.desks)

    def recall(self, command: Command) -> int:
        """Take the command's orders out of the market, and those asked about on their way there; return how many."""
        working = [order for order in self._venue.working() if _covers(command, order)]
        self._happened(self._venue.cancel(working, self._clock()))
        self._recalled |= {order.order_id for order in self._asked.values() if _covers(command, order)}
        return len(working)

    def working(self, command: Command) -> int:
        """Return how many of the command's orders are in the market."""
        return sum(_covers(command, order) for order in self._venue.working())

    def held(self, command: Command) -> set[tuple[str, str]]:
        """Return account and symbol of the command's positions."""
        return {
            (desk.account_id, symbol)
            for desk in self._venue.desks.values()
            for symbol in desk.holdings
            if command.covers(desk.account_id, symbol, STRATEGY)
        }

    async def close(self, account_id: str, symbol: str, stop_id: str) -> str:
        """Send an order that closes a position, where none works; return why it was not sent to the market, else ""."""
        under_way = (*self._venue.working(account_id), *self._asked.values())
        if any(order.reduce_only and (order.account_id, order.symbol) == (account_id, symbol) for order in under_way):
            return ""
        if not self._venue.desks[account_id].quantity(symbol):
            return ""
        # What was cancelled just now must be known first: open orders of its side might close the position as well.
        if not await self._outbox.emptied(account_id):
            return "unreachable"
        decision = await self._send(self._flow.closing(self._venue.desks[account_id], symbol, stop_id))
        if decision is None:
            return "unreachable"
        return "" if decision["approved"] else str(decision["reason"])

    async def announce(self, progress: Mapping[str, Any]) -> None:
        """Tell how far a command has come; where nobody can be told, whoever gave it asks again."""
        with contextlib.suppress(Away, Refused):
            await self._line.progress({**progress, "timestamp": self._clock()})


def _covers(command: Command, order: Order) -> bool:
    return command.covers(order.account_id, order.symbol, STRATEGY)
