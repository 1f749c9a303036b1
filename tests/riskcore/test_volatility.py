"""Volatility of a symbol."""

from __future__ import annotations

import math

import numpy as np
import pytest

from riskcore.volatility import volatility

MINUTE = 60_000_000
NOW = 1_767_787_200_000_000


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
