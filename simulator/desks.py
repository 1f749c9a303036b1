"""The simulated desks' books: what each holds, what it paid, and what it is worth, to the last digit.

A position is kept as its quantity and what it has cost, so that nothing is lost to an average: at any time
balance + unrealised gain = deposit - fees - what was paid for all that was traded + the worth of what is held.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, localcontext

from simulator.amounts import EXACT, ZERO, share
from simulator.orders import Fill

_ONE = Decimal(1)
_MARGIN_RATE = Decimal("0.1")
_DEPOSIT = Decimal(1_000_000)


@dataclass
class Holding:
    """A signed quantity of one symbol, and what it has cost in currency (below zero: what it has brought in)."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO

    @property
    def entry(self) -> Decimal:
        """The average price that was paid, to twelve decimals."""
        return share(self.cost, _ONE, self.quantity)


@dataclass(frozen=True)
class Position:
    """A position in a statement: signed quantity, prices and margin in currency."""

    symbol: str
    quantity: Decimal
    entry: Decimal
    mark: Decimal
    margin: Decimal


@dataclass(frozen=True)
class Statement:
    """An account at a moment, in currency. Equity = balance + unrealised gain; the balance has fees in it."""

    account_id: str
    equity: Decimal
    balance: Decimal
    realized: Decimal
    unrealized: Decimal
    fees: Decimal
    margin_used: Decimal
    positions: tuple[Position, ...]


@dataclass
class Desk:
    """One account: what was paid in, what it has gained and paid in fees, and its holdings by symbol."""

    account_id: str
    deposit: Decimal = _DEPOSIT
    realized: Decimal = ZERO
    fees: Decimal = ZERO
    holdings: dict[str, Holding] = field(default_factory=dict)

    def take(self, fill: Fill) -> None:
        """Take over a fill: what it closes becomes a gain or a loss, what it opens is held at its price."""
        with localcontext(EXACT):
            held = self.holdings.setdefault(fill.symbol, Holding())
            closed = _closed(held.quantity, fill.signed)
            released = held.cost if closed == held.quantity else share(held.cost, closed, held.quantity)
            self.realized += closed * fill.price - released
            self.fees += fill.fee
            held.cost += (fill.signed + closed) * fill.price - released
            held.quantity += fill.signed
            if not held.quantity:
                del self.holdings[fill.symbol]

    def quantity(self, symbol: str) -> Decimal:
        """Return what is held of a symbol, below zero for short."""
        held = self.holdings.get(symbol)
        return held.quantity if held is not None else ZERO

    def statement(self, marks: Mapping[str, Decimal]) -> Statement:
        """Return the account at these prices."""
        with localcontext(EXACT):
            positions = tuple(_position(symbol, held, marks[symbol]) for symbol, held in sorted(self.holdings.items()))
            balance = self.deposit + self.realized - self.fees
            gain = sum((held.quantity * marks[symbol] - held.cost for symbol, held in self.holdings.items()), ZERO)
            return Statement(
                account_id=self.account_id,
                equity=balance + gain,
                balance=balance,
                realized=self.realized,
                unrealized=gain,
                fees=self.fees,
                margin_used=sum((position.margin for position in positions), ZERO),
                positions=positions,
            )


def _closed(held: Decimal, signed: Decimal) -> Decimal:
    """Return how much of what is held a trade closes, with the sign of what is held."""
    if held * signed >= ZERO:
        return ZERO
    return min(abs(held), abs(signed)).copy_sign(held)


def _position(symbol: str, held: Holding, mark: Decimal) -> Position:
    return Position(symbol, held.quantity, held.entry, mark, abs(held.quantity) * mark * _MARGIN_RATE)
