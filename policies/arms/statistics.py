"""How sure the difference of two rates is. Statistics on binary floats, not money."""

from __future__ import annotations

import math
from typing import NamedTuple

# The normal distribution's two-sided 95 %.
Z_95 = 1.959963984540054


class Interval(NamedTuple):
    """A 95 % confidence interval, as fractions."""

    low: float
    high: float


def of_rate(hits: int, count: int) -> Interval:
    """Return the interval of a rate: `hits` of `count`, both >= 0. Everything where nothing was counted.

    The score interval of Wilson (1927, Journal of the American Statistical Association 22).
    """
    if not count:
        return Interval(0.0, 1.0)
    rate, square = hits / count, Z_95 * Z_95
    middle = rate + square / (2 * count)
    spread = Z_95 * math.sqrt(rate * (1 - rate) / count + square / (4 * count * count))
    scale = 1 + square / count
    return Interval(max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale))


def of_difference(hits: int, count: int, other_hits: int, other_count: int) -> Interval:
    """Return the interval of a rate less another one, from -1 to 1. Everything where one of them was not counted.

    Newcombe's hybrid score interval (1998, Statistics in Medicine 17, method 10), which is sound for few and rare hits.
    """
    if not count or not other_count:
        return Interval(-1.0, 1.0)
    rate, other = hits / count, other_hits / other_count
    one, two = of_rate(hits, count), of_rate(other_hits, other_count)
    difference = rate - other
    below = math.hypot(rate - one.low, two.high - other)
    above = math.hypot(one.high - rate, other - two.low)
    return Interval(max(-1.0, difference - below), min(1.0, difference + above))
