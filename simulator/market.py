"""A made-up market: prices that wander about as liquid pairs do, calm for hours and restless for minutes."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from decimal import Decimal

_YEAR_S = 365 * 24 * 3600.0

# A restless spell: how much it widens moves, how often one begins and how long it lasts on average.
_RESTLESS = 3.0
_SPELL_EVERY_S = 600.0
_SPELL_LENGTH_S = 45.0

# A market left running for weeks stays near where it began: half of a departure is undone in this time.
_HALF_LIFE_S = 24 * 3600.0


@dataclass(frozen=True)
class Listing:
    """A symbol, where its price begins (currency), its volatility (a year's, 0.5 = 50 %), and its steps."""

    symbol: str
    price: float
    volatility: float
    tick: Decimal
    lot: Decimal


LISTINGS = (
    Listing("BTCUSDT", 64_000.0, 0.50, Decimal("0.10"), Decimal("0.001")),
    Listing("ETHUSDT", 3_100.0, 0.65, Decimal("0.01"), Decimal("0.01")),
    Listing("SOLUSDT", 150.0, 0.85, Decimal("0.01"), Decimal("0.1")),
    Listing("BNBUSDT", 580.0, 0.60, Decimal("0.01"), Decimal("0.01")),
    Listing("XRPUSDT", 0.55, 0.80, Decimal("0.0001"), Decimal("1")),
)


class Market:
    """The prices of some listings, moved on by `step`. The same `generator` state gives the same market."""

    def __init__(self, generator: random.Random, listings: tuple[Listing, ...] = LISTINGS) -> None:
        self.listings = {listing.symbol: listing for listing in listings}
        self._random = generator
        self._departure = dict.fromkeys(self.listings, 0.0)  # log of price over where it began
        self._restless_s = 0.0

    def step(self, seconds: float) -> None:
        """Let `seconds` (> 0) pass."""
        pace = _RESTLESS if self._is_restless(seconds) else 1.0
        back = 0.5 ** (seconds / _HALF_LIFE_S)
        common = self._random.gauss(0.0, 1.0)
        for symbol, listing in self.listings.items():
            # Pairs move together for the most part: 0.8 of each move is the market's.
            shock = 0.8 * common + 0.6 * self._random.gauss(0.0, 1.0)
            move = pace * listing.volatility * math.sqrt(seconds / _YEAR_S) * shock
            self._departure[symbol] = back * self._departure[symbol] + move

    def price(self, symbol: str) -> Decimal:
        """Return the last price in currency, on a whole tick and at least one."""
        listing = self.listings[symbol]
        exact = listing.price * math.exp(self._departure[symbol])
        return max(1, round(exact / float(listing.tick))) * listing.tick

    def prices(self) -> dict[str, Decimal]:
        """Return the last price of every symbol."""
        return {symbol: self.price(symbol) for symbol in self.listings}

    def _is_restless(self, seconds: float) -> bool:
        self._restless_s -= seconds
        if self._restless_s <= 0.0 and self._random.random() < seconds / _SPELL_EVERY_S:
            self._restless_s = self._random.expovariate(1 / _SPELL_LENGTH_S)
        return self._restless_s > 0.0
