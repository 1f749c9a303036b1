"""What the tests of the OMS share: a riskportal made by hand, and a market that stands where it is put."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from simulator.desks import Desk, Statement
from simulator.flow import Flow
from simulator.line import Away, Refused
from simulator.market import Listing, Quote
from simulator.oms import Oms
from simulator.orders import Event
from simulator.venue import Venue

ACCOUNTS = ("desk-1", "desk-2")


class StillMarket:
    """Two symbols at prices that do not move until they are `set`."""

    def __init__(self, size: int = 1_000_000) -> None:
        listings = (Listing("AAA", Decimal("0.01"), Decimal("0.1")), Listing("BBB", Decimal("0.01"), Decimal(1)))
        self.listings: Mapping[str, Listing] = {each.symbol: each for each in listings}
        self.has_ended = False
        self._size = Decimal(size)
        self.quotes: dict[str, Quote] = {}
        self._new: list[Quote] = []
        for symbol, bid in (("AAA", "99.99"), ("BBB", "9.99")):
            self.set(symbol, bid)

    def set(self, symbol: str, bid: str, *, size: int | None = None) -> None:
        """Put a symbol's bid here and its ask two ticks above."""
        sized = self._size if size is None else Decimal(size)
        self.quotes[symbol] = Quote(symbol, Decimal(bid), Decimal(bid) + Decimal("0.02"), sized, sized)
        self._new.append(self.quotes[symbol])

    def step(self, seconds: float) -> Sequence[Quote]:
        """Return what was set since the last step."""
        new, self._new = self._new, []
        return new


class Riskportal:
    """Takes what it is told and answers checks; `problem` is raised instead where there is one."""

    quote_every_s = 0.02

    def __init__(self) -> None:
        self.problem: Away | Refused | None = None
        self.told: list[tuple[str, Any]] = []
        self.asked: list[Mapping[str, Any]] = []
        self.blocks: str | None = None
        self.answers: list[Mapping[str, Any]] = []

    async def quotes(self, quotes: Sequence[Quote], now_us: int) -> None:
        self._take("quotes", tuple(quotes))

    async def state(self, statement: Statement, now_us: int) -> None:
        self._take("state", (statement, now_us))

    async def events(self, events: Sequence[Event], statement: Statement, now_us: int) -> None:
        self._take("events", tuple(events))

    async def progress(self, progress: Mapping[str, Any]) -> None:
        self._take("progress", progress)

    async def check(self, order: Mapping[str, Any]) -> dict[str, Any]:
        if self.problem is not None:
            raise self.problem
        self.asked.append(order)
        if self.answers:
            return dict(self.answers.pop(0))
        return {"approved": self.blocks is None, "reason": self.blocks}

    def _take(self, what: str, content: Any) -> None:
        if self.problem is not None:
            raise self.problem
        self.told.append((what, content))

    def of(self, what: str) -> list[Any]:
        """Return what was told of a kind, in its order."""
        return [content for kind, content in self.told if kind == what]

    def events_of(self, kind: type[Event]) -> list[Any]:
        """Return the fills, or the ends, that were told."""
        return [event for events in self.of("events") for event in events if isinstance(event, kind)]

    def count(self) -> Counter[str]:
        return Counter(kind for kind, _content in self.told)


def new_oms(
    riskportal: Riskportal,
    market: StillMarket | None = None,
    *,
    accounts: Sequence[str] = ACCOUNTS,
    rate: float = 100.0,
    said: list[str] | None = None,
    works_s: float = 0.05,
    seed: int = 5,
) -> Oms:
    """Return an OMS on a still market whose orders live for a moment."""
    generator, market = random.Random(seed), market or StillMarket()
    flow = Flow(generator, market, works_s=works_s)
    venue = Venue(market, [Desk(account_id) for account_id in accounts], name="t")
    say = (said if said is not None else []).append
    return Oms(venue, flow, riskportal, riskportal, rate=rate, say=say, generator=generator)
