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


def bars(symbol: str, *closes: str, interval: Interval = Interval.DAY) -> None:
    PriceBar.objects.bulk_create(
        PriceBar(
            symbol=symbol,
            interval=interval,
            start=FIRST + timedelta(days=day),
            open=Decimal(close),
            high=Decimal(close),
            low=Decimal(close),
            close=Decimal(close),
        )
        for day, close in enumerate(closes)
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


def test_bars_of_minutes_are_no_days():
    bars("BTCUSDT", *rising(40), interval=Interval.MINUTE)
    assert publish_returns(now(50), days=500) is None
