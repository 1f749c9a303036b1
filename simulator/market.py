"""Markets: what can be bought and sold, and at what prices just now. This one is made up, ticks.py has recorded ones.

Prices wander about as those of liquid pairs do, calm for hours and restless for minutes, with a jump now and then:
a geometric Brownian motion with jumps that is slowly drawn back to where it began.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from simulator.amounts import steps_down, steps_up

_YEAR_S = 365 * 24 * 3600.0

# A restless spell: how much it widens moves, how often one begins and how long it lasts on average.
_RESTLESS = 3.0
_SPELL_EVERY_S = 600.0
_SPELL_LENGTH_S = 45.0

# A jump of the whole market: how often one comes, and how large (standard deviation of a log price).
_JUMP_EVERY_S = 2 * 3600.0
_JUMP = 0.004

# A market left running for weeks stays near where it began: half of a departure is undone in this time.
_HALF_LIFE_S = 24 * 3600.0

# Bid and ask stand this far from the middle, as a fraction of it, each with a size worth so much, in currency.
_HALF_SPREAD = 0.00004
_SIZE_FROM, _SIZE_TO = 3_000, 60_000


@dataclass(frozen=True)
class Listing:
    """A symbol with its steps: prices are multiples of `tick`, quantities of `lot`."""

    symbol: str
    tick: Decimal
    lot: Decimal


@dataclass(frozen=True)
class Quote:
    """The best bid and ask, each with the quantity that it is good for."""

    symbol: str
    bid: Decimal
    ask: Decimal
    bid_size: Decimal
    ask_size: Decimal

    @property
    def mid(self) -> Decimal:
        """The price half way between bid and ask: the mark."""
        return (self.bid + self.ask) / 2


class Market(Protocol):
    """What a market offers."""

    @property
    def listings(self) -> Mapping[str, Listing]:
        """What may be traded, by symbol."""
        ...

    @property
    def quotes(self) -> Mapping[str, Quote]:
        """The last quote of every symbol."""
        ...

    @property
    def has_ended(self) -> bool:
        """Whether there will be no further quotes."""
        ...

    def step(self, seconds: float) -> Sequence[Quote]:
        """Let `seconds` (> 0) pass; return the quotes that came, the oldest first."""
        ...


@dataclass(frozen=True)
class Pair(Listing):
    """A listing that is made up: where its price begins (currency), and its volatility (a year's, 0.5 = 50 %)."""

    price: float
    volatility: float


PAIRS = (
    Pair("BTCUSDT", Decimal("0.10"), Decimal("0.001"), 64_000.0, 0.50),
    Pair("ETHUSDT", Decimal("0.01"), Decimal("0.01"), 3_100.0, 0.65),
    Pair("SOLUSDT", Decimal("0.01"), Decimal("0.1"), 150.0, 0.85),
    Pair("BNBUSDT", Decimal("0.01"), Decimal("0.01"), 580.0, 0.60),
    Pair("XRPUSDT", Decimal("0.0001"), Decimal("1"), 0.55, 0.80),
)


class MadeMarket:
    """A market of some pairs that never ends. The same `generator` state gives the same market."""

    has_ended = False

    def __init__(self, generator: random.Random, pairs: tuple[Pair, ...] = PAIRS) -> None:
        self._pairs = {pair.symbol: pair for pair in pairs}
        self._random = generator
        self._departure = dict.fromkeys(self._pairs, 0.0)  # log of price over where it began
        self._restless_s = 0.0
        self.listings: Mapping[str, Listing] = self._pairs
        self.quotes = {pair.symbol: self._quote(pair) for pair in pairs}

    def step(self, seconds: float) -> Sequence[Quote]:
        """Let `seconds` (> 0) pass; return a new quote of every symbol."""
        pace = _RESTLESS if self._is_restless(seconds) else 1.0
        back = 0.5 ** (seconds / _HALF_LIFE_S)
        common, jump = self._random.gauss(0.0, 1.0), self._jump(seconds)
        for symbol, pair in self._pairs.items():
            # Pairs move together for the most part: 0.8 of each move is the market's.
            shock = 0.8 * common + 0.6 * self._random.gauss(0.0, 1.0)
            move = pace * pair.volatility * math.sqrt(seconds / _YEAR_S) * shock
            self._departure[symbol] = back * self._departure[symbol] + move + jump
            self.quotes[symbol] = self._quote(pair)
        return list(self.quotes.values())

    def _quote(self, pair: Pair) -> Quote:
        """Return bid and ask around the present price, on whole ticks and at least one apart."""
        exact = pair.price * math.exp(self._departure[pair.symbol])
        bid = max(pair.tick, steps_down(Decimal(exact * (1 - _HALF_SPREAD)), pair.tick))
        ask = max(bid + pair.tick, steps_up(Decimal(exact * (1 + _HALF_SPREAD)), pair.tick))
        return Quote(pair.symbol, bid, ask, self._size(pair, exact), self._size(pair, exact))

    def _size(self, pair: Pair, price: float) -> Decimal:
        notional = self._random.uniform(_SIZE_FROM, _SIZE_TO)
        return max(pair.lot, steps_down(Decimal(notional / price), pair.lot))

    def _jump(self, seconds: float) -> float:
        """Return how far the market jumps in this time: mostly not at all."""
        if self._random.random() >= 1 - math.exp(-seconds / _JUMP_EVERY_S):
            return 0.0
        return self._random.gauss(0.0, _JUMP)

    def _is_restless(self, seconds: float) -> bool:
        self._restless_s -= seconds
        if self._restless_s <= 0.0 and self._random.random() < seconds / _SPELL_EVERY_S:
            self._restless_s = self._random.expovariate(1 / _SPELL_LENGTH_S)
        return self._restless_s > 0.0


def marks(quotes: Mapping[str, Quote]) -> dict[str, Decimal]:
    """Return the mark of every symbol."""
    return {symbol: quote.mid for symbol, quote in quotes.items()}
