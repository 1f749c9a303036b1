"""Value at risk and expected shortfall of some legs, worked out when they are first asked for.

Statistics on binary floats (`var`), rounded up to an exact decimal where they are held against a limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct

from riskcore.decimals import EXACT, FINEST, ZERO
from riskcore.simulate import Leg
from riskcore.types import Side, VarMethod

if TYPE_CHECKING:
    # numpy is loaded by a process once a book has returns, and not before.
    from riskcore.scenarios import PreparedReturns, Scenarios
    from riskcore.tail_room import Lines
    from riskcore.var import TailRisk

_CENT = Decimal("0.01")

MEASURES = ("var_95", "var_99", "es_95", "es_99")

# A quantity that is solved for is taken smaller by this part, far more than its last bits are off.
_SHAVE = Decimal(1) - Decimal("1E-9")


class TailFigures(Struct, frozen=True, kw_only=True):
    """VaR and ES over one day as they are shown: losses >= 0 in currency, rounded up to cents.

    `fallback`: the method does not hold here, and historical simulation stands in.
    """

    var_95: Decimal
    var_99: Decimal
    es_95: Decimal
    es_99: Decimal
    fallback: bool


class ValueAtRisk(Struct, frozen=True, kw_only=True):
    """What an account may lose in a day.

    `worst` is what limits go by: historical simulation, open orders at their worst. `held` is of what is held alone,
    by each method. `ready` False: there are no figures, for the reason that `unknown` says. `observations` are the
    days of history, up to the date `until`.
    """

    ready: bool
    unknown: str
    observations: int
    until: str
    worst: TailFigures | None
    held: dict[VarMethod, TailFigures]


class Tail:
    """What some legs of an account may lose in a day, by historical simulation.

    Parameters
    ----------
    returns
        The history to go by; None where there is none, and then nothing is known.
    legs
        With their open orders, of which each day's worst combination counts. Their order is part of the last bits.
    equity
        In currency.
    old
        The history ended too long ago to say anything.
    """

    def __init__(self, returns: PreparedReturns | None, legs: Sequence[Leg], equity: Decimal, *, old: bool) -> None:
        self._returns, self._legs, self._equity, self._old = returns, legs, equity, old
        self._lines: Lines | None = None
        self._shares: dict[str, Decimal] = {}

    @cached_property
    def _scenarios(self) -> Scenarios | None:
        if self._returns is None:
            return None
        highs = [float(leg.high_value) for leg in self._legs]
        lows = [
            high if leg.low_value is leg.high_value else float(leg.low_value)
            for leg, high in zip(self._legs, highs, strict=True)
        ]
        return self._returns.worst_of(_symbols(self._legs), lows, highs)

    @cached_property
    def risk(self) -> TailRisk | None:
        """VaR and ES in currency, None without a history."""
        return None if self._scenarios is None else self._scenarios.risk()

    @cached_property
    def unknown(self) -> str:
        """Say why there are no figures, as far as that is for want of history; empty where there are some."""
        risk = self.risk
        if self._returns is None or risk is None:
            return "there is no history of prices"
        if self._old:
            return f"the history of prices ends {self._returns.until}"
        if not risk.ready:
            return f"there are only {risk.observations} days of history"
        return f"there is no history of {', '.join(risk.uncovered)}" if risk.uncovered else ""

    def shown(self) -> ValueAtRisk:
        """Return the figures as people and machines are shown them."""
        returns, risk, unknown = self._returns, self.risk, self.unknown
        worst, held = None, {}
        if returns is not None and risk is not None and not unknown:
            worst = _figures(risk)
            values = [float(leg.quantity * leg.mark) for leg in self._legs]
            scenarios = returns.worst_of(_symbols(self._legs), values, values)
            held = {method: _figures(scenarios.risk(method)) for method in VarMethod}
        return ValueAtRisk(
            ready=worst is not None,
            unknown=unknown,
            observations=risk.observations if risk is not None else 0,
            until=returns.until if returns is not None else "",
            worst=worst,
            held=held,
        )

    def share(self, measure: str) -> Decimal | None:
        """Return one of MEASURES as a fraction of equity; None where it is not known, and a limit on it broken."""
        if self._equity <= ZERO or self.unknown:
            return None
        share = self._shares.get(measure)
        if share is None:
            amount: float = getattr(self.risk, measure)
            share = Decimal(amount / float(self._equity)).quantize(FINEST, ROUND_CEILING, EXACT)
            self._shares[measure] = share
        return share

    def largest_quantity(
        self, measure: str, cap: Decimal, *, symbol: str, mark: Decimal, side: Side, quantity: Decimal, most: Decimal
    ) -> Decimal:
        """Return about how much an order may be, up to `most` > 0, for a measure to be at most `cap`; 0 for not at all.

        The legs have this one order in them, with its `quantity`. `cap` is a fraction of equity, `mark` what a unit is
        worth in currency.
        """
        if self._scenarios is None or self.share(measure) is None:
            return ZERO
        if self._lines is None:
            self._lines = self._scenarios.with_more(symbol, float(mark if side is Side.BUY else -mark), float(quantity))
        found = self._lines.largest_quantity(measure, float(cap * self._equity), float(most))
        return min(most, Decimal(found) * _SHAVE) if found > 0 else ZERO


def _symbols(legs: Sequence[Leg]) -> tuple[str, ...]:
    return tuple([leg.symbol for leg in legs])


def _figures(risk: TailRisk) -> TailFigures:
    figures = {name: _cents_up(getattr(risk, name)) for name in MEASURES}
    return TailFigures(**figures, fallback=risk.fallback)


def _cents_up(amount: float) -> Decimal:
    return Decimal(amount).quantize(_CENT, ROUND_CEILING, EXACT)
