"""Prices received become bars of a minute and of a day: each once and whole, whatever happens on the way."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, OperationalError, connections, transaction
from django.utils import timezone
from prometheus_client import REGISTRY

from feeds import bars as module
from feeds import tasks
from feeds.bars import keep_bars
from feeds.history import load_history
from feeds.models import Interval, PriceBar
from riskcore.calendar import microseconds, moment
from state.bars import BARS_LIFE_S, Bar, encode_bar
from state.keys import BAR_MINUTES, BARS, prefix
from state.memory_store import MemoryStore
from state.wiring import forget_stores
from state.wiring import store as live
from tests.feeds.market import keep

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PRICES = ("open", "high", "low", "close")


class Clock:
    """The present moment, as tests set it."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return microseconds(self.now)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock) -> MemoryStore:
    return MemoryStore(clock)


@pytest.fixture
def trade(store, clock) -> Callable[..., None]:
    """Return what puts prices, one a second, from a moment on."""

    def put(*prices: Any, at: datetime = NOON, symbol: str = "ACME") -> None:
        for seconds, price in enumerate(prices):
            clock.now = at + timedelta(seconds=seconds)
            store.put_prices({symbol: (str(price), 0)})

    return put


def kept(interval: str = "1m", **which: Any) -> dict[datetime, tuple[int, ...]]:
    """Return open, high, low and close by the start of their bars."""
    rows = PriceBar.objects.filter(interval=interval, **which).values_list("start", *PRICES)
    return {start: tuple(map(int, prices)) for start, *prices in rows}


def lost(kind: str, reason: str) -> float:
    return REGISTRY.get_sample_value("risk_history_lost_total", {"kind": kind, "reason": reason}) or 0.0


def test_a_minute_that_is_not_over_is_not_kept(store, trade, clock):
    trade(5)
    clock.now = NOON + MINUTE - timedelta(microseconds=1)
    assert keep_bars(store, length=Interval.MINUTE) == 0
    assert not PriceBar.objects.exists()


def test_a_minute_that_is_over_is_kept_with_its_day(store, trade, clock):
    trade(5, 9, 2, 6)
    clock.now = NOON + MINUTE
    assert keep_bars(store, length=Interval.MINUTE) == 1
    assert kept("1m") == {NOON: (5, 9, 2, 6)}
    assert kept("1d") == {NOON.replace(hour=0): (5, 9, 2, 6)}
    row = PriceBar.objects.get(interval="1m")
    assert (row.symbol, row.first_at, row.last_at) == ("ACME", NOON, NOON + timedelta(seconds=3))
    assert row.volume is None
    assert store.bars.minutes() == {}


def test_prices_are_kept_exactly(store, trade, clock):
    trade("0.000000008441", "99999.1234567891")
    clock.now += MINUTE
    keep_bars(store, length=Interval.MINUTE)
    row = PriceBar.objects.get(interval="1m")
    assert (row.low, row.high) == (Decimal("0.000000008441"), Decimal("99999.1234567891"))


def test_a_day_is_what_its_minutes_make(store, trade, clock):
    trade(5, 9, 6)
    trade(6, 7, at=NOON + 3 * MINUTE)
    trade(8, 1, 4, at=NOON + timedelta(hours=5))
    trade(50, at=NOON + timedelta(hours=12))
    clock.now += MINUTE
    assert keep_bars(store, length=Interval.MINUTE) == 4
    midnight = NOON.replace(hour=0)
    assert kept("1d") == {midnight: (5, 9, 1, 4), midnight + timedelta(days=1): (50, 50, 50, 50)}
    assert len(kept("1m")) == 4


@pytest.mark.parametrize(
    ("length", "bars"),
    [(Interval.HOUR, {"1h": 2, "1d": 1, "1m": 0}), (Interval.DAY, {"1h": 0, "1d": 1, "1m": 0})],
)
def test_bars_are_as_long_as_is_said(store, trade, clock, length, bars):
    trade(5, 9)
    trade(6, 7, at=NOON + 3 * MINUTE)
    trade(8, at=NOON + timedelta(hours=1))
    clock.now += MINUTE
    keep_bars(store, length=length)
    assert {interval: len(kept(interval)) for interval in bars} == bars
    if length is Interval.HOUR:
        assert kept("1h")[NOON] == (5, 9, 5, 7)


def test_every_symbol_has_its_own(store, trade, clock):
    trade(5, symbol="ACME")
    trade(7, symbol="EMCA")
    clock.now += MINUTE
    keep_bars(store, length=Interval.MINUTE)
    assert kept(symbol="ACME") == {NOON: (5, 5, 5, 5)}
    assert kept(symbol="EMCA") == {NOON: (7, 7, 7, 7)}


# ------------------------------------------------------------------------------------- what happens on the way


def test_a_task_that_dies_before_it_forgets_does_no_harm(store, trade, clock, monkeypatch):
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    trade(5, 9, 2, 6)
    clock.now += MINUTE
    with monkeypatch.context() as dying:
        dying.setattr(type(store.bars), "forget", die)
        with pytest.raises(KeyboardInterrupt):
            keep_bars(store, length=Interval.MINUTE)
    assert keep_bars(store, length=Interval.MINUTE) == 1
    assert list(kept().values()) == list(kept("1d").values()) == [(5, 9, 2, 6)]


def test_a_live_state_that_was_lost_within_a_minute_continues_its_bar(store, trade, clock):
    trade(5, 9, 6)
    keep_bars(store, length=Interval.MINUTE, running=True)
    again = MemoryStore(clock)
    for seconds, price in ((30, 7), (31, 1), (32, 8)):
        clock.now = NOON + timedelta(seconds=seconds)
        again.put_prices({"ACME": (str(price), 0)})
    clock.now = NOON + MINUTE
    keep_bars(again, length=Interval.MINUTE)
    assert kept("1m") == {NOON: (5, 9, 1, 8)}
    assert list(kept("1d").values()) == [(5, 9, 1, 8)]


def test_pieces_of_a_bar_come_to_the_same_in_any_order():
    pieces = [(0, (5, 9, 4, 6)), (10, (7, 8, 1, 2)), (20, (3, 3, 3, 3))]
    for number, order in enumerate(itertools.permutations(pieces * 2, 6)):
        if number % 60:
            continue
        PriceBar.objects.all().delete()
        for at, prices in order:
            opened, high, low, close = map(Decimal, prices)
            first_us = microseconds(NOON) + at
            bar = Bar(opened, high, low, close, first_us, first_us + 5)
            module._write(tuple(module._rows(microseconds(NOON), {"ACME": bar}, Interval.MINUTE)))
        assert kept() == {NOON: (5, 9, 1, 3)}, order


def test_a_minute_that_still_runs_is_kept_again_as_it_grows(store, trade, clock):
    trade(5, 9)
    assert keep_bars(store, length=Interval.MINUTE, running=True) == 0
    assert kept() == {NOON: (5, 9, 5, 9)}
    trade(1, at=NOON + timedelta(seconds=40))
    clock.now = NOON + MINUTE
    assert keep_bars(store, length=Interval.MINUTE, running=True) == 1
    assert kept() == {NOON: (5, 9, 1, 1)}


def test_a_clock_that_is_put_back_loses_nothing(store, trade, clock):
    trade(5, at=NOON + timedelta(seconds=50))
    trade(9, at=NOON + timedelta(seconds=40))
    clock.now = NOON + MINUTE
    keep_bars(store, length=Interval.MINUTE)
    assert kept() == {NOON: (5, 9, 5, 9)}
    trade(4, at=NOON + timedelta(seconds=55))
    clock.now = NOON + MINUTE
    keep_bars(store, length=Interval.MINUTE)
    assert kept() == {NOON: (5, 9, 4, 4)}


def test_bars_wait_while_the_database_is_away(store, trade, clock, monkeypatch):
    def away(*_: object) -> None:
        raise OperationalError("the server is away")

    trade(5, 6)
    trade(7, 8, at=NOON + MINUTE)
    clock.now += MINUTE
    with monkeypatch.context() as outage:
        outage.setattr(module, "_merge", away)
        with pytest.raises(OperationalError):
            keep_bars(store, length=Interval.MINUTE)
    assert len(store.bars.minutes()) == 2
    assert keep_bars(store, length=Interval.MINUTE) == 2
    assert kept() == {NOON: (5, 6, 5, 6), NOON + MINUTE: (7, 8, 7, 8)}


def test_what_the_database_refuses_is_counted_and_keeps_nothing_else_out(store, trade, clock, caplog):
    before = lost("bars", "refused")
    trade("5000000000000000", symbol="HUGE")
    trade(5)
    clock.now += MINUTE
    assert keep_bars(store, length=Interval.MINUTE) == 1
    assert kept() == {NOON: (5, 5, 5, 5)}
    assert lost("bars", "refused") == before + 2  # the minute and the day
    assert "HUGE" in caplog.text
    assert store.bars.minutes() == {}


def test_what_waited_too_long_is_counted(store, trade, clock, caplog):
    before = lost("bars", "expired")
    trade(5)
    trade(7, symbol="EMCA")
    trade(6, at=NOON + timedelta(seconds=BARS_LIFE_S + 120))
    clock.now += MINUTE
    keep_bars(store, length=Interval.MINUTE)
    assert lost("bars", "expired") == before + 2
    assert "waited too long" in caplog.text
    assert list(kept()) == [NOON + timedelta(seconds=BARS_LIFE_S + 120)]
    assert store.bars.minutes() == {}


@pytest.mark.django_db(transaction=True)
def test_tasks_at_the_same_time_write_every_bar_once(store, trade, clock):
    for number in range(20):
        trade(number + 1, 100 + number, at=NOON + number * MINUTE, symbol="ACME")
        trade(number + 2, at=NOON + number * MINUTE, symbol="EMCA")
    clock.now += MINUTE
    failed: list[BaseException] = []

    def run() -> None:
        try:
            keep_bars(store, length=Interval.MINUTE)
        except BaseException as error:
            failed.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert kept(symbol="ACME") == {
        NOON + number * MINUTE: (number + 1, 100 + number, number + 1, 100 + number) for number in range(20)
    }
    assert list(kept("1d", symbol="ACME").values()) == [(1, 119, 1, 119)]
    assert store.bars.minutes() == {}


# ------------------------------------------------------------------------------------------- beside what is imported


@pytest.mark.parametrize("interval", ["1m", "1d"])
def test_what_a_file_says_is_not_changed(store, trade, clock, interval):
    PriceBar.objects.create(symbol="ACME", interval=interval, start=start_of(interval), close=777)
    trade(5, 6)
    clock.now += MINUTE
    keep_bars(store, length=Interval.MINUTE)
    row = PriceBar.objects.get(interval=interval)
    assert (row.open, row.close, row.first_at) == (None, Decimal(777), None)
    assert PriceBar.objects.count() == 2


def test_a_file_replaces_what_was_received_for_good(store, trade, clock, tmp_path):
    trade(5, 6)
    clock.now += MINUTE
    keep_bars(store, length=Interval.MINUTE)
    file = tmp_path / "closes.csv"
    file.write_text(f"symbol,date,close\nACME,{NOON.date()},777\n")
    call_command("import_prices", str(file), stdout=StringIO())
    trade(9, at=NOON + 5 * MINUTE)
    clock.now += MINUTE
    keep_bars(store, length=Interval.MINUTE)
    row = PriceBar.objects.get(interval="1d")
    assert (row.open, row.close, row.first_at, row.last_at) == (None, Decimal(777), None, None)


def start_of(interval: str) -> datetime:
    return NOON.replace(hour=0) if interval == "1d" else NOON


@pytest.fixture
def history() -> datetime:
    """Closes of the thirty days before today, which is returned."""
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    keep({"ACME": {(today - timedelta(days=day)).date(): 100.0 + day for day in range(1, 31)}})
    return today


def received(day: datetime, close: int = 55) -> None:
    PriceBar.objects.filter(start=day).delete()
    prices = dict.fromkeys(PRICES, close)
    PriceBar.objects.create(symbol="ACME", interval="1d", start=day, first_at=day, last_at=day, **prices)


def test_a_day_that_still_runs_has_no_close_yet(history):
    before = load_history(["ACME"], days=100)
    received(history)
    after = load_history(["ACME"], days=100)
    assert (after.days, after.returns.version) == (before.days, before.returns.version)
    assert load_history(["ACME"], days=100, until=history.date()).days == before.days


def test_a_day_that_is_over_has_one(history):
    received(history - timedelta(days=2))
    found = load_history(["ACME"], days=100)
    assert found.days[-2:] == ((history - timedelta(days=2)).date(), (history - timedelta(days=1)).date())
    assert found.returns.columns[0][-1] == pytest.approx(101 / 55 - 1)


def test_the_database_keeps_no_half_of_when_prices_were_received():
    for values in ({"first_at": NOON}, {"last_at": NOON}, {"first_at": NOON, "last_at": NOON - MINUTE}):
        with pytest.raises(IntegrityError), transaction.atomic():
            PriceBar.objects.create(symbol="ACME", interval="1m", start=NOON, close=5, **values)


# ------------------------------------------------------------------------------------------------------ the task


def test_the_task_keeps_what_is_over(clean_redis, redis_server):
    forget_stores()
    live().put_prices({"EMCA": ("5", 0)})
    start_us = microseconds(NOON - timedelta(days=400))
    record = encode_bar(Bar(Decimal(5), Decimal(9), Decimal(2), Decimal(6), start_us, start_us))
    with redis_server.connect() as client:
        client.hset(f"{prefix(0)}{BARS}{start_us}", "ACME", record)
        client.hset(f"{prefix(0)}{BAR_MINUTES}", str(start_us), 1)
    tasks.keep_bars()
    assert kept(symbol="ACME") == {moment(start_us): (5, 9, 2, 6)}
    assert start_us not in live().bars.minutes()
    forget_stores()


def test_the_task_outlives_an_outage_of_the_database(monkeypatch, caplog):
    def away(*_: object, **__: object) -> None:
        raise OperationalError("the server is away")

    monkeypatch.setattr(module, "keep_bars", away)
    tasks.keep_bars()
    assert "the server is away" in caplog.text
