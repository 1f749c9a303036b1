"""What desk, exchange and riskportal tell each other: orders, fills, and the ends of orders."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeAlias

from simulator.amounts import ZERO, text

BUY, SELL = "BUY", "SELL"
STRATEGY = "simulated"

# How much longer than an order works its exposure is to be reserved, in seconds: its end has to be told, too.
_LONGER_S = 30


class End(StrEnum):
    """How an order ended, as `orders.closed` names it. REJECTED: it never reached the market."""

    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Order:
    """An order of a desk. `price` 0: at the market.

    It works for at most `life_us` microseconds; then the exchange lets it expire, or, where the desk has lost
    patience before (`patience_us`, 0: never), it was cancelled. `stop_id`: the emergency stop that it closes a
    position for, "" for an order of the desk's own.
    """

    order_id: str
    account_id: str
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal = ZERO
    life_us: int = 30_000_000
    patience_us: int = 0
    reduce_only: bool = False
    stop_id: str = ""

    def body(self) -> dict[str, Any]:
        """Return the order as the body of an order check, decimals as text."""
        body: dict[str, Any] = {
            "order_id": self.order_id,
            "account_id": self.account_id,
            "symbol": self.symbol,
            "side": self.side,
            "quantity": text(self.quantity),
            "strategy_id": STRATEGY,
            "reservation_ttl": self.life_us // 1_000_000 + _LONGER_S,
        }
        if self.price:
            body["price"] = text(self.price)
        if self.reduce_only:
            body["reduce_only"] = True
        if self.stop_id:
            body["stop_id"] = self.stop_id
        return body


@dataclass(frozen=True)
class Fill:
    """A trade of an order: `quantity` > 0 at `price`, for a `fee` in currency, at `at_us` since the epoch."""

    fill_id: str
    order_id: str
    account_id: str
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    at_us: int

    @property
    def signed(self) -> Decimal:
        """The quantity, below zero for a sale."""
        return self.quantity if self.side == BUY else -self.quantity


@dataclass(frozen=True)
class Closed:
    """The end of an order at `at_us`: it is not in the market any more."""

    order_id: str
    account_id: str
    end: End
    at_us: int


Event: TypeAlias = Fill | Closed
