"""What today's positions would have made on past days, from returns that are prepared once for all of them.

Open orders are taken at their worst, and that day by day: on each day, of what may be held of a symbol, what would have
lost more. So the P&L of no combination of fills is below this one on any day. `var` says what the figures mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from riskcore.book import Returns
from riskcore.remembered import Remembered
from riskcore.tail_room import Lines
from riskcore.types import VarMethod
from riskcore.var import Floats, TailRisk, tail_risk
from riskcore.volatility import volatility


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

    def with_more(self, symbol: str, unit_value: float, quantity: float) -> Lines:
        """Return the losses as lines in the quantity of an order, which is in the P&L with `quantity`.

        `unit_value` is what a unit of it is worth in currency, below 0 for one that is sold; `symbol` has a history.
        """
        slopes = np.maximum(0.0, -unit_value * self.returns.columns[self.returns.place[symbol]])
        return Lines(losses=-self.pnl - slopes * quantity, slopes=slopes)


class _Rows(Struct, frozen=True, eq=False):
    """Where some legs find their returns.

    `rows` has a place in the returns for each leg that has some, None where that is all of them in their order. `of`
    has the places of these legs among all, None where they all have some. `without` are the places of the others.
    """

    rows: list[int] | None
    of: list[int] | None
    without: list[int]


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
    # Accounts trade in the same symbols from one order to the next.
    _found: Remembered[tuple[str, ...], _Rows] = field(default_factory=lambda: Remembered(4_096))

    @property
    def days(self) -> int:
        return int(self.columns.shape[1])

    def pnl_of(self, values: Mapping[str, float]) -> Scenarios:
        """Return what positions would have made on each day.

        `values` has the signed value of each position, quantity times mark in currency. Raises ValueError where one is
        not finite.
        """
        symbols = tuple(sorted(values))  # the order of additions is part of the result's last bits
        held = [values[symbol] for symbol in symbols]
        return self.worst_of(symbols, held, held)

    def worst_of(self, symbols: tuple[str, ...], lows: list[float], highs: list[float]) -> Scenarios:
        """Return what legs would have made at worst, each day's worst by itself.

        `symbols` has the symbol of each leg, `lows` and `highs` the least and the most that its signed value may come
        to, in currency. Their order is part of the last bits. Raises ValueError where one is not finite.
        """
        if not math.isfinite(sum(lows) + sum(highs)):
            raise ValueError(f"the values of {', '.join(symbols)} are not all finite")
        found = self._find(symbols)
        uncovered = tuple(sorted({symbols[number] for number in found.without if lows[number] or highs[number]}))
        if found.of is not None:
            lows, highs = [lows[number] for number in found.of], [highs[number] for number in found.of]
        columns = self.columns if found.rows is None else self.columns[found.rows]
        return Scenarios(pnl=_worst_sum(columns, lows, highs), uncovered=uncovered, returns=self)

    def volatility_of(self, symbol: str) -> float | None:
        """Return a symbol's annualised volatility as a fraction (`volatility`); None where it is not known."""
        place = self.place.get(symbol)
        return None if place is None else volatility(self.columns[place])

    def _find(self, symbols: tuple[str, ...]) -> _Rows:
        found = self._found.get(symbols)
        if found is None:
            places = [self.place.get(symbol) for symbol in symbols]
            of = [number for number, place in enumerate(places) if place is not None]
            rows = [place for place in places if place is not None]
            found = _Rows(
                None if rows == list(range(len(self.symbols))) else rows,
                None if len(of) == len(places) else of,
                [number for number, place in enumerate(places) if place is None],
            )
            self._found.keep(symbols, found)
        return found


def _worst_sum(columns: Floats, lows: list[float], highs: list[float]) -> Floats:
    """Add up the worse of two values times each row of returns, row after row."""
    made = columns * np.array(highs, dtype=np.float64)[:, np.newaxis]
    for number, (low, high) in enumerate(zip(lows, highs, strict=True)):
        if low != high:
            np.minimum(made[number], columns[number] * low, out=made[number])
    total: Floats = np.add.reduce(made, axis=0)  # whole rows, one after the other: the same bits everywhere
    return total


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
