"""Orders blocked for a limit are violations too: each counted once, however often anything is done."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from django.conf import settings
from django.db import connection
from msgspec import Raw
from msgspec.structs import replace

from audit.drain import drain
from audit.models import OrderDecision
from riskcore.book import Book, OnBreach
from riskcore.calendar import moment
from riskcore.types import Price
from tests.audit.subjects import BOOK, NOW_US, STATE, Journal, decided, inputs, released
from violations import blocks, breaker
from violations.inbox import ensure_trigger
from violations.models import BlockedOrder, BreakerCount, Violation

pytestmark = pytest.mark.django_db

BIG = Decimal(50)  # 50 x 50,000 is 25 times the equity
WINDOW = timedelta(minutes=5)


def now(seconds: float = 1) -> datetime:
    return moment(NOW_US) + timedelta(seconds=seconds)


def entry(order_id: str = "big", *, second: int = 0, book: Book = BOOK, **order: Any) -> bytes:
    """Return the journal's entry of an order that is blocked, unless something is said of it."""
    given = inputs(book, order_id=order_id, **{"quantity": BIG, **order})
    at_us = NOW_US + second * 1_000_000
    state = Raw(msgspec.json.encode(replace(STATE, received_at_us=at_us)))
    prices = {"BTCUSDT": Price(Decimal(50000), at_us)}
    return decided(replace(given, now_us=at_us, state=state, prices=prices), book)


def record(seconds: float = 1) -> int:
    return blocks.record_blocks(now(seconds), WINDOW)


# ----------------------------------------------------------------------------------------- what is no violation
@pytest.mark.parametrize("order", [{"quantity": Decimal("0.1")}, {"what_if": True}, {"account_id": "nobody"}])
def test_what_was_approved_only_asked_or_blocked_for_no_limit_is_none(order):
    drain(Journal(entry(**order), released()))
    assert not BlockedOrder.objects.exists()
    assert record() == 0
    assert not Violation.objects.exists()


def test_a_decision_is_recorded_once_however_often_it_is_drained():
    journal = Journal(entry())
    drain(journal)
    journal.begin_again(*(content for _, content in [("1", entry("other"))]))
    drain(journal)
    assert (record(), record()) == (2, 0)
    assert [row.observations for row in Violation.objects.all()] == [2] * Violation.objects.count()


# ------------------------------------------------------------------------------------------------- what is one
def test_a_blocked_order_is_a_violation_of_each_limit_that_it_would_break():
    drain(Journal(entry()))
    assert record() == 1
    row = Violation.objects.get(metric="leverage")
    assert (row.kind, row.account_id, row.symbol, row.policy_type) == ("block", "desk-1", "BTCUSDT", "hard")
    assert (row.policy_id, row.observations, row.value) == (BOOK.policies[0].id, 1, Decimal(25))
    assert (row.opened_at, row.closed_at, row.order_id) == (moment(NOW_US), None, "big")
    assert row.decision_id == OrderDecision.objects.get().pk


def test_many_blocks_are_one_violation_with_the_worst_of_them():
    drain(Journal(*(entry(f"o-{number}", second=number, quantity=BIG + number % 2) for number in range(4))))
    record()
    row = Violation.objects.get(metric="leverage")
    assert (row.observations, row.order_id, row.value, row.worst_value) == (4, "o-3", Decimal("25.5"), Decimal("25.5"))
    assert row.last_at == now(3)


def test_after_a_pause_it_is_another():
    drain(Journal(entry("a"), entry("b", second=1), entry("c", second=302), entry("d", second=303)))
    record(304)
    rows = list(Violation.objects.filter(metric="leverage").order_by("opened_at"))
    assert [(row.observations, row.closed_at) for row in rows] == [(2, now(1)), (2, None)]


def test_without_more_blocks_it_ends():
    drain(Journal(entry()))
    record()
    record(300)
    assert Violation.objects.filter(closed_at=None).exists()
    record(301)
    assert {row.closed_at for row in Violation.objects.all()} == {now(0)}


def test_a_long_backlog_is_taken_in_parts():
    drain(Journal(*(entry(f"o-{number}") for number in range(5))))
    assert [blocks.record_blocks(now(), WINDOW, batch=2) for _ in range(4)] == [2, 2, 1, 0]
    assert Violation.objects.get(metric="leverage").observations == 5


def test_the_order_in_which_they_come_does_not_matter():
    journal = Journal(entry("late", second=9))
    drain(journal)
    record(10)
    journal.add(entry("early"))
    drain(journal)
    record(10)
    row = Violation.objects.get(metric="leverage")
    assert (row.observations, row.last_at, row.order_id) == (2, now(9), "late")


# --------------------------------------------------------------------------------------------- the breaker
@pytest.fixture(autouse=True)
def blocks_count(settings) -> None:
    settings.RISK_BREAKER_BLOCKS = True


def test_where_the_settings_leave_them_out_they_do_not_count(settings):
    settings.RISK_BREAKER_COUNT, settings.RISK_BREAKER_BLOCKS = 1, False
    drain(Journal(entry()))
    record()
    assert Violation.objects.exists()
    assert not BreakerCount.objects.exists()


def test_an_order_counts_once_for_the_breaker_for_however_many_limits(settings):
    settings.RISK_BREAKER_COUNT = 100
    drain(Journal(entry("a"), entry("b", second=1)))
    record(2)
    assert Violation.objects.count() > 1
    assert [len(row.hits) for row in BreakerCount.objects.all()] == [2]


def test_one_that_may_come_back_smaller_does_not_count(settings):
    settings.RISK_BREAKER_COUNT = 100
    limit = replace(BOOK.policies[0], on_breach=OnBreach.SCALE_DOWN, threshold=Decimal(5))
    drain(Journal(entry(book=replace(BOOK, policies=(limit,)), quantity=Decimal(12))))
    record(2)
    assert set(OrderDecision.objects.values_list("verdict", flat=True)) == {"scale_down"}
    assert Violation.objects.exists()
    assert not BreakerCount.objects.exists()


def test_blocks_of_an_outage_that_is_over_do_not_trip(settings):
    settings.RISK_BREAKER_COUNT = 1
    drain(Journal(entry()))
    record(3600)
    assert [row.hits for row in BreakerCount.objects.all()] == [[]]


@pytest.mark.django_db(transaction=True)
def test_five_blocked_orders_trip_it(settings, monkeypatch):
    settings.RISK_BREAKER_COUNT = 5
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(breaker, "_stops", lambda: ())
    drain(Journal(*(entry(f"o-{number}", second=number) for number in range(5))))
    record(5)
    assert breaker.engage_pending(lambda **asked: calls.append(asked)) == 1
    assert [call["scope_id"] for call in calls] == ["desk-1"]


# ------------------------------------------------------------------------------------------------ the inbox
@pytest.mark.django_db(transaction=True)
def test_two_that_record_at_once_record_each_block_once():
    drain(Journal(*(entry(f"o-{number}") for number in range(40))))
    start = threading.Barrier(4)

    def run() -> None:
        start.wait()
        for _ in range(20):
            blocks.record_blocks(now(), WINDOW, batch=5)
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Violation.objects.get(metric="leverage").observations == 40
    assert not BlockedOrder.objects.exists()


def test_a_trigger_that_is_gone_is_made_anew_by_the_next_migrate():
    drop = "DROP TRIGGER violations_blocked_order" + (" ON audit_orderdecision" if settings.REDIS_URL else "")
    with connection.cursor() as cursor:
        cursor.execute(drop)
    ensure_trigger()
    ensure_trigger()
    drain(Journal(entry()))
    assert BlockedOrder.objects.count() == 1
