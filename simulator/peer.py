"""The simulated world put together, and tied to a riskportal over HTTP, over a bus, or over both."""

from __future__ import annotations

import random
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from bus.connection import Connection
from simulator.bus_line import BusLine
from simulator.desks import Desk
from simulator.execution import CANCEL_ALL, CLOSE_ALL, STOPS
from simulator.flow import Flow
from simulator.line import Checks, Line
from simulator.market import MadeMarket, Market
from simulator.oms import Oms, Say
from simulator.rest_line import RestLine
from simulator.venue import Venue


@dataclass(frozen=True)
class Plan:
    """What is to be simulated: desks by their accounts, orders a second, and a seed (None: another one each time)."""

    accounts: Sequence[str]
    rate: float
    seed: int | None = None


@dataclass(frozen=True)
class Reach:
    """Where riskportal is: by HTTP, over a bus, or both; then the bus has the feeds and HTTP is asked about orders.

    The bus is a connection that was not started yet.
    """

    key: str
    rest: str = ""
    bus: Connection | None = None


# Makes the market, from the generator that all else is drawn from as well.
MakeMarket = Callable[[random.Random], Market]


def new_oms(plan: Plan, line: Line, checks: Checks, *, say: Say, make_market: MakeMarket = MadeMarket) -> Oms:
    """Return an OMS for the plan's desks on a market of its own."""
    generator = random.Random(plan.seed)
    market = make_market(generator)
    flow = Flow(generator, market)
    venue = Venue(market, [Desk(account_id) for account_id in plan.accounts], name=f"sim-{flow.life}")
    return Oms(venue, flow, line, checks, rate=plan.rate, say=say, generator=generator)


@asynccontextmanager
async def connected(plan: Plan, reach: Reach, *, say: Say, make_market: MakeMarket = MadeMarket) -> AsyncIterator[Oms]:
    """Yield an OMS that is tied to the riskportal within `reach`; over a bus it does what an emergency stop asks."""
    async with AsyncExitStack() as stack:
        rest = await stack.enter_async_context(RestLine(reach.rest, reach.key)) if reach.rest else None
        if reach.bus is None:
            assert rest is not None, "riskportal is reached by HTTP or over a bus"
            yield new_oms(plan, rest, rest, say=say, make_market=make_market)
            return
        line = BusLine(reach.bus, reach.key)
        oms = new_oms(plan, line, rest or line, say=say, make_market=make_market)
        for subject in (CANCEL_ALL, CLOSE_ALL):
            line.serve(subject, oms.executor.hear)
        line.serve(STOPS, oms.executor.heed)
        await stack.enter_async_context(line)
        yield oms


async def trade(
    plan: Plan,
    reach: Reach,
    *,
    say: Say,
    stop: threading.Event,
    seconds: float | None = None,
    make_market: MakeMarket = MadeMarket,
) -> Oms:
    """Run an OMS until `stop`, the market's end, or for so many seconds; return it, with its tally and its books."""
    async with connected(plan, reach, say=say, make_market=make_market) as oms:
        await oms.run(stop, seconds)
        return oms
