"""Value at risk and expected shortfall, against figures worked out by hand, by NumPy and by SciPy."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from riskcore.types import VarMethod
from riskcore.var import DECAY, Floats, TailRisk, ewma_variance, is_monotone, tail_count, tail_risk
from tests.support.properties import examples

METHODS = list(VarMethod)
# Every definition of a sample quantile that NumPy has, the nine of Hyndman and Fan among them.
QUANTILES = (
    *("inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen"),
    *("weibull", "linear", "median_unbiased", "normal_unbiased", "lower", "higher", "midpoint", "nearest"),
)

PNL = st.lists(st.floats(-1e6, 1e6).map(lambda amount: round(amount, 2)), min_size=20, max_size=300).map(np.asarray)
ANY_METHOD = st.sampled_from(METHODS)


def days(number: int, *, seed: int = 1, tails: float = 5.0) -> Floats:
    """Return P&L of so many days, with fatter tails the smaller `tails` is."""
    return np.random.default_rng(seed).standard_t(tails, number) * 1_000 + 20


def figures(risk: TailRisk) -> list[float]:
    return [risk.var_95, risk.var_99, risk.es_95, risk.es_99]


# ----------------------------------------------------------------------------------------- historical simulation


def test_of_500_days_the_25th_and_the_5th_worst_are_the_var() -> None:
    losses = np.random.default_rng(1).permutation(np.arange(1.0, 501.0))
    risk = tail_risk(-losses)
    assert (risk.var_95, risk.var_99) == (476.0, 496.0)


def test_expected_shortfall_is_the_mean_of_the_worst_days_var_included() -> None:
    losses = np.random.default_rng(1).permutation(np.arange(1.0, 501.0))
    risk = tail_risk(-losses)
    assert (risk.es_95, risk.es_99) == (488.0, 498.0)


@pytest.mark.parametrize(
    ("number", "in_95", "in_99"),
    [(20, 1, 1), (39, 1, 1), (40, 2, 1), (199, 9, 1), (200, 10, 2), (250, 12, 2), (499, 24, 4), (500, 25, 5)],
)
def test_the_tail_is_the_whole_days_in_its_share_and_at_least_one(number: int, in_95: int, in_99: int) -> None:
    assert (tail_count(number, 95), tail_count(number, 99)) == (in_95, in_99)


@pytest.mark.parametrize("percent", [95, 99])
@pytest.mark.parametrize("quantile", QUANTILES)
def test_no_sample_quantile_is_above_the_var(percent: int, quantile: str) -> None:
    for number in (20, 21, 99, 100, 101, 249, 250, 251, 499, 500, 501):
        pnl = days(number, seed=number)
        assert tail_risk(pnl).var(percent) >= np.quantile(-pnl, percent / 100, method=quantile)  # type: ignore[call-overload]


@pytest.mark.parametrize("percent", [95, 99])
@pytest.mark.parametrize("number", [20, 99, 100, 199, 250, 499, 500])
def test_expected_shortfall_is_not_below_the_estimator_of_acerbi_and_tasche(percent: int, number: int) -> None:
    pnl = days(number)
    share = number * (100 - percent) / 100
    worst = np.sort(-pnl)[::-1]
    whole = int(share)
    estimated = (worst[:whole].sum() + (share - whole) * worst[whole]) / share
    assert tail_risk(pnl).es(percent) >= estimated * (1 - 1e-12)


@pytest.mark.parametrize("percent", [95, 99])
def test_a_next_day_is_worse_no_more_often_than_the_level_says(percent: int) -> None:
    for number in range(100, 1000):
        assert tail_count(number, percent) / (number + 1) < (100 - percent) / 100


# ------------------------------------------------------------------------------------------------ other methods


def test_parametric_is_the_normal_distribution_of_the_sample() -> None:
    pnl = days(500)
    mean, deviation = pnl.mean(), pnl.std(ddof=1)
    risk = tail_risk(pnl, VarMethod.PARAMETRIC)
    for percent in (95, 99):
        assert risk.var(percent) == pytest.approx(-stats.norm.ppf(1 - percent / 100, mean, deviation), rel=1e-12)
        beyond = stats.norm.expect(lambda x: x, loc=mean, scale=deviation, ub=-risk.var(percent), conditional=True)
        assert risk.es(percent) == pytest.approx(-beyond, rel=1e-8)


def test_ewma_is_the_normal_distribution_of_the_latest_days() -> None:
    pnl = days(500)
    variance = pnl[0] ** 2
    for each in pnl[1:]:
        variance = DECAY * variance + (1 - DECAY) * each**2
    # The recursion gives its first day a weight of 0.94^499, which is 4e-14.
    risk = tail_risk(pnl, VarMethod.EWMA)
    for percent in (95, 99):
        z = stats.norm.ppf(percent / 100)
        assert risk.var(percent) == pytest.approx(z * math.sqrt(variance), rel=1e-10)
        assert risk.es(percent) == pytest.approx(
            stats.norm.pdf(z) / (1 - percent / 100) * math.sqrt(variance), rel=1e-10
        )


def test_the_weights_of_ewma_add_up_to_one_on_few_days_too() -> None:
    assert ewma_variance(np.full(20, 3.0)) == pytest.approx(9.0, rel=1e-15)


def test_a_day_weighs_less_for_each_day_after_it() -> None:
    wild_at_last = np.asarray([0.0] * 19 + [10.0])
    assert ewma_variance(wild_at_last[::-1]) == pytest.approx(DECAY**19 * ewma_variance(wild_at_last), rel=1e-12)


def expansion(z: float, skewness: float, kurtosis: float) -> float:
    """Return the quantile of Cornish and Fisher, for a normal one."""
    return float(
        z + (z**2 - 1) / 6 * skewness + (z**3 - 3 * z) / 24 * kurtosis - (2 * z**3 - 5 * z) / 36 * skewness**2,
    )


def test_cornish_fisher_is_the_expansion_in_skewness_and_kurtosis() -> None:
    pnl = days(500, tails=12)
    skewness, kurtosis = float(stats.skew(pnl)), float(stats.kurtosis(pnl))
    risk = tail_risk(pnl, VarMethod.CORNISH_FISHER)
    assert not risk.fallback
    for percent in (95, 99):
        share = 1 - percent / 100
        z = float(stats.norm.ppf(share))
        assert risk.var(percent) == pytest.approx(
            -(pnl.mean() + pnl.std(ddof=1) * expansion(z, skewness, kurtosis)), rel=1e-10
        )
        tail, _ = integrate.quad(lambda x: expansion(x, skewness, kurtosis) * stats.norm.pdf(x), -40, z)
        assert risk.es(percent) == pytest.approx(-(pnl.mean() + pnl.std(ddof=1) * tail / share), rel=1e-8)


@pytest.mark.parametrize("skewness", [-2.6, -2.0, -1.0, -0.3, 0.0, 0.3, 1.0, 2.0, 2.6])
@pytest.mark.parametrize("kurtosis", [-1.0, -0.1, 0.0, 0.5, 2.0, 4.0, 7.9, 8.1, 12.0])
def test_cornish_fisher_holds_where_the_expansion_rises_everywhere(skewness: float, kurtosis: float) -> None:
    z = np.linspace(-60, 60, 240_001)
    rises = (np.diff([expansion(each, skewness, kurtosis) for each in z[::100]]) >= 0).all()
    slope = 1 + skewness * z / 3 + (z**2 - 1) * kurtosis / 8 - (6 * z**2 - 5) * skewness**2 / 36
    assert is_monotone(skewness, kurtosis) == bool(rises and (slope >= 0).all())


def test_cornish_fisher_does_not_hold_where_the_expansion_falls_everywhere() -> None:
    assert not is_monotone(20.0, 493.0)


def test_where_cornish_fisher_does_not_hold_historical_simulation_is_returned_and_said() -> None:
    pnl = days(500, tails=2.5)
    risk = tail_risk(pnl, VarMethod.CORNISH_FISHER)
    assert (risk.fallback, risk.method) == (True, VarMethod.CORNISH_FISHER)
    assert figures(risk) == figures(tail_risk(pnl))


def test_cornish_fisher_of_a_loss_that_is_always_the_same_is_that_loss() -> None:
    assert figures(tail_risk(np.full(50, -7.0), VarMethod.CORNISH_FISHER)) == [7.0] * 4


def test_cornish_fisher_holds_for_amounts_whose_powers_no_double_holds() -> None:
    pnl = days(200, tails=12)
    scaled = tail_risk(pnl * 2.0**300, VarMethod.CORNISH_FISHER)
    assert figures(scaled) == pytest.approx(
        [each * 2.0**300 for each in figures(tail_risk(pnl, VarMethod.CORNISH_FISHER))]
    )


# --------------------------------------------------------------------------------------------- all of the methods


@pytest.mark.parametrize("method", METHODS)
def test_nineteen_days_are_too_few(method: VarMethod) -> None:
    risk = tail_risk(days(19), method)
    assert (risk.ready, risk.observations, figures(risk)) == (False, 19, [0.0] * 4)


@pytest.mark.parametrize("method", METHODS)
def test_twenty_days_are_enough(method: VarMethod) -> None:
    risk = tail_risk(days(20), method)
    assert (risk.ready, risk.observations) == (True, 20)
    assert min(figures(risk)) > 0


@pytest.mark.parametrize("method", METHODS)
def test_no_positions_risk_nothing(method: VarMethod) -> None:
    risk = tail_risk(np.zeros(500), method)
    assert (risk.ready, figures(risk)) == (True, [0.0] * 4)


@pytest.mark.parametrize("method", [VarMethod.HISTORICAL, VarMethod.PARAMETRIC, VarMethod.CORNISH_FISHER])
def test_a_gain_on_the_worst_days_is_no_credit(method: VarMethod) -> None:
    assert figures(tail_risk(days(500, tails=12) / 1_000 + 50, method)) == [0.0] * 4


def test_no_rounding_brings_expected_shortfall_below_the_var() -> None:
    for number in range(20, 200):
        risk = tail_risk(np.full(number, -0.1))
        assert risk.es_95 >= risk.var_95 == 0.1


def test_what_is_not_covered_is_passed_on() -> None:
    assert (
        tail_risk(days(30), uncovered=("XYZ",)).uncovered
        == tail_risk(days(3), uncovered=("XYZ",)).uncovered
        == ("XYZ",)
    )


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_pnl_that_is_not_a_number_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        tail_risk(np.asarray([1.0] * 30 + [wrong]))


def test_pnl_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(5, 5\)"):
        tail_risk(np.zeros((5, 5)))


def test_fractions_are_of_equity() -> None:
    risk = tail_risk(days(500), uncovered=("XYZ",))
    shares = risk.over_equity(50_000.0)
    assert shares is not None
    assert figures(shares) == [each / 50_000.0 for each in figures(risk)]
    assert (shares.observations, shares.ready, shares.uncovered) == (500, True, ("XYZ",))


@pytest.mark.parametrize("equity", [0.0, -1.0, math.nan])
def test_fractions_of_no_equity_are_not_defined(equity: float) -> None:
    assert tail_risk(days(500)).over_equity(equity) is None


def test_the_order_check_does_not_import_numpy() -> None:
    loaded = "import riskcore.engine, riskcore.batch, riskcore.overview, sys; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loaded], check=False).returncode == 0


# ----------------------------------------------------------------------------------------------------- properties


@given(PNL, ANY_METHOD)
@examples(300)
def test_99_percent_is_never_below_95_and_shortfall_never_below_var(pnl: Floats, method: VarMethod) -> None:
    risk = tail_risk(pnl, method)
    close = 1 - 1e-9
    assert risk.var_99 >= risk.var_95 * close >= 0
    assert risk.es_99 >= risk.es_95 * close >= 0
    assert risk.es_95 >= risk.var_95
    assert risk.es_99 >= risk.var_99


@given(PNL, ANY_METHOD, st.integers(-8, 8))
@examples(300)
def test_positions_twice_as_large_risk_twice_as_much(pnl: Floats, method: VarMethod, doublings: int) -> None:
    scale = 2.0**doublings
    assert figures(tail_risk(pnl * scale, method)) == [each * scale for each in figures(tail_risk(pnl, method))]


@given(PNL, st.sampled_from([VarMethod.HISTORICAL, VarMethod.PARAMETRIC]), st.integers(1, 10**6))
@examples(300)
def test_money_that_is_certain_takes_away_as_much_risk(pnl: Floats, method: VarMethod, certain: int) -> None:
    without, with_it = figures(tail_risk(pnl, method)), figures(tail_risk(pnl + certain, method))
    for before, after in zip(without, with_it, strict=True):
        assert after == pytest.approx(max(0.0, before - certain) if before > 0 else 0.0, abs=1e-6)


@given(PNL)
@examples(200)
def test_the_order_of_days_matters_to_ewma_alone(pnl: Floats) -> None:
    for method in (VarMethod.HISTORICAL, VarMethod.PARAMETRIC):
        assert figures(tail_risk(np.sort(pnl), method)) == figures(tail_risk(pnl, method))


@given(PNL, st.integers(0, 299), st.floats(0, 1e6))
@examples(200)
def test_a_worse_day_never_makes_historical_figures_smaller(pnl: Floats, day: int, worse_by: float) -> None:
    worse = pnl.copy()
    worse[day % len(pnl)] -= worse_by
    for before, after in zip(figures(tail_risk(pnl)), figures(tail_risk(worse)), strict=True):
        assert after >= before * (1 - 1e-12)
