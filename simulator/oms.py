"""A simulated order management system: reports its desks, asks before every order, fills some, cancels the rest."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from simulator.desks import Desk
from simulator.flow import Flow, Ticket
from simulator.link import Away, Link, Refused
from simulator.market import Market

PRICE_EVERY_S = 0.25
STATE_EVERY_S = 1.0

_FILLED = 0.65  # of the approved orders; the rest is cancelled
_WORKS_S = 3.0  # how long an order works, on average
_TRIES_S = 20.0  # how long an outcome is asked for after the line broke

Say = Callable[[str], None]

T = TypeVar("T")


@dataclass
class Tally:
    """What has happened so far."""

    sent: int = 0
    approved: int = 0
    filled: int = 0
    cancelled: int = 0
    lost: int = 0
    blocked: Counter[str] = field(default_factory=Counter)

    def line(self) -> str:
        """Return the tally in a line for people."""
        why = ", ".join(f"{reason} {count}" for reason, count in self.blocked.most_common())
        return (
            f"{self.sent} orders: {self.approved} approved ({self.filled} filled, {self.cancelled} cancelled), "
            f"{self.blocked.total()} blocked{f' ({why})' if why else ''}, {self.lost} without an answer"
        )


class Oms:
    """Trades for some accounts at `rate` orders a second through one link, until stopped.

    `say` is told, once each time, when riskportal goes away, comes back or refuses a request.
    """

    def __init__(self, link: Link, accounts: Sequence[str], *, rate: float, say: Say, seed: int | None = None) -> None:
        generator = random.Random(seed)
        self.tally = Tally()
        self._link, self._rate, self._say = link, rate, say
        self._random = generator
        self._market = Market(generator)
        self._flow = Flow(generator, self._market)
        self._desks = [Desk(account_id) for account_id in accounts]
        self._reporting = {desk.account_id: asyncio.Lock() for desk in self._desks}
        self._working: dict[str, Ticket] = {}
        self._problem = ""
        for desk in self._desks:
            self._flow.seed(desk)

    async def run(self, stop: threading.Event, seconds: float | None = None) -> None:
        """Trade until `stop` is set, or for so many seconds."""
        until = None if seconds is None else asyncio.get_running_loop().time() + seconds
        # Orders come after the first reports: before those, nothing is known that they could be checked on.
        await self._tried(self._link.put_prices(self._market.prices()))
        await asyncio.gather(*(self._report(desk) for desk in self._desks))
        loops = [asyncio.create_task(each) for each in (self._quote(), self._report_all(), self._trade())]
        try:
            while not stop.is_set() and (until is None or asyncio.get_running_loop().time() < until):
                await asyncio.sleep(0.1)
                for task in loops:
                    if task.done():
                        task.result()  # a loop ends by an error alone: let it be seen
        finally:
            for task in loops:
                task.cancel()
            await asyncio.gather(*loops, return_exceptions=True)

    async def _quote(self) -> None:
        while True:
            self._market.step(PRICE_EVERY_S)
            await self._tried(self._link.put_prices(self._market.prices()))
            await asyncio.sleep(PRICE_EVERY_S)

    async def _report_all(self) -> None:
        while True:
            await asyncio.gather(*(self._report(desk) for desk in self._desks))
            await asyncio.sleep(STATE_EVERY_S)

    async def _report(self, desk: Desk) -> bool:
        # One report at a time for each desk, or an older one might arrive last.
        async with self._reporting[desk.account_id]:
            state = desk.report(self._market.prices())
            return await self._tried(self._link.put_state(desk.account_id, state))

    async def _trade(self) -> None:
        async with asyncio.TaskGroup() as orders:
            while True:
                await asyncio.sleep(self._random.expovariate(self._rate))
                orders.create_task(self._order(self._random.choice(self._desks)))

    async def _order(self, desk: Desk) -> None:
        """Ask for one order, and do what an OMS does after the answer."""
        working = {
            ticket.symbol: ticket.side for ticket in self._working.values() if ticket.account_id == desk.account_id
        }
        ticket = self._flow.ticket(desk, working)
        self.tally.sent += 1
        try:
            decision = await self._patiently(lambda: self._link.check(ticket.body()))
        except (Away, Refused):
            self.tally.lost += 1
            return
        if not decision["approved"]:
            self.tally.blocked[str(decision["reason"])] += 1
            return
        self.tally.approved += 1
        self._working[ticket.order_id] = ticket
        try:
            await asyncio.sleep(self._random.expovariate(1 / _WORKS_S))
            await self._close(desk, ticket)
        finally:
            del self._working[ticket.order_id]

    async def _close(self, desk: Desk, ticket: Ticket) -> None:
        """Fill or cancel an order. The position is reported before its reservation ends, so that no moment
        knows of neither."""
        if self._random.random() < _FILLED:
            self.tally.filled += 1
            desk.fill(ticket.symbol, ticket.signed, ticket.price or self._market.price(ticket.symbol))
            if not await self._report(desk):
                return  # its time will end it
        else:
            self.tally.cancelled += 1
        with contextlib.suppress(Away, Refused):
            await self._patiently(lambda: self._link.release(ticket.account_id, ticket.order_id))

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call again while riskportal is away: the order's id makes sure that it is decided once."""
        until = asyncio.get_running_loop().time() + _TRIES_S
        while True:
            try:
                answer = await call()
            except Away as problem:
                self._notice(f"away: {problem}")
                if asyncio.get_running_loop().time() > until:
                    raise
                await asyncio.sleep(0.5)
            except Refused as problem:
                self._notice(f"refused: {problem}")
                raise
            else:
                return answer

    async def _tried(self, call: Awaitable[None]) -> bool:
        """Make a call that comes again anyway; return whether it was taken."""
        try:
            await call
        except (Away, Refused) as problem:
            self._notice(f"{type(problem).__name__.lower()}: {problem}")
            return False
        self._notice("")
        return True

    def _notice(self, problem: str) -> None:
        """Tell of a change, not of every try."""
        if bool(problem) != bool(self._problem):
            self._say(f"riskportal is {problem}" if problem else "riskportal answers again")
        self._problem = problem


async def trade(
    url: str,
    key: str,
    accounts: Sequence[str],
    *,
    rate: float,
    say: Say,
    stop: threading.Event,
    seconds: float | None = None,
) -> Tally:
    """Run a market and an OMS against the riskportal at `url`, and return what happened."""
    async with Link(url, key) as link:
        oms = Oms(link, accounts, rate=rate, say=say)
        await oms.run(stop, seconds)
        return oms.tally
