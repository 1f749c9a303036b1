"""Reads the history of prices as aligned daily returns, and keeps that of equity.

Which days count: those on which *all* of the symbols have a close, and of these the latest. So a return may span some
days (a weekend, for a symbol that trades on it beside one that does not), and none is made up. A symbol that would take
the others' days away is left out and named: it has no closes, its closes ended, or it has far fewer than the others,
counted since its last gap.
A day that is made of the prices received counts once it is over: its last price so far is no close.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import reduce

import numpy as np
from django.db.models import Max, QuerySet
from django.utils import timezone

from feeds.models import EquityPoint, Interval, PriceBar
from riskcore.scenarios import PreparedReturns, prepare
from riskcore.var import LEAST_DAYS, Floats

# A symbol without a close for longer than this has ended: it is delisted, or its feed has stopped.
ENDED_AFTER = timedelta(days=7)

# What lies before a longer time without a close is no history of the symbol as it trades now. No exchange's holidays
# are as long.
GAP = timedelta(days=14)

# A day's last prices are written so long after it at most, unless something is down.
LAST_WRITTEN_AFTER = timedelta(minutes=5)


class LeftOut(StrEnum):
    """Why a symbol is not in the returns."""

    NO_PRICES = "no_prices"
    ENDED = "ended"
    TOO_SHORT = "too_short"


@dataclass(frozen=True, kw_only=True)
class History:
    """Daily returns, and what they cover.

    `days` are the dates of the returns, ascending, each to the close of that date. `left_out`: symbols that are not in
    them. `closes`: how many each symbol has in the span that was looked at, of which `days` and one more are used.
    """

    returns: PreparedReturns
    days: tuple[date, ...]
    left_out: Mapping[str, LeftOut]
    closes: Mapping[str, int]


def load_history(symbols: Collection[str], *, days: int, until: date | None = None) -> History:
    """Return aligned simple daily returns, close over the close before it less 1.

    Parameters
    ----------
    symbols
        As orders name them; in any order, which does not matter.
    days
        How many returns at most, at least 1. They are looked for in twice as many calendar days and 30 more.
    until
        The last date to look at; None: the latest there is.

    Returns
    -------
    History
        With fewer returns where there are fewer common days; `returns.version` is a hash of symbols, dates and returns.

    Raises
    ------
    ValueError
        `days` is under 1.
    """
    if days < 1:
        raise ValueError(f"{days} days are none")
    newest = _newest(symbols, until)
    if not newest:
        return _history({}, dict.fromkeys(symbols, LeftOut.NO_PRICES), {}, days)
    latest = max(newest.values())
    closes = _closes(newest, latest - timedelta(days=2 * days + 30), latest)
    end = max((max(found) for found in closes.values() if found), default=latest.date())
    counts = {symbol: len(found) for symbol, found in closes.items()}
    least = max(LEAST_DAYS + 1, min(days + 1, max(counts.values())) // 2)
    left_out = {symbol: LeftOut.NO_PRICES for symbol in symbols if symbol not in newest}
    for symbol, found in list(closes.items()):
        if not found or max(found) < end - ENDED_AFTER:
            left_out[symbol] = LeftOut.ENDED
        elif len(found) < least:
            left_out[symbol] = LeftOut.TOO_SHORT
    kept = {symbol: found for symbol, found in closes.items() if symbol not in left_out}
    return _history(kept, left_out, counts, days)


def do_keep_equity(points: Iterable[EquityPoint]) -> None:
    """Write points of equity; one that is there already for its account and moment stays as it is."""
    EquityPoint.objects.bulk_create(points, batch_size=2_000, ignore_conflicts=True)


def _days_of(symbols: Collection[str]) -> QuerySet[PriceBar]:
    """Return the symbols' bars of a day, without those that still grow."""
    over = timezone.now() - timedelta(days=1) - LAST_WRITTEN_AFTER
    bars = PriceBar.objects.filter(symbol__in=symbols, interval=Interval.DAY)
    return bars.exclude(first_at__isnull=False, start__gt=over)


def _newest(symbols: Collection[str], until: date | None) -> dict[str, datetime]:
    """Return the start of each symbol's latest bar, of those that have one."""
    bars = _days_of(symbols)
    if until is not None:
        bars = bars.filter(start__lte=datetime.combine(until, time(), UTC))
    return dict(bars.order_by().values_list("symbol").annotate(last=Max("start")))


def _closes(symbols: Collection[str], first: datetime, last: datetime) -> dict[str, dict[date, float]]:
    """Return closes by symbol and date, of two dates or between them, since each symbol's last gap.

    A day on which a feed only said again what the day before had closed with was no day of trading.
    """
    found: dict[str, dict[date, float]] = {symbol: {} for symbol in sorted(symbols)}
    before: dict[str, tuple[date, float]] = {}
    bars = _days_of(symbols).filter(start__range=(first, last)).order_by("start")
    columns = bars.values_list("symbol", "start", "high", "low", "close", "first_at")
    for symbol, start, high, low, close, first_at in columns.iterator(chunk_size=10_000):
        day, price = start.date(), float(close)
        last_day, last_price = before.get(symbol, (day, None))
        if first_at is not None and high == low == close and price == last_price:
            continue
        if day - last_day > GAP:
            found[symbol] = {}
        found[symbol][day] = price
        before[symbol] = day, price
    return found


def _history(
    closes: Mapping[str, Mapping[date, float]],
    left_out: Mapping[str, LeftOut],
    counts: Mapping[str, int],
    days: int,
) -> History:
    common: set[date] = reduce(set.intersection, map(set, closes.values())) if closes else set()
    dates = sorted(common)[-days - 1 :]
    prices = np.asarray([[closes[symbol][day] for symbol in closes] for day in dates], dtype=np.float64)
    prices = prices.reshape(len(dates), len(closes))
    returns = prices[1:] / prices[:-1] - 1
    of_days = tuple(dates[1:])
    return History(
        returns=prepare(tuple(closes), returns, _version(tuple(closes), of_days, returns)),
        days=of_days,
        left_out=dict(sorted(left_out.items())),
        closes=counts,
    )


def _version(symbols: tuple[str, ...], days: tuple[date, ...], returns: Floats) -> str:
    """Return a hash over all of it, the same on every machine."""
    found = hashlib.sha256("\n".join([*symbols, "", *(day.isoformat() for day in days), ""]).encode())
    found.update(np.ascontiguousarray(returns, dtype="<f8").tobytes())
    return found.hexdigest()
