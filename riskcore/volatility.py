"""Volatility of a symbol, and the drawdown of the last minutes: statistics on binary floats, see `var`."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from riskcore.var import DECAY, LEAST_DAYS, Floats, ewma_variance

Times = npt.NDArray[np.int64]

TRADING_DAYS = 252
RAPID_MINUTES = 5.0

_MINUTE_US = 60_000_000


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


def drawdown_rapid(times_us: Times, equity: Floats, now_us: int, *, minutes: float = RAPID_MINUTES) -> float | None:
    """Return the largest fall of equity from an earlier high within the last minutes, as a fraction of that high.

    Parameters
    ----------
    times_us
        Shape (points,), ascending: when each equity was seen, in microseconds since the epoch.
    equity
        Shape (points,), in currency.
    now_us
        The end of the window; it begins `minutes` before, and both ends belong to it.

    Returns
    -------
    float or None
        0 where equity has not fallen, above 1 where it has fallen below nothing. None where it is not defined, so that
        a limit on it is breached: no point in the window, or the first of them is not above 0.

    Raises
    ------
    ValueError
        The shapes differ, times do not ascend, or an equity is not finite.
    """
    if times_us.ndim != 1 or times_us.shape != equity.shape:
        raise ValueError(f"expected as many times as equities, not {times_us.shape} and {equity.shape}")
    if (np.diff(times_us) < 0).any():
        raise ValueError("times must ascend")
    if not np.isfinite(equity).all():
        raise ValueError("equity must be finite")
    inside = equity[(times_us >= now_us - round(minutes * _MINUTE_US)) & (times_us <= now_us)]
    if not len(inside):
        return None
    high = np.maximum.accumulate(inside)
    if high[0] <= 0:
        return None
    return float(((high - inside) / high).max())
