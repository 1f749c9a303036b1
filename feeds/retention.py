"""How long history is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from feeds.models import EquityPoint, Interval, PriceBar

# Rows of one transaction: what is removed for the first time may be months of minutes, and nobody waits for that long.
_TOGETHER = 50_000


@dataclass(frozen=True, kw_only=True)
class Trimmed:
    """How many rows were removed."""

    bars: int = 0
    points: int = 0


def trim_history(now: datetime, *, price_days: int, intraday_days: int, equity_days: int) -> Trimmed:
    """Remove bars that began, and equity that was seen, more than so many days before `now`; 0 keeps them for ever.

    `price_days` is for the bars of a day, `intraday_days` for all that are shorter.
    """
    of_a_day = PriceBar.objects.filter(interval=Interval.DAY)
    within_a_day = PriceBar.objects.exclude(interval=Interval.DAY)
    bars = _remove(of_a_day, "start", now, price_days) + _remove(within_a_day, "start", now, intraday_days)
    return Trimmed(bars=bars, points=_remove(EquityPoint.objects.all(), "at", now, equity_days))


def _remove(rows: QuerySet[Any], moment: str, now: datetime, days: int) -> int:
    """Remove rows that are older than so many days, some at a time, and return how many."""
    if not days:
        return 0
    old = rows.filter(**{f"{moment}__lt": now - timedelta(days=days)}).order_by()
    removed = 0
    while True:
        some: int = rows.model._default_manager.filter(pk__in=old.values("pk")[:_TOGETHER]).delete()[0]
        removed += some
        if some < _TOGETHER:
            return removed
