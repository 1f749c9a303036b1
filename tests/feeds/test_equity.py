"""Points of equity: as states said them, one an interval, however many keep them; and none that are made up."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from prometheus_client import REGISTRY

from feeds import equity as module
from feeds import tasks
from feeds.apply import apply_report
from feeds.books import BOOKS, CompiledBooks
from feeds.equity import keep_equity
from feeds.models import EquityPoint
from riskcore.book import encode_book
from riskcore.calendar import microseconds
from riskcore.ports import AccountChange, AccountQuery, Commit, Load
from riskcore.report import AccountReport, PositionsReport, positions_steps
from riskcore.types import Position
from state.driver import run_sync
from state.memory_store import MemoryStore
from state.wiring import forget_stores
from state.wiring import store as live
from tests.riskcore import builders
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BOOK = builders.book(accounts=tuple(builders.account(name) for name in ("A", "B", "C")))


class World:
    """A live state whose clock tests set."""

    def __init__(self) -> None:
        self.now = NOON
        self.store = MemoryStore(lambda: microseconds(self.now))
        self.store.restore(book_version=1, content=encode_book(BOOK), stops=(), keys=b"[]")
        self.books = CompiledBooks()

    def report(self, equity: int | str, account_id: str = "A", after: timedelta = timedelta()) -> None:
        self.now += after
        apply_report(self.store, self.books, report(equity, account_id))

    def keep(self, after: timedelta = timedelta()) -> int:
        self.now += after
        return keep_equity(self.store, self.books, MINUTE)


def report(equity: int | str, account_id: str = "A") -> AccountReport:
    return AccountReport(account_id=account_id, equity=Decimal(equity), margin_used=Decimal(0), positions={})


@pytest.fixture
def world() -> World:
    return World()


def kept(account_id: str = "A") -> list[tuple[datetime, Decimal]]:
    return list(EquityPoint.objects.filter(account_id=account_id).order_by("at").values_list("at", "equity"))


def lost(reason: str) -> float:
    return REGISTRY.get_sample_value("risk_history_lost_total", {"kind": "equity", "reason": reason}) or 0.0


def test_equity_is_kept_as_of_when_it_was_said(world):
    world.report("100000.123456789012")
    assert world.keep(after=timedelta(seconds=3)) == 2
    assert kept() == [
        (NOON, Decimal("100000.123456789012" if connection.vendor == "postgresql" else "100000.123456789"))
    ]


def test_every_account_has_its_own(world):
    for number, account_id in enumerate("ABC"):
        world.report(100 + number, account_id)
    assert world.keep() == 4
    assert {account_id: kept(account_id) for account_id in "ABC"} == {
        account_id: [(NOON, Decimal(100 + number))] for number, account_id in enumerate("ABC")
    }


def test_a_second_beat_finds_the_point_of_the_first(world):
    world.report(100)
    assert world.keep() == 2
    world.report(90, after=timedelta(seconds=20))
    assert world.keep(after=timedelta(seconds=1)) == 0
    assert kept() == [(NOON, Decimal(100))]


def test_a_beat_a_little_early_keeps_a_point_all_the_same(world):
    world.report(100)
    world.keep()
    world.report(90, after=MINUTE - timedelta(seconds=2))
    assert world.keep() == 2
    assert [equity for _, equity in kept()] == [100, 90]


def test_an_account_that_is_silent_has_no_new_points(world):
    world.report(100)
    world.keep()
    for _ in range(3):
        assert world.keep(after=MINUTE) == 0
    assert kept() == [(NOON, Decimal(100))]


def test_the_last_word_of_a_silent_account_is_kept_after_an_outage(world):
    world.report(100)
    world.keep(after=timedelta(hours=1))
    assert kept() == [(NOON, Decimal(100))]


def test_negative_equity_is_kept(world):
    world.report("-5000.5")
    world.keep()
    assert kept() == [(NOON, Decimal("-5000.5"))]


def test_equity_that_nobody_has_told_is_not_kept(world):
    positions = {"X": Position(symbol="X", quantity=Decimal(1))}
    run_sync(positions_steps(PositionsReport(account_id="A", positions=positions)), world.store, world.books)
    assert world.keep() == 0
    assert kept() == []


def test_equity_that_the_database_refuses_is_counted_and_keeps_nobody_else_out(world, caplog):
    before = lost("refused")
    world.report("1000000000000001", "A")
    world.report(7, "B")
    assert world.keep() == 1
    assert (kept("A"), kept("B")) == ([], [(NOON, Decimal(7))])
    assert lost("refused") == before + 2  # the firm is as large
    assert "account A" in caplog.text


def test_a_state_that_cannot_be_read_is_counted_and_keeps_nobody_else_out(world, caplog):
    before = lost("unreadable")
    change = AccountChange(account_id="A", expected_version=0, state=b"{")
    load = Load(accounts=(AccountQuery(account_id="A"),))
    world.store.commit(Commit(expect=None, changes=(change,), journal=(), reload=load))
    world.report(7, "B")
    assert world.keep() == 2
    assert lost("unreadable") == before + 1
    assert "account A" in caplog.text


def test_every_report_that_is_kept_is_a_point(world):
    for minutes, equity in enumerate((100, 120, 90, 95)):
        world.now = NOON + minutes * MINUTE
        world.report(equity)
        world.keep()
    points = list(EquityPoint.objects.filter(account_id="A").order_by("at").values_list("at", "equity"))
    assert [equity for _, equity in points] == [100, 120, 90, 95]
    assert [later - earlier for (earlier, _), (later, _) in pairwise(points)] == [timedelta(minutes=1)] * 3


@pytest.mark.django_db(transaction=True)
def test_beats_at_the_same_time_keep_one_point(world):
    together = threading.Barrier(4)
    world.report(100)
    failed: list[BaseException] = []

    def run(number: int) -> None:
        try:
            together.wait(PATIENCE_S)
            world.report(100 + number, after=timedelta(microseconds=1))
            keep_equity(world.store, world.books, MINUTE)
        except BaseException as error:
            failed.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(kept()) == 1


def test_while_another_task_writes_this_one_leaves_it_alone(world, postgres_server):
    world.report(100)
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (module._LOCK,))
        assert (world.keep(), kept()) == (0, [])
        cursor.execute("SELECT pg_advisory_unlock(%s)", (module._LOCK,))
    other.close()
    assert world.keep() == 2


@pytest.fixture
def in_redis(clean_redis):
    forget_stores()
    BOOKS.forget()
    live().restore(book_version=1, content=encode_book(BOOK), stops=(), keys=b"[]")
    yield live()
    forget_stores()
    BOOKS.forget()


def test_the_task_keeps_what_is_in_redis(in_redis):
    for account_id in "ABC":
        apply_report(in_redis, BOOKS, report(100, account_id))
    tasks.keep_equity()
    tasks.keep_equity()
    assert EquityPoint.objects.count() == 4


def test_the_task_outlives_an_outage_of_the_database(monkeypatch, caplog):
    def away(*_: Any) -> None:
        raise OperationalError("the server is away")

    monkeypatch.setattr(module, "keep_equity", away)
    tasks.keep_equity()
    assert "the server is away" in caplog.text


def test_a_point_a_minute_is_the_default(settings):
    assert settings.RISK_EQUITY_INTERVAL == MINUTE
