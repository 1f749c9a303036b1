"""A past for the made-up market: what its pairs closed at on the days before it began.

Value at risk is worked out from the returns of many days, of which a market that has just begun has none.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

from simulator.amounts import steps_up
from simulator.market import PAIRS, Pair

_DAY = timedelta(days=1)
_DAYS_A_YEAR = 365.0


def closes(until: date, days: int, generator: random.Random) -> Iterator[tuple[str, date, Decimal]]:
    """Yield symbol, date and close of every pair, for `days` days up to `until`, on which it closed where it begins.

    Daily moves are those of `simulator.market.MadeMarket`, without its calm and its jumps.
    """
    departure = dict.fromkeys((pair.symbol for pair in PAIRS), 0.0)
    for back in range(days):
        common = generator.gauss(0.0, 1.0)
        for pair in PAIRS:
            yield pair.symbol, until - back * _DAY, _price(pair, departure[pair.symbol])
            shock = 0.8 * common + 0.6 * generator.gauss(0.0, 1.0)
            departure[pair.symbol] -= pair.volatility / math.sqrt(_DAYS_A_YEAR) * shock


def _price(pair: Pair, departure: float) -> Decimal:
    return max(pair.tick, steps_up(Decimal(pair.price * math.exp(departure)), pair.tick))
