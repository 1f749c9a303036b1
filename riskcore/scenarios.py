"""What today's positions would have made on past days: prepared once, so that an order costs one addition.

The matrix of returns is made once per refresh, an account's P&L once per state of the account; the P&L with an order
is that plus one column. `var` says what the figures mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct

from riskcore.var import Floats, Method, TailRisk, tail_risk


class Scenarios(Struct, frozen=True, kw_only=True, eq=False):
    """P&L of an account's positions on past days.

    `pnl` has shape (days,), in currency, the oldest day first. `uncovered` holds positions without history by symbol,
    with their value in currency: they are not in `pnl`.
    """

    pnl: Floats
    uncovered: Mapping[str, float]

    def risk(self, method: Method = Method.HISTORICAL) -> TailRisk:
        """Return VaR and ES in currency."""
        return tail_risk(self.pnl, method, tuple(sorted(self.uncovered)))


class PreparedReturns(Struct, frozen=True, kw_only=True, eq=False):
    """Daily returns of some symbols on days on which all of them have one. Made by `prepare`.

    `columns` has shape (symbols, days) and is read-only: a symbol's returns lie together. `place` is a symbol's row in
    it. `version` names the content: equal versions have equal returns.
    """

    symbols: tuple[str, ...]
    columns: Floats
    place: Mapping[str, int]
    version: str

    @property
    def days(self) -> int:
        return int(self.columns.shape[1])

    def pnl_of(self, values: Mapping[str, float]) -> Scenarios:
        """Return what positions would have made on each day.

        `values` has the signed value of each position, quantity times mark in currency. Raises ValueError where one is
        not finite.
        """
        pnl = np.zeros(self.days)
        uncovered: dict[str, float] = {}
        for symbol in sorted(values):  # the order of additions is part of the result's last bits
            _add(self, pnl, uncovered, symbol, values[symbol])
        return Scenarios(pnl=pnl, uncovered=uncovered)

    def with_order(self, base: Scenarios, symbol: str, value_change: float) -> Scenarios:
        """Return `base` with the value of one position changed by `value_change`, in currency.

        It may differ in the last bits from `pnl_of` of the changed values. A position without history that comes to
        exactly 0 is no longer uncovered. Raises ValueError where the change is not finite.
        """
        pnl, uncovered = base.pnl.copy(), dict(base.uncovered)
        _add(self, pnl, uncovered, symbol, value_change)
        return Scenarios(pnl=pnl, uncovered=uncovered)


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


def _add(prepared: PreparedReturns, pnl: Floats, uncovered: dict[str, float], symbol: str, value: float) -> None:
    """Add a position to `pnl` or, where it has no history, to `uncovered`, both in place."""
    if not math.isfinite(value):
        raise ValueError(f"the value of {symbol} is not finite")
    number = prepared.place.get(symbol)
    if number is not None:
        pnl += value * prepared.columns[number]
        return
    total = uncovered.pop(symbol, 0.0) + value
    if total != 0:
        uncovered[symbol] = total
