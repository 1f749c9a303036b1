"""What the database refuses to keep as history, and how long it keeps the rest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction

from feeds import retention, tasks
from feeds.models import EquityPoint, PriceBar
from feeds.retention import Trimmed, trim_history

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PRICES = [("feeds_pricebar", name) for name in ("open", "high", "low", "close")]
FIGURES = [("feeds_equitypoint", name) for name in ("gross_exposure", "drawdown_daily", "var_95")]
AMOUNTS = [*PRICES, ("feeds_pricebar", "volume"), ("feeds_equitypoint", "equity"), *FIGURES]
NOT_NUMBERS = ["'NaN'", "'Infinity'", "'-Infinity'", "'inf'"]


def bar(days_ago: float = 0, interval: str = "1d", **values: object) -> PriceBar:
    prices = {"open": "10", "high": "12", "low": "9", "close": "11", "volume": "5"} | values
    return PriceBar.objects.create(symbol="ACME", interval=interval, start=NOW - timedelta(days=days_ago), **prices)


def point(days_ago: float = 0) -> EquityPoint:
    return EquityPoint.objects.create(account_id="desk-1", at=NOW - timedelta(days=days_ago), equity="100000.25")


@pytest.fixture
def rows() -> None:
    bar(), point()


def write(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def refused(statement: str) -> None:
    with pytest.raises(DatabaseError):
        write(statement)


# ------------------------------------------------------------------------------------------------ constraints


@pytest.mark.parametrize(("table", "column"), AMOUNTS)
@pytest.mark.parametrize("value", NOT_NUMBERS)
def test_what_is_not_a_number_is_refused(rows, table, column, value):
    refused(f"UPDATE {table} SET {column} = {value}")


@pytest.mark.parametrize(("table", "column"), AMOUNTS)
@pytest.mark.parametrize("value", ["9e999", "-9e999"])
def test_an_infinite_double_is_refused(rows, table, column, value):
    infinity = value if connection.vendor == "sqlite" else f"'{value.replace('9e999', 'Infinity')}'::float8"
    refused(f"UPDATE {table} SET {column} = {infinity}")


@pytest.mark.parametrize(("table", "column"), PRICES)
@pytest.mark.parametrize("value", ["0", "-1", "1000000000000001"])
def test_a_price_is_above_nothing_and_of_this_world(rows, table, column, value):
    refused(f"UPDATE {table} SET {column} = {value}")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE feeds_pricebar SET volume = -1",
        "UPDATE feeds_pricebar SET close = NULL",
        "UPDATE feeds_pricebar SET symbol = ''",
        "UPDATE feeds_pricebar SET interval = '2d'",
        "UPDATE feeds_equitypoint SET account_id = NULL",
        "UPDATE feeds_equitypoint SET equity = NULL",
        "UPDATE feeds_equitypoint SET equity = 1000000000000001",
    ],
)
def test_what_cannot_be_is_refused(rows, statement):
    refused(statement)


@pytest.mark.parametrize(("table", "column"), FIGURES)
@pytest.mark.parametrize("value", ["-1", "10000000000000000001"])
def test_a_figure_is_not_below_nothing(rows, table, column, value):
    refused(f"UPDATE {table} SET {column} = {value}")


@pytest.mark.parametrize("prices", ["high = 10.5", "low = 10.5", "high = 8", "open = 13", "open = 8", "close = 13"])
def test_a_bar_lies_between_its_high_and_its_low(rows, prices):
    refused(f"UPDATE feeds_pricebar SET {prices}")


def test_a_close_may_come_alone():
    alone = bar(open=None, high=None, low=None, volume=None)
    alone.refresh_from_db()
    assert (alone.open, alone.close) == (None, Decimal(11))


@pytest.mark.parametrize("again", [bar, point])
def test_a_moment_has_one_row(again):
    again()
    with pytest.raises(DatabaseError), transaction.atomic():
        again()


def test_equity_may_be_below_nothing(rows):
    write("UPDATE feeds_equitypoint SET equity = -5000.5")
    assert EquityPoint.objects.get().equity == Decimal("-5000.5")


@pytest.mark.parametrize("text", ["0.000000008441", "99999.1234567891", "1000000000000000"])
def test_a_price_comes_back_exactly(text):
    made = bar(open=None, high=None, low=None, close=Decimal(text))
    made.refresh_from_db()
    assert made.close == Decimal(text)


def test_history_is_found_by_its_time(rows):
    with connection.cursor() as cursor:
        for table, index in (("feeds_pricebar", "feeds_pricebar_start"), ("feeds_equitypoint", "feeds_equitypoint_at")):
            found = connection.introspection.get_constraints(cursor, table)[index]
            assert found["type"] == ("brin" if connection.vendor == "postgresql" else "idx")


@pytest.mark.parametrize("row", [bar, point])
def test_a_row_says_what_it_is(row):
    assert "2026-11-21 12:00" in str(row())


# -------------------------------------------------------------------------------------------------- retention


def test_what_is_older_than_the_days_is_removed():
    for days in (9, 10, 11):
        bar(days), point(days)
        bar(days, interval="1m"), bar(days, interval="1h")
    assert trim_history(NOW, price_days=10, intraday_days=9, equity_days=8) == Trimmed(bars=1 + 4, points=3)
    assert sorted(PriceBar.objects.values_list("interval", flat=True)) == ["1d", "1d", "1h", "1m"]
    assert EquityPoint.objects.count() == 0


@pytest.mark.parametrize("together", [1, 2, 3, 100])
def test_it_is_removed_some_at_a_time(monkeypatch, together):
    monkeypatch.setattr(retention, "_TOGETHER", together)
    for days in (1, 11, 12, 13, 14):
        bar(days), point(days)
    assert trim_history(NOW, price_days=10, intraday_days=10, equity_days=10) == Trimmed(bars=4, points=4)
    assert (PriceBar.objects.count(), EquityPoint.objects.count()) == (1, 1)


def test_no_days_keep_everything():
    bar(30_000), bar(30_000, interval="1m"), point(30_000)
    assert trim_history(NOW, price_days=0, intraday_days=0, equity_days=0) == Trimmed()
    assert (PriceBar.objects.count(), EquityPoint.objects.count()) == (2, 1)


def test_the_task_goes_by_the_settings(settings):
    settings.RISK_PRICE_HISTORY_DAYS, settings.RISK_EQUITY_HISTORY_DAYS = 20_000, 10_000
    settings.RISK_INTRADAY_HISTORY_DAYS = 10_000
    for interval in ("1d", "1m"):
        PriceBar.objects.create(symbol="ACME", interval=interval, start=datetime(1970, 1, 2, tzinfo=UTC), close=1)
    EquityPoint.objects.create(account_id="desk-1", at=datetime(1970, 1, 2, tzinfo=UTC), equity=1)
    bar(), point()
    tasks.trim_history()
    assert (PriceBar.objects.count(), EquityPoint.objects.count()) == (1, 1)


def test_the_task_outlives_an_outage_of_the_database(monkeypatch, caplog):
    def away(*_: object, **__: object) -> None:
        raise OperationalError("the server is away")

    monkeypatch.setattr(tasks, "trim", away)
    tasks.trim_history()
    assert "the server is away" in caplog.text


def test_days_are_kept_for_ever_by_default_and_what_is_within_them_for_a_month(settings):
    assert settings.RISK_PRICE_HISTORY_DAYS == 0
    assert (settings.RISK_INTRADAY_HISTORY_DAYS, settings.RISK_EQUITY_HISTORY_DAYS) == (30, 30)
