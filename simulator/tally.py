"""What a simulation has done, for people and for machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from simulator.amounts import text
from simulator.desks import Statement
from simulator.orders import Closed, End, Event


@dataclass
class Tally:
    """Counts of orders. Each that was sent is approved, blocked or lost (no answer); `unsent`: nobody was there to ask.

    An approved one ends as one of `ends`, or still works; it may have `fills` in either case.
    """

    sent: int = 0
    approved: int = 0
    lost: int = 0
    unsent: int = 0
    fills: int = 0
    blocked: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)

    @property
    def answered(self) -> int:
        """How many orders were answered."""
        return self.approved + self.blocked.total()

    def note(self, events: Iterable[Event]) -> None:
        """Count what happened to orders that were approved."""
        for event in events:
            if not isinstance(event, Closed):
                self.fills += 1
            elif event.end is not End.REJECTED:
                self.ends[event.end] += 1

    def line(self) -> str:
        """Return the tally in a line for people."""
        ends = ", ".join(f"{self.ends[end]} {end}" for end in (End.FILLED, End.CANCELLED, End.EXPIRED))
        why = ", ".join(f"{reason} {count}" for reason, count in self.blocked.most_common())
        return (
            f"{self.sent} orders: {self.approved} approved ({ends}; {self.fills} fills), "
            f"{self.blocked.total()} blocked{f' ({why})' if why else ''}, {self.lost} without an answer"
            f"{f'; {self.unsent} were not sent, nobody was there to ask' if self.unsent else ''}"
        )

    def summary(self, statements: Iterable[Statement]) -> dict[str, Any]:
        """Return the tally and the desks' books as JSON has them, amounts as text."""
        return {
            "sent": self.sent,
            "approved": self.approved,
            "lost": self.lost,
            "unsent": self.unsent,
            "fills": self.fills,
            **{str(end): self.ends[end] for end in (End.FILLED, End.CANCELLED, End.EXPIRED)},
            "blocked": dict(self.blocked),
            "accounts": {statement.account_id: _books(statement) for statement in statements},
        }


def _books(statement: Statement) -> dict[str, Any]:
    return {
        "equity": text(statement.equity),
        "balance": text(statement.balance),
        "realized_pnl": text(statement.realized),
        "unrealized_pnl": text(statement.unrealized),
        "fees": text(statement.fees),
        "margin_used": text(statement.margin_used),
        "positions": {held.symbol: text(held.quantity) for held in statement.positions},
    }
