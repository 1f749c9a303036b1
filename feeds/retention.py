"""How long history is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from feeds.models import EquityPoint, PriceBar


@dataclass(frozen=True, kw_only=True)
class Trimmed:
    """How many rows were removed."""

    bars: int = 0
    points: int = 0


def trim_history(now: datetime, *, price_days: int, equity_days: int) -> Trimmed:
    """Remove bars that began, and equity that was seen, more than so many days before `now`; 0 keeps them for ever."""
    bars = points = 0
    if price_days:
        bars, _ = PriceBar.objects.filter(start__lt=now - timedelta(days=price_days)).delete()
    if equity_days:
        points, _ = EquityPoint.objects.filter(at__lt=now - timedelta(days=equity_days)).delete()
    return Trimmed(bars=bars, points=points)
