"""From bars to the returns that the book has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from feeds.models import Interval, PriceBar
from feeds.returns import publish_returns
from policies.book import loaded
from policies.defaults import ensure_defaults
from riskcore.book import Returns

pytestmark = pytest.mark.django_db

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def defaults(db):
    ensure_defaults()


def bars(symbol: str, *closes: str | None, interval: Interval = Interval.DAY, received: bool = False) -> None:
    PriceBar.objects.bulk_create(
        PriceBar(
            symbol=symbol,
            interval=interval,
            start=FIRST + timedelta(days=day),
            open=Decimal(close),
            high=Decimal(close),
            low=Decimal(close),
            close=Decimal(close),
            first_at=FIRST + timedelta(days=day) if received else None,
            last_at=FIRST + timedelta(days=day) if received else None,
        )
        for day, close in enumerate(closes)
        if close is not None
    )


def rising(count: int) -> list[str]:
    return [str(100 + day) for day in range(count)]


def now(day: int) -> datetime:
    """Noon of a day, the first being 0."""
    return FIRST + timedelta(days=day, hours=12)


def returns(version: int) -> Returns:
    found = loaded(version).returns
    assert isinstance(found, Returns)
    return found


def test_without_bars_there_is_nothing_to_publish():
    assert publish_returns(now(50), days=500) is None


def test_a_symbol_whose_history_is_too_short_makes_no_book():
    bars("BTCUSDT", *rising(20))
    assert publish_returns(now(50), days=500) is None


def test_each_symbol_has_its_daily_returns():
    bars("BTCUSDT", *rising(40))
    bars("ETHUSDT", *reversed(rising(40)))
    book = publish_returns(now(40), days=500)
    assert book is not None
    found = returns(book.version)
    assert (found.symbols, found.days) == (("BTCUSDT", "ETHUSDT"), 39)
    assert (found.since, found.until) == ("2026-01-02", "2026-02-09")
    table = np.frombuffer(found.values, dtype="<f8").reshape(2, 39)
    assert table[0, 0] == pytest.approx(101 / 100 - 1)
    assert table[1, -1] == pytest.approx(100 / 101 - 1)


def test_a_day_that_is_not_over_does_not_count():
    bars("BTCUSDT", *rising(41))
    book = publish_returns(now(40), days=500)
    assert book is not None
    assert returns(book.version).until == "2026-02-09"
    assert publish_returns(now(40) + timedelta(hours=11), days=500) is None
    tomorrow = publish_returns(now(41), days=500)
    assert tomorrow is not None
    assert returns(tomorrow.version).until == "2026-02-10"


def test_no_more_days_are_taken_than_wanted():
    bars("BTCUSDT", *rising(60))
    book = publish_returns(now(60), days=25)
    assert book is not None
    assert returns(book.version).days == 25


def test_a_feed_that_says_friday_s_price_all_weekend_makes_no_returns_of_nothing():
    prices = rising(40)
    bars("BTCUSDT", *prices)
    weekend = [prices[day - day % 7] if day % 7 in (1, 2) else prices[day] for day in range(40)]
    bars("ACME", *weekend, received=True)
    book = publish_returns(now(40), days=500)
    assert book is not None
    found = returns(book.version)
    table = np.frombuffer(found.values, dtype="<f8").reshape(2, found.days)
    assert (table != 0).all()
    assert found.days == 40 - 12 - 1  # twelve days of weekends, and the first has no return


def test_what_lies_before_a_long_gap_is_no_history():
    bars("BTCUSDT", *rising(60))
    bars("STRAY", *rising(35), *[None] * 20, *rising(5))
    book = publish_returns(now(60), days=500)
    assert book is not None
    found = returns(book.version)
    assert (found.symbols, found.days) == (("BTCUSDT",), 59)


def test_where_all_have_the_gap_only_what_is_after_it_counts():
    bars("BTCUSDT", *rising(35), *[None] * 20, *rising(30))
    book = publish_returns(now(85), days=500)
    assert book is not None
    assert returns(book.version).days == 29


def test_bars_of_minutes_are_no_days():
    bars("BTCUSDT", *rising(40), interval=Interval.MINUTE)
    assert publish_returns(now(50), days=500) is None
