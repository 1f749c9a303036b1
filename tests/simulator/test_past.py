"""A past for the made-up market: its own prices and moves, and the same for the same seed."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from datetime import date, timedelta

from simulator.market import PAIRS
from simulator.past import closes

UNTIL = date(2026, 1, 31)


def past(days: int, seed: int = 1) -> dict[str, dict[date, float]]:
    found: dict[str, dict[date, float]] = {}
    for symbol, day, close in closes(UNTIL, days, random.Random(seed)):
        found.setdefault(symbol, {})[day] = float(close)
    return found


def test_every_pair_closed_on_every_day_and_last_where_it_begins():
    found = past(30)
    assert found.keys() == {pair.symbol for pair in PAIRS}
    for pair in PAIRS:
        assert set(found[pair.symbol]) == {UNTIL - timedelta(days=back) for back in range(30)}
        assert math.isclose(found[pair.symbol][UNTIL], pair.price, rel_tol=0.001)


def test_it_moves_as_much_as_the_market_does():
    found = past(2_000)
    for pair in PAIRS:
        prices = [found[pair.symbol][day] for day in sorted(found[pair.symbol])]
        moves = [math.log(later / earlier) for earlier, later in itertools.pairwise(prices)]
        assert math.isclose(statistics.stdev(moves) * math.sqrt(365), pair.volatility, rel_tol=0.1)


def test_the_same_seed_has_the_same_past():
    assert past(5) == past(5)
    assert past(5) != past(5, seed=2)
