"""Intervals of rates and of their difference, against published figures and by what must be true of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.arms.statistics import of_difference, of_rate

COUNTS = st.integers(1, 10_000).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count)))


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_rates_as_published(hits, count, low, high):
    assert of_rate(hits, count) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17:873, table II, method 10.
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_differences_as_published(one, other, low, high):
    assert of_difference(*one, *other) == pytest.approx((low, high), abs=5e-5)


def test_of_nothing_nothing_is_known():
    assert of_rate(0, 0) == (0, 1)
    assert of_difference(0, 0, 3, 10) == of_difference(3, 10, 0, 0) == (-1, 1)


@given(COUNTS, COUNTS)
def test_a_difference_is_within_its_interval_and_turns_with_its_sides(one, other):
    low, high = of_difference(*one, *other)
    assert -1 <= low <= one[0] / one[1] - other[0] / other[1] <= high <= 1
    assert of_difference(*other, *one) == pytest.approx((-high, -low))
