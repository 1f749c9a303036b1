"""Back-tests value at risk of a portfolio on the history of prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from feeds.history import load_history
from riskcore.backtest import Breaches, Rolled, judge, roll
from riskcore.types import VarMethod
from riskcore.var import PERCENTS, Floats


class CannotTest(Exception):
    """There are not the prices that the back-test needs."""


@dataclass(frozen=True, kw_only=True)
class Tested:
    """One method's estimates, and what became of them: first at 99 percent, then at 95."""

    rolled: Rolled
    breaches: tuple[Breaches, ...]


@dataclass(frozen=True, kw_only=True)
class Backtest:
    """A back-test of fixed weights, fractions of equity, renewed every day.

    `days` are the dates that were tested, `version` names the returns that they were tested on.
    """

    weights: Mapping[str, float]
    window: int
    days: tuple[date, ...]
    version: str
    results: tuple[Tested, ...]


def backtest(
    weights: Mapping[str, float], *, days: int, window: int, methods: Sequence[VarMethod], until: date | None = None
) -> Backtest:
    """Estimate every day's VaR from the `window` days before it, and hold it against what that day brought.

    Parameters
    ----------
    weights
        By symbol, as fractions of equity; negative: short.
    days
        How many days to test, the latest there are.
    window
        Days to estimate from, at least 20.
    methods
        What to test.
    until
        The last date; None: the latest there is.

    Raises
    ------
    CannotTest
        A symbol has no usable prices, or there are not enough days.
    """
    history = load_history(tuple(weights), days=days + window, until=until)
    if history.left_out:
        raise CannotTest("; ".join(f"{symbol}: {_WHY[why]}" for symbol, why in history.left_out.items()))
    if len(history.days) < days + window:
        raise CannotTest(
            f"there are {len(history.days):,} days on which all have a return, but {days:,} to test and a window of "
            f"{window:,} are {days + window:,}"
        )
    pnl = history.returns.pnl_of(weights).pnl
    return Backtest(
        weights=dict(weights),
        window=window,
        days=history.days[window:],
        version=history.returns.version,
        results=tuple(_tested(pnl, window, method) for method in methods),
    )


_WHY = {
    "no_prices": "there are no prices",
    "ended": "its prices ended before those of the others",
    "too_short": "it has far fewer prices than the others, or hardly any",
}


def _tested(pnl: Floats, window: int, method: VarMethod) -> Tested:
    rolled = roll(pnl, window=window, method=method)
    return Tested(
        rolled=rolled,
        breaches=tuple(judge(rolled.breached(percent), percent) for percent in reversed(PERCENTS)),
    )
