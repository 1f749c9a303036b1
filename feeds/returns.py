"""Daily returns, from the bars that are kept to the book that checks go by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db.models import Count, Max, Sum

from feeds.history import History, load_history
from feeds.models import Interval, PriceBar
from policies.models import Book
from policies.returns import do_publish_returns
from riskcore.book import Returns


def signature() -> tuple[object, ...]:
    """Return what tells a history of daily prices from another, without reading all of it."""
    bars = PriceBar.objects.filter(interval=Interval.DAY)
    return tuple(bars.aggregate(Count("id"), Max("start"), Max("last_at"), Sum("close")).values())


def publish_returns(now: datetime, *, days: int) -> Book | None:
    """Publish the last `days` daily returns of every symbol that has a history; return the book that this made, if any.

    A day counts once it is over (UTC): figures that moved with today's last price would make a book each time. None
    where nothing has changed, or there is no history. Raises Django's database errors.
    """
    yesterday = (now.astimezone(UTC) - timedelta(days=1)).date()
    symbols = PriceBar.objects.filter(interval=Interval.DAY).order_by().values_list("symbol", flat=True).distinct()
    history = load_history(list(symbols), days=days, until=yesterday)
    if not history.days:
        return None
    returns = as_published(history)
    return do_publish_returns(returns, reason=f"Prices to {returns.until}")


def as_published(history: History) -> Returns:
    """Return a history, of at least one day, as a book has it."""
    prepared = history.returns
    return Returns(
        version=prepared.version,
        symbols=prepared.symbols,
        days=prepared.days,
        since=history.days[0].isoformat(),
        until=history.days[-1].isoformat(),
        values=prepared.columns.astype("<f8").tobytes(),
    )
