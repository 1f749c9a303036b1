"""The simulated desks' books: what each holds, what it paid, and what it is worth at the market's prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

ZERO = Decimal(0)
_MARGIN_RATE = Decimal("0.1")
_CENT = Decimal("0.01")


@dataclass
class Holding:
    """A signed quantity of one symbol and its average entry price in currency."""

    quantity: Decimal = ZERO
    entry: Decimal = ZERO


@dataclass
class Desk:
    """One account: its cash in currency, realised gains included, and its holdings by symbol."""

    account_id: str
    balance: Decimal = Decimal(1_000_000)
    holdings: dict[str, Holding] = field(default_factory=dict)

    def fill(self, symbol: str, signed: Decimal, price: Decimal) -> None:
        """Take over a fill of `signed` units (below zero: sold) at `price`."""
        held = self.holdings.setdefault(symbol, Holding())
        total = held.quantity + signed
        if held.quantity * signed >= ZERO:
            held.entry = (held.entry * held.quantity + price * signed) / total
        else:
            closed = min(abs(signed), abs(held.quantity)).copy_sign(held.quantity)
            self.balance += closed * (price - held.entry)
            if total * held.quantity < ZERO:  # through zero: what is left was bought or sold just now
                held.entry = price
        held.quantity = total
        if not total:
            del self.holdings[symbol]

    def quantity(self, symbol: str) -> Decimal:
        """Return what is held of a symbol, below zero for short."""
        held = self.holdings.get(symbol)
        return held.quantity if held is not None else ZERO

    def report(self, prices: Mapping[str, Decimal]) -> dict[str, Any]:
        """Return the account's state as the body of PUT /risk/accounts/{id}/state, decimals as text."""
        gain = margin = ZERO
        positions = []
        for symbol, held in sorted(self.holdings.items()):
            mark = prices[symbol]
            needed = _cents(abs(held.quantity) * mark * _MARGIN_RATE)
            gain += held.quantity * (mark - held.entry)
            margin += needed
            positions.append(
                {
                    "symbol": symbol,
                    "quantity": str(held.quantity),
                    "entry_price": f"{held.entry:.8f}",
                    "mark_price": str(mark),
                    "margin": str(needed),
                }
            )
        return {
            "equity": str(_cents(self.balance + gain)),
            "balance": str(_cents(self.balance)),
            "margin_used": str(margin),
            "positions": positions,
        }


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT)
