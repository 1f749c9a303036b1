"""Whether value at risk was right: a rolling back-test, its breaches, and the tests that regulators use on them.

`var` says what the figures mean. A breach is a day on which more was lost than the VaR that was known before it.
"""

from __future__ import annotations

import math
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from riskcore.types import VarMethod
from riskcore.var import LEAST_DAYS, Floats, tail_risk

Flags = npt.NDArray[np.bool_]

SUPERVISED_DAYS = 250


class Zone(StrEnum):
    """The supervisor's traffic light. GREEN: nothing against the model; RED: the model is almost certainly wrong."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


class Ratio(Struct, frozen=True, kw_only=True):
    """A likelihood ratio >= 0, and the probability of one at least as large if the model is right."""

    statistic: float
    p_value: float


class Breaches(Struct, frozen=True, kw_only=True):
    """What became of the VaR of one level, on `days` days.

    `expected` breaches is days times the level's share. `kupiec`: are there too many or too few; `independence`: do
    they follow each other; `coverage`: both. `zone` is over all days, `recent` the breaches and `recent_zone` the
    light of the last 250.
    """

    percent: int
    days: int
    breaches: int
    expected: float
    kupiec: Ratio
    independence: Ratio
    coverage: Ratio
    zone: Zone
    recent: int
    recent_zone: Zone


class Rolled(Struct, frozen=True, kw_only=True, eq=False):
    """A rolling estimate. All arrays have shape (days,); VaR and `losses` are in the unit of the P&L, losses positive.

    `fallbacks`: on how many days the method gave way to historical simulation.
    """

    method: VarMethod
    losses: Floats
    var_95: Floats
    var_99: Floats
    fallbacks: int

    def breached(self, percent: int) -> Flags:
        """Return on which days more was lost than the VaR at 95 or 99 percent."""
        return self.losses > {95: self.var_95, 99: self.var_99}[percent]


def roll(pnl: Floats, *, window: int, method: VarMethod) -> Rolled:
    """Estimate VaR for every day from the `window` days before it, and from nothing else.

    Parameters
    ----------
    pnl
        Shape (days,), the oldest first: P&L of the same positions on each day.
    window
        Days to estimate from, at least 20. The first as many days are only estimated from.
    method
        As in `var`.

    Raises
    ------
    ValueError
        `window` is under 20, or there is no day after the first window.
    """
    if window < LEAST_DAYS:
        raise ValueError(f"a window of {window} days is under {LEAST_DAYS}")
    if len(pnl) <= window:
        raise ValueError(f"{len(pnl)} days leave none to test after a window of {window}")
    risks = [tail_risk(pnl[day - window : day], method) for day in range(window, len(pnl))]
    return Rolled(
        method=method,
        losses=-pnl[window:],
        var_95=np.asarray([risk.var_95 for risk in risks]),
        var_99=np.asarray([risk.var_99 for risk in risks]),
        fallbacks=sum(risk.fallback for risk in risks),
    )


def judge(breached: Flags, percent: int) -> Breaches:
    """Test the breaches of a VaR at 95 or 99 `percent`; `breached` has shape (days,), days > 0, the oldest first."""
    days, breaches = len(breached), int(breached.sum())
    kupiec = proportion_of_failures(days, breaches, percent)
    dependence = independence(breached)
    recent = breached[-SUPERVISED_DAYS:]
    return Breaches(
        percent=percent,
        days=days,
        breaches=breaches,
        expected=days * (100 - percent) / 100,
        kupiec=kupiec,
        independence=dependence,
        coverage=conditional_coverage(kupiec, dependence),
        zone=traffic_light(days, breaches, percent),
        recent=int(recent.sum()),
        recent_zone=traffic_light(len(recent), int(recent.sum()), percent),
    )


def proportion_of_failures(days: int, breaches: int, percent: int) -> Ratio:
    """Return Kupiec's likelihood ratio: is the share of breaches 100 - `percent` per cent? One degree of freedom.

    Kupiec, Techniques for Verifying the Accuracy of Risk Measurement Models, Journal of Derivatives 3, 1995. Raises
    ValueError unless 0 <= `breaches` <= `days` and `days` > 0.
    """
    if not 0 <= breaches <= days or not days:
        raise ValueError(f"{breaches} breaches on {days} days")
    share = (100 - percent) / 100
    free = _log_likelihood(breaches, days, breaches / days)
    return _with_one_degree(2 * (free - _log_likelihood(breaches, days, share)))


def independence(breached: Flags) -> Ratio:
    """Return Christoffersen's likelihood ratio: is a breach as likely after a breach as after none? One degree.

    Christoffersen, Evaluating Interval Forecasts, International Economic Review 39, 1998. The ratio is 0 where there is
    nothing to tell by: no breach before the last day, or only breaches.
    """
    before, after = breached[:-1], breached[1:]
    from_quiet, from_breach = int((~before).sum()), int(before.sum())
    quiet_breach, breach_breach = int((~before & after).sum()), int((before & after).sum())
    if not from_quiet or not from_breach:
        return _with_one_degree(0.0)
    share = (quiet_breach + breach_breach) / (from_quiet + from_breach)
    apart = _log_likelihood(quiet_breach, from_quiet, quiet_breach / from_quiet)
    apart += _log_likelihood(breach_breach, from_breach, breach_breach / from_breach)
    together = _log_likelihood(quiet_breach + breach_breach, from_quiet + from_breach, share)
    return _with_one_degree(2 * (apart - together))


def conditional_coverage(kupiec: Ratio, dependence: Ratio) -> Ratio:
    """Return Christoffersen's joint test, the sum of both ratios. Two degrees of freedom."""
    statistic = kupiec.statistic + dependence.statistic
    return Ratio(statistic=statistic, p_value=math.exp(-statistic / 2))


def traffic_light(days: int, breaches: int, percent: int) -> Zone:
    """Return the supervisor's zone for so many breaches.

    By the probability that a right model has that many or fewer: YELLOW from 95 %, RED from 99.99 %. On 250 days at
    99 %: green to 4, yellow to 9, red from 10 (Basel Committee on Banking Supervision, Supervisory framework for
    the use of backtesting, 1996).
    """
    probability = _binomial_up_to(breaches, days, (100 - percent) / 100)
    if probability >= 0.9999:
        return Zone.RED
    return Zone.YELLOW if probability >= 0.95 else Zone.GREEN


def _log_likelihood(hits: int, tries: int, share: float) -> float:
    """Return the log-likelihood of hits in tries; 0 log 0 is 0."""
    found = 0.0
    if hits:
        found += hits * math.log(share)
    if tries - hits:
        found += (tries - hits) * math.log1p(-share)
    return found


def _with_one_degree(statistic: float) -> Ratio:
    """Return the ratio with its p-value: chi-square of one degree is a squared normal, whose tail is erfc."""
    statistic = max(0.0, statistic)  # rounding of two equal likelihoods
    return Ratio(statistic=statistic, p_value=math.erfc(math.sqrt(statistic / 2)))


def _binomial_up_to(hits: int, tries: int, share: float) -> float:
    """Return the probability of at most so many hits in so many tries, each with probability `share`."""
    logs = (
        math.lgamma(tries + 1)
        - math.lgamma(number + 1)
        - math.lgamma(tries - number + 1)
        + number * math.log(share)
        + (tries - number) * math.log1p(-share)
        for number in range(hits + 1)
    )
    return math.fsum(map(math.exp, logs))
