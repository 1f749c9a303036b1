"""Value at risk and expected shortfall: what an account may lose in a day, from what its positions would have lost.

These are statistics: binary floats in numpy arrays, not the exact decimals of money. Every figure is the same to the
bit on every machine: arrays are multiplied and added element by element in a fixed order, and what is summed over
days is summed exactly (`math.fsum`). numpy is imported by this module and its neighbours `scenarios`, `volatility`
and `backtest` alone.

Conventions
-----------
Sign
    P&L: a gain is positive. VaR and ES are losses, and a loss is positive. A tail without a loss is 0, never less: an
    account is not given credit for a gain in its worst days.
Horizon
    One day: scenarios are daily returns times *today's* values of the positions, not scaled to another horizon.
Quantile
    Of n days the VaR at confidence c is the k-th worst loss, where k is (1 - c) n without its fraction, at least 1: the
    5th and the 25th worst of 500, the 2nd and the 12th worst of 250. No interpolation: it is a loss that would have
    been made. Nor is it below any of the nine usual sample quantiles (Hyndman and Fan, Sample Quantiles in Statistical
    Packages, The American Statistician 50, 1996), of which it takes the next worse loss. Where days are exchangeable,
    the next one is worse with probability k / (n + 1), which is below 1 - c once n reaches 1 / (1 - c). With fewer
    days than that (100 for 99 %) the worst loss is all that can be said, and it may be too small.
Expected shortfall
    The mean of the k worst losses, VaR's own included. It is not below the estimator of Acerbi and Tasche (On the
    coherence of expected shortfall, Journal of Banking & Finance 26, 2002), which also counts a fraction of the
    next milder loss.
Moments
    The mean is the sample's and is used. The standard deviation is the sample's (n - 1). Skewness and excess kurtosis
    are the population's: m3 / m2^1.5 and m4 / m2^2 - 3.
EWMA
    Mean 0, decay 0.94 a day, weights that add up to 1 over the days there are (J.P. Morgan/Reuters, RiskMetrics
    Technical Document, 4th edition, 1996, section 5.2). The oldest day is first.
Cornish-Fisher
    The fourth-order expansion (Cornish and Fisher 1937) in skewness and kurtosis, which is a quantile function only
    where it is monotone (Maillard, A User's Guide to the Cornish Fisher Expansion, 2012). Elsewhere it could say that
    99 % loses less than 95 %: then the figures of historical simulation are returned, and `fallback` is True.
Too little to go by
    Under 20 days every figure is 0 and `ready` is False (SPEC 4). A missing price is no return of 0: the day is left
    out for all symbols, and a symbol without history is named in `uncovered`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import accumulate
from operator import mul

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from riskcore.types import VarMethod

Floats = npt.NDArray[np.float64]

LEAST_DAYS = 20
DECAY = 0.94
PERCENTS = (95, 99)

# Standard normal quantiles of 0.95 and 0.99, and the density there. Written out: exp differs between machines.
_Z = {95: 1.6448536269514722, 99: 2.3263478740408408}
_DENSITY = {95: 0.10313564037537139, 99: 0.02665214220345808}


class TailRisk(Struct, frozen=True, kw_only=True):
    """VaR and ES over one day: losses >= 0, in currency, or as fractions of equity from `over_equity`.

    `ready` False: there are under 20 days, and the figures say nothing. `fallback`: Cornish-Fisher does not hold
    here, the figures are those of historical simulation. `uncovered`: symbols, sorted, whose positions have no history
    and are in none of the figures, which are then too small.
    """

    method: VarMethod
    observations: int
    ready: bool
    var_95: float = 0.0
    var_99: float = 0.0
    es_95: float = 0.0
    es_99: float = 0.0
    fallback: bool = False
    uncovered: tuple[str, ...] = ()

    def over_equity(self, equity: float) -> TailRisk | None:
        """Return the same as fractions of `equity` in currency; None where equity <= 0, so that limits are breached."""
        if not equity > 0:
            return None
        return replace(
            self,
            var_95=self.var_95 / equity,
            var_99=self.var_99 / equity,
            es_95=self.es_95 / equity,
            es_99=self.es_99 / equity,
        )

    def var(self, percent: int) -> float:
        """Return the VaR at 95 or 99 percent."""
        return {95: self.var_95, 99: self.var_99}[percent]

    def es(self, percent: int) -> float:
        """Return the expected shortfall at 95 or 99 percent."""
        return {95: self.es_95, 99: self.es_99}[percent]


def tail_count(days: int, percent: int) -> int:
    """Return how many of so many days are in the tail: (100 - percent) % of them without the fraction, at least 1."""
    return max(1, days * (100 - percent) // 100)


def tail_risk(pnl: Floats, method: VarMethod = VarMethod.HISTORICAL, uncovered: tuple[str, ...] = ()) -> TailRisk:
    """Return VaR and ES of one day.

    Parameters
    ----------
    pnl
        Shape (days,), the oldest first: what the positions of today would have made on each day, in currency.
    method
        See the conventions above.
    uncovered
        Symbols that `pnl` leaves out, passed on.

    Raises
    ------
    ValueError
        `pnl` is no vector, or not finite.
    """
    if pnl.ndim != 1:
        raise ValueError(f"expected P&L of shape (days,), not {pnl.shape}")
    if not np.isfinite(pnl).all():
        raise ValueError("P&L must be finite")
    days = len(pnl)
    if days < LEAST_DAYS:
        return TailRisk(method=method, observations=days, ready=False, uncovered=uncovered)
    tails, fallback = _tails(pnl, method)
    (var_95, es_95), (var_99, es_99) = (_as_losses(*tail) for tail in tails)
    return TailRisk(
        method=method,
        observations=days,
        ready=True,
        var_95=var_95,
        var_99=var_99,
        es_95=es_95,
        es_99=es_99,
        fallback=fallback,
        uncovered=uncovered,
    )


# Value at risk and expected shortfall, as losses that may be negative.
_Tail = tuple[float, float]


def _as_losses(var: float, es: float) -> _Tail:
    """Return them not below 0, nor ES below VaR by the rounding of a mean of equal numbers."""
    var = max(0.0, var)
    return var, max(var, es)


def _tails(pnl: Floats, method: VarMethod) -> tuple[list[_Tail], bool]:
    """Return VaR and ES at 95 and 99 percent, and whether another method had to give them."""
    if method is VarMethod.HISTORICAL:
        return _historical(pnl), False
    if method is VarMethod.PARAMETRIC:
        mean, deviation = _mean_and_deviation(pnl)
        return [_normal(mean, deviation, percent) for percent in PERCENTS], False
    if method is VarMethod.EWMA:
        deviation = math.sqrt(ewma_variance(pnl))
        return [_normal(0.0, deviation, percent) for percent in PERCENTS], False
    found = _cornish_fisher(pnl)
    return (_historical(pnl), True) if found is None else (found, False)


def _historical(pnl: Floats) -> list[_Tail]:
    most = tail_count(len(pnl), PERCENTS[0])
    worst = sorted(np.partition(pnl, most - 1)[:most].tolist())
    counts = [tail_count(len(pnl), percent) for percent in PERCENTS]
    return [(-worst[count - 1], -math.fsum(worst[:count]) / count) for count in counts]


def _normal(mean: float, deviation: float, percent: int) -> _Tail:
    """Return the quantile and the tail mean of a normal distribution (McNeil, Frey, Embrechts 2015, 2.3.2)."""
    share = (100 - percent) / 100
    return _Z[percent] * deviation - mean, _DENSITY[percent] / share * deviation - mean


def _mean_and_deviation(pnl: Floats) -> tuple[float, float]:
    mean = math.fsum(pnl.tolist()) / len(pnl)
    rest = pnl - mean
    return mean, math.sqrt(math.fsum((rest * rest).tolist()) / (len(pnl) - 1))


def ewma_variance(values: Floats, decay: float = DECAY) -> float:
    """Return the exponentially weighted mean of squares, in the square of the values' unit.

    `values` has shape (days,), at least one, the oldest first; `decay` > 0 and < 1 is the weight of a day relative
    to the day after it. Weights add up to 1. RiskMetrics Technical Document, 1996, section 5.2.
    """
    weights = _weights(len(values), decay)
    return math.fsum((weights * values * values).tolist()) / math.fsum(weights.tolist())


@lru_cache(maxsize=16)
def _weights(days: int, decay: float) -> Floats:
    """Return powers of `decay`, the newest day's 1 last. Multiplied up: pow differs between machines."""
    powers = list(accumulate([1.0] + [decay] * (days - 1), mul))
    weights = np.asarray(powers[::-1])
    weights.setflags(write=False)
    return weights


def _cornish_fisher(pnl: Floats) -> list[_Tail] | None:
    """Return the tails by Cornish-Fisher, None where the expansion is not monotone."""
    mean, deviation = _mean_and_deviation(pnl)
    if deviation == 0:
        return [(-mean, -mean) for _ in PERCENTS]
    skewness, kurtosis = _shape(pnl, mean)
    if not is_monotone(skewness, kurtosis):
        return None
    tails = []
    for percent in PERCENTS:
        quantile, tail_mean = _expanded(skewness, kurtosis, percent)
        tails.append((-(mean + deviation * quantile), -(mean + deviation * tail_mean)))
    return tails


def _shape(pnl: Floats, mean: float) -> tuple[float, float]:
    """Return the population's skewness and excess kurtosis."""
    rest = pnl - mean
    rest = rest / np.abs(rest).max()  # powers of very small or large amounts would leave the range of a double
    square = rest * rest
    days = len(pnl)
    second = math.fsum(square.tolist()) / days
    third = math.fsum((square * rest).tolist()) / days
    fourth = math.fsum((square * square).tolist()) / days
    return third / (second * math.sqrt(second)), fourth / (second * second) - 3


def is_monotone(skewness: float, kurtosis: float) -> bool:
    """Return whether the Cornish-Fisher expansion rises everywhere, `kurtosis` being the excess.

    Its derivative is the quadratic a z^2 + b z + c below, which must have no two roots and not fall (Maillard 2012).
    """
    square = skewness * skewness
    a = kurtosis / 8 - square / 6
    b = skewness / 3
    c = 1 - kurtosis / 8 + 5 * square / 36
    return c >= 0 and b * b <= 4 * a * c  # which a < 0 cannot satisfy


def _expanded(skewness: float, kurtosis: float, percent: int) -> _Tail:
    """Return quantile and mean of the lower tail of the expansion, in standard deviations (negative: losses).

    The mean is the integral of the expansion over the normal tail, term by term, from E[Z | Z < z] = -d,
    E[Z^2 | Z < z] = 1 - z d and E[Z^3 | Z < z] = -(z^2 + 2) d, where d is the density at z over its probability.
    """
    z = -_Z[percent]
    d = _DENSITY[percent] / ((100 - percent) / 100)
    z2, z3, square = z * z, z * z * z, skewness * skewness
    quantile = z + (z2 - 1) * skewness / 6 + (z3 - 3 * z) * kurtosis / 24 - (2 * z3 - 5 * z) * square / 36
    mean = -d * (1 + z * skewness / 6 + (z2 - 1) * kurtosis / 24 + (1 - 2 * z2) * square / 36)
    return quantile, mean
