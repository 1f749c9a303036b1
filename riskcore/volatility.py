"""Volatility of a symbol: a statistic on binary floats, see `var`."""

from __future__ import annotations

import math

import numpy as np

from riskcore.var import DECAY, LEAST_DAYS, Floats, ewma_variance

TRADING_DAYS = 252


def volatility(returns: Floats, *, days_per_year: int = TRADING_DAYS, decay: float = DECAY) -> float | None:
    """Return a symbol's annualised volatility as a fraction: 0.2 is 20 % a year.

    The square root of `days_per_year` times the exponentially weighted mean of squared returns: mean 0, as over a day
    the mean is noise (RiskMetrics Technical Document, 1996, section 5.2).

    Parameters
    ----------
    returns
        Shape (days,), the oldest first: simple daily returns as fractions.
    days_per_year
        Days on which the market trades: 252 for shares, 365 for one that never closes.
    decay
        Weight of a day relative to the day after it, > 0 and < 1.

    Returns
    -------
    float or None
        None under 20 returns: not known, so that a limit on it is breached.

    Raises
    ------
    ValueError
        `returns` is no vector, or not finite.
    """
    if returns.ndim != 1:
        raise ValueError(f"expected returns of shape (days,), not {returns.shape}")
    if not np.isfinite(returns).all():
        raise ValueError("returns must be finite")
    if len(returns) < LEAST_DAYS:
        return None
    return math.sqrt(days_per_year * ewma_variance(returns, decay))
