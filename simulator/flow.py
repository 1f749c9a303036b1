"""What the simulated desks want: orders of a sensible size near the market, and now and then a bad one."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Any

from simulator.desks import ZERO, Desk
from simulator.market import Listing, Market

# Notional of an ordinary order and the exposure in one symbol at which a desk turns back, in currency.
_SMALL, _LARGE = 1_500, 9_000
_TURNS_BACK = 160_000

# One order in so many is a mistake that the risk system should stop.
_MISTAKES_IN = 14
_MARKET_ORDERS = 0.1


@dataclass(frozen=True)
class Ticket:
    """One order as the desk writes it; `price` 0: at the market."""

    order_id: str
    account_id: str
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal

    @property
    def signed(self) -> Decimal:
        """The quantity, below zero for a sale."""
        return self.quantity if self.side == "BUY" else -self.quantity

    def body(self) -> dict[str, Any]:
        """Return the order as the body of POST /risk/check, decimals as text."""
        body = {
            "order_id": self.order_id,
            "account_id": self.account_id,
            "symbol": self.symbol,
            "side": self.side,
            "quantity": str(self.quantity),
            "strategy_id": "simulated",
        }
        return {**body, "price": str(self.price)} if self.price else body


class Flow:
    """Writes tickets. The same `generator` state gives the same orders."""

    def __init__(self, generator: random.Random, market: Market) -> None:
        self._random = generator
        self._market = market
        # Orders of another life of the simulator must not be taken for these.
        self._life = f"{generator.getrandbits(40):010x}"
        self._count = 0

    def seed(self, desk: Desk) -> None:
        """Give a desk the positions that it begins with."""
        for symbol in self._random.sample(sorted(self._market.listings), 3):
            quantity = self._quantity(symbol, self._random.uniform(20_000, 90_000))
            signed = quantity if self._random.random() < 0.65 else -quantity
            desk.fill(symbol, signed, self._market.price(symbol))

    def ticket(self, desk: Desk, working: Mapping[str, str]) -> Ticket:
        """Return the next order of a desk. `working`: by symbol, the side of its orders that still work."""
        symbol = self._random.choice(sorted(self._market.listings))
        # Nobody trades with himself: where orders work, the next one is on their side.
        side = working.get(symbol) or self._side(desk, symbol)
        notional = self._random.uniform(_SMALL, _LARGE)
        mistaken = self._random.randrange(_MISTAKES_IN) == 0
        if mistaken and self._random.random() < 0.5:
            return self._write(desk, symbol, side, self._quantity(symbol, notional * 50), ZERO)
        away = self._random.choice((-1, 1)) * self._random.uniform(0.08, 0.2) if mistaken else None
        at_market = away is None and self._random.random() < _MARKET_ORDERS
        price = ZERO if at_market else self._limit(symbol, side, away)
        return self._write(desk, symbol, side, self._quantity(symbol, notional), price)

    def _write(self, desk: Desk, symbol: str, side: str, quantity: Decimal, price: Decimal) -> Ticket:
        self._count += 1
        return Ticket(f"sim-{self._life}-{self._count}", desk.account_id, symbol, side, quantity, price)

    def _side(self, desk: Desk, symbol: str) -> str:
        exposure = float(desk.quantity(symbol) * self._market.price(symbol))
        return "BUY" if self._random.random() > 0.5 + exposure / (2 * _TURNS_BACK) else "SELL"

    def _limit(self, symbol: str, side: str, away: float | None) -> Decimal:
        """Return a limit on a tick: just through the market, or a mistaken fraction `away` from it."""
        through = self._random.uniform(0.0, 0.0008)
        factor = 1 + (away if away is not None else through if side == "BUY" else -through)
        return _in_steps(self._market.price(symbol) * Decimal(factor), self._listing(symbol).tick)

    def _quantity(self, symbol: str, notional: float) -> Decimal:
        listing = self._listing(symbol)
        return max(listing.lot, _in_steps(Decimal(notional) / self._market.price(symbol), listing.lot))

    def _listing(self, symbol: str) -> Listing:
        return self._market.listings[symbol]


def _in_steps(value: Decimal, step: Decimal) -> Decimal:
    return (value / step).to_integral_value(rounding=ROUND_DOWN) * step
