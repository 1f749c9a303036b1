"""The rolling back-test, and the tests on its breaches against SciPy, published figures and plain recomputation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from riskcore.backtest import (
    Flags,
    Zone,
    conditional_coverage,
    independence,
    judge,
    proportion_of_failures,
    roll,
    traffic_light,
)
from riskcore.types import VarMethod
from riskcore.var import Floats, tail_risk
from tests.support.properties import examples

METHODS = list(VarMethod)


def pnl(days: int = 300, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).standard_t(5, days) * 100


def flags(*days: int, of: int) -> Flags:
    """Return breaches on these days of so many."""
    found = np.zeros(of, dtype=np.bool_)
    found[list(days)] = True
    return found


# -------------------------------------------------------------------------------------------------- rolling


@pytest.mark.parametrize("method", METHODS)
def test_each_day_is_estimated_from_the_window_before_it(method: VarMethod) -> None:
    series = pnl()
    rolled = roll(series, window=250, method=method)
    for day in (0, 17, 49):
        risk = tail_risk(series[day : day + 250], method)
        assert (rolled.var_95[day], rolled.var_99[day]) == (risk.var_95, risk.var_99)
    assert (rolled.losses == -series[250:]).all()


@pytest.mark.parametrize("method", METHODS)
def test_no_estimate_knows_its_own_day_or_a_later_one(method: VarMethod) -> None:
    series = pnl()
    known = roll(series, window=100, method=method)
    for day in (100, 101, 200, 299):
        changed = series.copy()
        changed[day:] = -1e6
        again = roll(changed, window=100, method=method)
        upto = day - 100 + 1  # the estimate for `day` itself is made before it
        assert (again.var_95[:upto] == known.var_95[:upto]).all()
        assert (again.var_99[:upto] == known.var_99[:upto]).all()


def test_a_breach_is_a_loss_above_the_var_not_one_equal_to_it() -> None:
    series = np.asarray([-1.0] * 20 + [-1.0, -1.01, 5.0])
    assert roll(series, window=20, method=VarMethod.HISTORICAL).breached(99).tolist() == [False, True, False]


def test_the_levels_have_breaches_of_their_own() -> None:
    series = np.concatenate([-np.arange(1.0, 101.0), [-98.0]])
    rolled = roll(series, window=100, method=VarMethod.HISTORICAL)
    assert (rolled.breached(95).tolist(), rolled.breached(99).tolist()) == ([True], [False])


def test_days_on_which_cornish_fisher_gave_way_are_counted() -> None:
    wild = np.random.default_rng(1).standard_t(2, 140)
    rolled = roll(wild, window=100, method=VarMethod.CORNISH_FISHER)
    gave_way = [tail_risk(wild[day : day + 100], VarMethod.CORNISH_FISHER).fallback for day in range(40)]
    assert rolled.fallbacks == sum(gave_way) > 0


def test_a_window_of_nineteen_days_is_refused() -> None:
    with pytest.raises(ValueError, match="19"):
        roll(pnl(), window=19, method=VarMethod.HISTORICAL)


def test_a_window_that_leaves_no_day_is_refused() -> None:
    with pytest.raises(ValueError, match="leave none"):
        roll(pnl(50), window=50, method=VarMethod.HISTORICAL)


# --------------------------------------------------------------------------------------------------- Kupiec


@pytest.mark.parametrize(
    ("days", "percent", "least", "most"),
    # Kupiec 1995, table of non-rejection regions at 5 % confidence: N < 7, 1 < N < 11, and so on. (The first has no
    # lower bound there, though a year without a breach has a ratio of 5.13.)
    [(255, 99, 1, 6), (510, 99, 2, 10), (1000, 99, 5, 16), (255, 95, 7, 20), (510, 95, 17, 35), (1000, 95, 38, 64)],
)
def test_kupiecs_own_regions_come_out(days: int, percent: int, least: int, most: int) -> None:
    accepted = [n for n in range(120) if proportion_of_failures(days, n, percent).p_value > 0.05]
    assert (accepted[0], accepted[-1]) == (least, most)


@pytest.mark.parametrize(
    ("days", "breaches"), [(250, 1), (250, 10), (2000, 20), (2000, 41), (20, 20), (1, 0), (500, 0)]
)
def test_kupiec_is_twice_the_difference_of_binomial_likelihoods(days: int, breaches: int) -> None:
    ratio = proportion_of_failures(days, breaches, 99)
    free = stats.binom.logpmf(breaches, days, breaches / days)
    expected = 2 * (free - stats.binom.logpmf(breaches, days, 0.01))
    assert ratio.statistic == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert ratio.p_value == pytest.approx(stats.chi2.sf(ratio.statistic, 1), rel=1e-9)


def test_as_many_breaches_as_expected_say_nothing_against_the_model() -> None:
    ratio = proportion_of_failures(2000, 20, 99)
    assert ratio.statistic == pytest.approx(0, abs=1e-9)
    assert ratio.p_value == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(("days", "breaches"), [(0, 0), (10, 11), (10, -1)])
def test_breaches_that_cannot_be_are_refused(days: int, breaches: int) -> None:
    with pytest.raises(ValueError, match="breaches"):
        proportion_of_failures(days, breaches, 99)


# --------------------------------------------------------------------------------------------- Christoffersen


def likelihood_ratio(breached: Flags) -> float:
    """Return Christoffersen's ratio, a day at a time."""
    steps = list(zip(breached.tolist(), breached.tolist()[1:], strict=False))

    def share(before: bool | None) -> float:
        chosen = [after for was, after in steps if before is None or was == before]
        return float(np.mean(chosen))

    def log(after: bool, probability: float) -> float:
        return math.log(probability if after else 1 - probability)

    apart = sum(log(after, share(was)) for was, after in steps)
    together = sum(log(after, share(None)) for _, after in steps)
    return 2 * (apart - together)


@pytest.mark.parametrize(
    "breached",
    [flags(3, 4, 5, 40, of=100), flags(3, 40, 70, of=100), flags(*range(0, 100, 2), of=101), flags(0, 1, of=5)],
)
def test_independence_is_the_ratio_of_a_chain_with_memory_to_one_without(breached: Flags) -> None:
    ratio = independence(breached)
    assert ratio.statistic == pytest.approx(likelihood_ratio(breached), rel=1e-9)
    assert ratio.p_value == pytest.approx(stats.chi2.sf(ratio.statistic, 1), rel=1e-9)


def test_breaches_in_a_row_are_found() -> None:
    assert independence(flags(*range(50, 60), of=500)).p_value < 1e-6
    assert independence(flags(*range(0, 500, 50), of=500)).p_value > 0.4


@pytest.mark.parametrize("breached", [flags(of=50), flags(49, of=50), flags(*range(50), of=50), flags(0, of=1)])
def test_without_anything_to_tell_by_independence_stands(breached: Flags) -> None:
    assert (independence(breached).statistic, independence(breached).p_value) == (0.0, 1.0)


def test_coverage_is_both_with_two_degrees_of_freedom() -> None:
    breached = flags(3, 4, 5, 40, 90, of=250)
    kupiec, dependence = proportion_of_failures(250, 5, 99), independence(breached)
    both = conditional_coverage(kupiec, dependence)
    assert both.statistic == kupiec.statistic + dependence.statistic
    assert both.p_value == pytest.approx(stats.chi2.sf(both.statistic, 2), rel=1e-12)


# ---------------------------------------------------------------------------------------------- traffic light


@pytest.mark.parametrize("breaches", range(15))
def test_the_zones_of_250_days_are_those_of_the_basel_committee(breaches: int) -> None:
    expected = Zone.GREEN if breaches <= 4 else Zone.YELLOW if breaches <= 9 else Zone.RED
    assert traffic_light(250, breaches, 99) is expected


@pytest.mark.parametrize("percent", [95, 99])
@pytest.mark.parametrize("days", [1, 20, 250, 2000])
def test_zones_of_other_spans_have_the_same_probabilities(days: int, percent: int) -> None:
    for breaches in range(min(days, 200) + 1):
        probability = stats.binom.cdf(breaches, days, 1 - percent / 100)
        expected = Zone.RED if probability >= 0.9999 else Zone.YELLOW if probability >= 0.95 else Zone.GREEN
        if breaches < days:
            assert traffic_light(days, breaches, percent) is expected


def test_a_judgement_has_it_all() -> None:
    breached = flags(10, 11, 700, 990, of=1000)
    found = judge(breached, 99)
    assert (found.percent, found.days, found.breaches, found.expected) == (99, 1000, 4, 10.0)
    assert found.kupiec == proportion_of_failures(1000, 4, 99)
    assert found.independence == independence(breached)
    assert found.coverage == conditional_coverage(found.kupiec, found.independence)
    assert (found.zone, found.recent, found.recent_zone) == (Zone.GREEN, 1, Zone.GREEN)


def test_recent_breaches_may_be_red_where_all_of_them_are_not() -> None:
    found = judge(flags(*range(1985, 1995), of=2000), 99)
    assert (found.breaches, found.zone, found.recent, found.recent_zone) == (10, Zone.GREEN, 10, Zone.RED)


@given(st.lists(st.booleans(), min_size=1, max_size=300).map(lambda found: np.asarray(found, dtype=np.bool_)))
@examples(200)
def test_every_ratio_has_a_probability(breached: Flags) -> None:
    found = judge(breached, 99)
    for ratio in (found.kupiec, found.independence, found.coverage):
        assert ratio.statistic >= 0
        assert 0 <= ratio.p_value <= 1
