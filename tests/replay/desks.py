"""The OMS of the replay: it knows what each account holds, reports it, and releases what orders that are over hold."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from tests.replay.capture import SYMBOL, Trade
from tests.replay.rules import GROUPS, Group

ZERO = Decimal(0)
LAPSE_S = 1


class Fate(StrEnum):
    """What becomes of an order once it is approved.

    FILLED: reported in the position, then its reservation is released. CLOSED: released without a fill.
    LAPSED: nobody says anything, its reservation runs out after a second.
    """

    FILLED = "filled"
    CLOSED = "closed"
    LAPSED = "lapsed"


_FATES = (Fate.FILLED, Fate.CLOSED, Fate.LAPSED)
_WEIGHTS = (45, 15, 40)


@dataclass
class Desk:
    """One account: its position and cash, what it has reported, and orders whose reservation is to be released."""

    account_id: str
    group: Group
    chance: random.Random
    quantity: Decimal = ZERO
    entry: Decimal = ZERO
    realized: Decimal = ZERO
    sequence: int = 0
    reports: dict[int, dict[str, Any]] = field(default_factory=dict)
    over: list[str] = field(default_factory=list)

    def order(self, trade: Trade, now_us: int) -> tuple[dict[str, Any], Fate]:
        """Return a trade as an order, and what is to become of it; every ninth or so has no price."""
        fate = self.chance.choices(_FATES, _WEIGHTS)[0]
        order: dict[str, Any] = {
            "order_id": trade.trade_id,
            "account_id": self.account_id,
            "symbol": SYMBOL,
            "side": trade.side,
            "quantity": str(trade.quantity),
            "timestamp": now_us + trade.ahead_us,
        }
        if self.chance.random() > 1 / 9:
            order["price"] = str(trade.price)
        if fate is Fate.LAPSED:
            order["reservation_ttl"] = LAPSE_S
        return order, fate

    def approved(self, trade: Trade, fate: Fate) -> None:
        """Take note of what became of an approved order."""
        if fate is Fate.FILLED:
            self._fill(trade.quantity if trade.side == "BUY" else -trade.quantity, trade.price)
        if fate is not Fate.LAPSED:
            self.over.append(trade.trade_id)

    def _fill(self, signed: Decimal, price: Decimal) -> None:
        before, self.quantity = self.quantity, self.quantity + signed
        if before * signed >= 0:
            self.entry = (self.entry * abs(before) + price * abs(signed)) / abs(self.quantity)
            return
        self.realized += min(abs(before), abs(signed)) * (price - self.entry) * (1 if before > 0 else -1)
        if before * self.quantity < 0:
            self.entry = price  # it was flipped: what is left was opened at this price

    def report(self, mark: Decimal, now_us: int) -> dict[str, Any]:
        """Return the account's state as it stands, under the next number."""
        self.sequence += 1
        open_pnl = self.quantity * (mark - self.entry)
        equity = (self.group.equity + self.realized + open_pnl).quantize(Decimal("0.01"))
        margin = (abs(self.quantity) * mark * self.group.margin_rate).quantize(Decimal("0.01"))
        held = {"symbol": SYMBOL, "quantity": str(self.quantity), "entry_price": f"{self.entry:.8f}"}
        state = {
            "equity": str(equity),
            "margin_used": str(margin),
            "positions": [held] if self.quantity else [],
            "sequence": self.sequence,
            "timestamp": now_us,
        }
        self.reports[self.sequence] = state
        return state

    def take_over(self) -> list[str]:
        """Return the orders that are over and whose reservation is still to be released, once each."""
        over, self.over = self.over, []
        return over


def desks(seed: int) -> list[Desk]:
    """Return a desk for every account."""
    return [
        Desk(account_id, group, random.Random(f"{seed} {account_id}"))
        for group in GROUPS
        for account_id in group.accounts
    ]


def assignments(count: int, seed: int, phase: int = 4_000) -> Iterator[dict[str, int]]:
    """Yield, for one trade after the other, the desk that takes it if it is a BUY, and if it is a SELL.

    At any time half of the desks buy and half sell; every `phase` trades they change over. Otherwise nearly
    every order would meet its own account's order on the other side.
    """
    chance, row = random.Random(seed), 0
    while True:
        turn = row // phase % 2
        yield {"BUY": _of_parity(chance, count, turn), "SELL": _of_parity(chance, count, 1 - turn)}
        row += 1


def _of_parity(chance: random.Random, count: int, parity: int) -> int:
    return 2 * chance.randrange(count // 2) + parity
