"""What today's positions would have made on past days, from returns that are prepared once for all of them.

Open orders are taken at their worst, and that day by day: on each day, of what may be held of a symbol, what would have
lost more. So the P&L of no combination of fills is below this one on any day. `var` says what the figures mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from riskcore import tail_room
from riskcore.book import Returns
from riskcore.types import VarMethod
from riskcore.var import Floats, TailRisk, tail_risk


class Scenarios(Struct, frozen=True, kw_only=True, eq=False):
    """P&L of an account's positions on past days.

    `pnl` has shape (days,), in currency, the oldest day first. `uncovered` names the symbols, sorted, whose positions
    have no history: they are not in `pnl`. `returns` are those it was made of.
    """

    pnl: Floats
    uncovered: tuple[str, ...]
    returns: PreparedReturns

    def risk(self, method: VarMethod = VarMethod.HISTORICAL) -> TailRisk:
        """Return VaR and ES in currency."""
        return tail_risk(self.pnl, method, self.uncovered)

    def largest_quantity(
        self,
        measure: str,
        cap: float,
        *,
        symbol: str,
        unit_value: float,
        quantity: float,
        most: float,
    ) -> float:
        """Return the largest quantity, up to `most` > 0, of an order with a measure at most `cap`; below 0 for none.

        The order is in the P&L with its `quantity`. `unit_value` is what a unit of it is worth in currency, below 0 for
        one that is sold; `symbol` has a history. `tail_room` has the measures.
        """
        slopes = np.maximum(0.0, -unit_value * self.returns.columns[self.returns.place[symbol]])
        losses = -self.pnl - slopes * quantity
        return tail_room.largest_quantity(losses, slopes, measure=measure, cap=cap, most=most)


class PreparedReturns(Struct, frozen=True, kw_only=True, eq=False):
    """Daily returns of some symbols on days on which all of them have one. Made by `prepare`.

    `columns` has shape (symbols, days) and is read-only: a symbol's returns lie together. `place` is a symbol's row in
    it. `version` names the content: equal versions have equal returns. `until` is the date of the last day, empty
    where nobody said.
    """

    symbols: tuple[str, ...]
    columns: Floats
    place: Mapping[str, int]
    version: str
    until: str = ""

    @property
    def days(self) -> int:
        return int(self.columns.shape[1])

    def pnl_of(self, values: Mapping[str, float]) -> Scenarios:
        """Return what positions would have made on each day.

        `values` has the signed value of each position, quantity times mark in currency. Raises ValueError where one is
        not finite.
        """
        # The order of additions is part of the result's last bits.
        return self.worst_of((symbol, values[symbol], values[symbol]) for symbol in sorted(values))

    def worst_of(self, values: Iterable[tuple[str, float, float]]) -> Scenarios:
        """Return what legs would have made at worst, each day's worst by itself.

        `values` has the symbol of each leg and the least and the most that its signed value may come to, in currency.
        Their order is part of the last bits. Raises ValueError where one is not finite.
        """
        pnl = np.zeros(self.days)
        uncovered = set()
        for symbol, low, high in values:
            if not (math.isfinite(low) and math.isfinite(high)):
                raise ValueError(f"the value of {symbol} is not finite")
            number = self.place.get(symbol)
            if number is None:
                if low or high:
                    uncovered.add(symbol)
            elif low == high:
                pnl += high * self.columns[number]
            else:
                column = self.columns[number]
                pnl += np.minimum(low * column, high * column)
        return Scenarios(pnl=pnl, uncovered=tuple(sorted(uncovered)), returns=self)


def prepare(symbols: Sequence[str], returns: Floats, version: str) -> PreparedReturns:
    """Return returns as they are multiplied with positions.

    Parameters
    ----------
    symbols
        Each once.
    returns
        Shape (days, symbols), the oldest day first: simple returns, 0.01 is one per cent. It is copied.
    version
        Names the content.

    Raises
    ------
    ValueError
        A symbol comes twice, the shape is another, or a return is not finite or below -1.
    """
    if len(set(symbols)) != len(symbols):
        raise ValueError("a symbol comes twice")
    if returns.ndim != 2 or returns.shape[1] != len(symbols):
        raise ValueError(f"expected returns of shape (days, {len(symbols)}), not {returns.shape}")
    if not np.isfinite(returns).all() or (returns < -1).any():
        raise ValueError("returns must be finite and at least -1")
    columns = np.array(returns.T, dtype=np.float64, order="C")
    columns.setflags(write=False)
    place = {symbol: number for number, symbol in enumerate(symbols)}
    return PreparedReturns(symbols=tuple(symbols), columns=columns, place=place, version=version)


def prepare_published(returns: Returns) -> PreparedReturns:
    """Return the returns of a book. Raises ValueError where they are none."""
    values = np.frombuffer(returns.values, dtype="<f8")
    if values.size != returns.days * len(returns.symbols):
        raise ValueError(f"{values.size} returns are not {len(returns.symbols)} symbols on {returns.days} days")
    table = values.reshape(len(returns.symbols), returns.days)
    return replace(prepare(returns.symbols, table.T, returns.version), until=returns.until)
