"""Volatility, and the drawdown of the last minutes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskcore.volatility import drawdown_rapid, volatility
from tests.riskcore.properties import examples

MINUTE = 60_000_000
NOW = 1_767_787_200_000_000


def fallen(*points: tuple[float, float], minutes: float = 5.0) -> float | None:
    """Return the drawdown now, of equities by how many minutes ago they were."""
    times = np.asarray([NOW - round(ago * MINUTE) for ago, _ in points], dtype=np.int64)
    return drawdown_rapid(times, np.asarray([equity for _, equity in points], dtype=np.float64), NOW, minutes=minutes)


def test_one_per_cent_a_day_is_16_per_cent_a_year() -> None:
    returns = np.asarray([0.01, -0.01] * 50)
    assert volatility(returns) == pytest.approx(0.01 * math.sqrt(252), rel=1e-12)


def test_a_market_that_never_closes_has_365_days() -> None:
    assert volatility(np.full(30, 0.01), days_per_year=365) == pytest.approx(0.01 * math.sqrt(365), rel=1e-12)


def test_it_follows_the_recursion_of_riskmetrics() -> None:
    returns = np.random.default_rng(3).normal(0, 0.02, 1_000)
    variance = 0.0
    for each in returns:
        variance = 0.94 * variance + 0.06 * each**2
    assert volatility(returns) == pytest.approx(math.sqrt(252 * variance), rel=1e-9)


def test_a_longer_memory_forgets_a_bad_day_later() -> None:
    returns = np.asarray([0.2] + [0.001] * 99)
    short, long = volatility(returns, decay=0.9), volatility(returns, decay=0.99)
    assert short is not None
    assert long is not None
    assert long > 2 * short


def test_a_price_that_does_not_move_has_none() -> None:
    assert volatility(np.zeros(30)) == 0.0


def test_nineteen_returns_are_too_few_to_know() -> None:
    assert volatility(np.full(19, 0.01)) is None
    assert volatility(np.full(20, 0.01)) is not None


def test_returns_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        volatility(np.asarray([0.01] * 30 + [math.nan]))
    with pytest.raises(ValueError, match="shape"):
        volatility(np.zeros((30, 2)))


def test_five_per_cent_are_exactly_the_limit() -> None:
    assert fallen((4, 100_000), (1, 95_000)) == 0.05


def test_the_fall_is_from_the_high_before_it() -> None:
    assert fallen((4, 90), (3, 100), (2, 80), (1, 120), (0, 108)) == 0.2


def test_what_rises_only_has_not_fallen() -> None:
    assert fallen((4, 90), (3, 100), (2, 100)) == 0.0


def test_a_high_before_the_window_does_not_count() -> None:
    assert fallen((5.1, 200), (4, 100), (1, 90)) == 0.1


def test_both_ends_of_the_window_belong_to_it() -> None:
    assert fallen((5, 200), (0, 100)) == 0.5


def test_what_comes_after_now_is_not_looked_at() -> None:
    assert fallen((1, 100), (0, 90), (-1, 10)) == 0.1


def test_the_window_may_be_longer() -> None:
    assert fallen((59, 100), (1, 90), minutes=60) == 0.1


def test_a_loss_of_more_than_everything_is_above_one() -> None:
    assert fallen((4, 100), (1, -50)) == 1.5


def test_equity_seen_twice_in_one_moment_is_taken_in_turn() -> None:
    assert fallen((1, 100), (1, 80)) == 0.2


@pytest.mark.parametrize("points", [(), ((6, 100),), ((1, 0), (0, 50)), ((1, -1),)])
def test_it_is_not_known_without_a_point_above_nothing(points: tuple[tuple[float, float], ...]) -> None:
    assert fallen(*points) is None


def test_points_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="ascend"):
        fallen((1, 100), (2, 100))
    with pytest.raises(ValueError, match="finite"):
        fallen((1, math.nan))
    with pytest.raises(ValueError, match="as many"):
        drawdown_rapid(np.zeros(2, dtype=np.int64), np.ones(3), NOW)


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=60))
@examples(200)
def test_it_is_the_largest_of_all_falls_from_one_point_to_a_later_one(equities: list[int]) -> None:
    falls = [0.0]
    falls += [(high - low) / high for at, high in enumerate(equities) for low in equities[at:]]
    points = [(4 - 4 * at / len(equities), equity) for at, equity in enumerate(equities)]
    assert fallen(*points) == max(falls)
