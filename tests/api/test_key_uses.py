"""The use of keys: counted at every door, written every few seconds, and put on record by the hour, once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from api import key_use_records, tasks
from api.key_use_records import ACTION, keep_uses, record_uses
from api.key_uses import USES, KeyOutcome, KeyUses
from api.keys import do_create_key, do_revoke_key
from api.models import KeyUse
from audit.acting import system
from audit.models import AuditEvent
from tests.api.world import CHECK, fill, order

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _nothing_of_others() -> Iterator[None]:
    USES._counted.clear()
    yield
    USES._counted.clear()


def create(name: str = "oms", **what: Any):
    return do_create_key(acting=system("root"), reason="r", name=name, permissions=["check"], **what)


def counts() -> list[tuple[str, int, int, int]]:
    return list(KeyUse.objects.order_by("key__name").values_list("key__name", "admitted", "refused", "limited"))


def used(key: Any, ago: timedelta, admitted: int = 1) -> KeyUse:
    """Have a key used in the hour that began so long ago."""
    begun = timezone.now().replace(minute=0, second=0, microsecond=0)
    return KeyUse.objects.create(key=key.row, hour=begun - ago, admitted=admitted)


# -------------------------------------------------------------------------------------------------- at the doors
def test_every_door_counts_what_became_of_a_request(store, door):
    fill(store)
    key = create()
    USES._counted.clear()
    wrong = key.text[:-1] + ("0" if key.text[-1] != "0" else "1")
    asked = [
        door.post(CHECK, order("o-1"), {"Authorization": f"Bearer {each}"}) for each in (key.text, key.text, wrong)
    ]
    assert [each.status for each in asked] == [200, 200, 401]
    keep_uses(USES)
    assert ("oms", 2, 1, 0) in counts()


def test_a_request_that_comes_too_often_is_counted_as_such(store, door):
    fill(store)
    key = create(per_second=1)
    asked = [door.post(CHECK, order(f"o-{n}"), {"Authorization": f"Bearer {key.text}"}).status for n in range(3)]
    keep_uses(USES)
    (found,) = [each for each in counts() if each[0] == "oms"]
    assert found == ("oms", asked.count(200), 0, asked.count(429))
    assert 429 in asked


def test_a_key_that_there_is_not_or_that_was_revoked_is_nobodys(store, door):
    fill(store)
    gone = create("gone")
    do_revoke_key(acting=system("root"), reason="r", key_id=gone.row.pk)
    for text in (gone.text, "rp_ffffffffffff_00", "rp__", "nonsense"):
        door.post(CHECK, order("o-1"), {"Authorization": f"Bearer {text}"})
    assert not USES._counted


# -------------------------------------------------------------------------------------------------- in the database
def test_what_processes_count_adds_up(store):
    key = create()
    processes = [KeyUses(), KeyUses()]
    for number in range(6):
        processes[number % 2].count(key.row.pk, KeyOutcome.ADMITTED)
    for process in (*processes, *processes):
        keep_uses(process)
    assert counts() == [("oms", 6, 0, 0)]


def test_no_thread_loses_a_count(store):
    key, uses = create(), KeyUses()

    def use() -> None:
        for _ in range(5_000):
            uses.count(key.row.pk, KeyOutcome.ADMITTED)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        keep_uses(uses)
    keep_uses(uses)
    assert counts() == [("oms", 20_000, 0, 0)]


def test_each_hour_has_counts_of_its_own(store, monkeypatch):
    key, uses, now = create(), KeyUses(), datetime(2026, 1, 2, 10, 59, 59, tzinfo=UTC)
    for moment in (now, now + timedelta(seconds=2)):
        monkeypatch.setattr(time, "time_ns", lambda moment=moment: round(moment.timestamp() * 1e9))
        uses.count(key.row.pk, KeyOutcome.ADMITTED)
    keep_uses(uses)
    hours = KeyUse.objects.order_by("hour").values_list("hour__hour", "admitted")
    assert list(hours) == [(10, 1), (11, 1)]


def test_without_the_database_it_goes_on_counting(store, monkeypatch):
    key, uses = create(), KeyUses()
    uses.count(key.row.pk, KeyOutcome.ADMITTED)
    with monkeypatch.context() as patch:
        patch.setattr(key_use_records, "_add", _away)
        with pytest.raises(OperationalError):
            keep_uses(uses)
    uses.count(key.row.pk, KeyOutcome.ADMITTED)
    keep_uses(uses)
    keep_uses(uses)
    assert counts() == [("oms", 2, 0, 0)]


def _away(_counted: Any) -> None:
    raise OperationalError("the database is away")


# -------------------------------------------------------------------------------------------------- on record
def test_an_hour_is_put_on_record_once_it_is_over(store):
    key = create()
    now = used(key, 0 * HOUR)
    before = used(key, HOUR, admitted=7)
    assert record_uses(before.hour + HOUR) == 0
    assert record_uses(before.hour + HOUR + timedelta(minutes=5)) == 1
    assert record_uses(before.hour + HOUR + timedelta(minutes=5)) == 0
    event = AuditEvent.objects.get(action=ACTION)
    assert (event.actor, event.object_id, event.object_label) == ("riskportal", key.row.pk, "oms")
    assert event.after is not None
    assert {name: event.after[name] for name in ("admitted", "refused", "limited")} == {
        "admitted": 7,
        "refused": 0,
        "limited": 0,
    }
    assert list(KeyUse.objects.all()) == [now]


def test_two_workers_put_it_on_record_once(store):
    for ago in range(1, 6):
        used(create(f"key-{ago}"), ago * HOUR)
    begin, found = threading.Barrier(2), []

    def work() -> None:
        try:
            begin.wait()
            found.append(record_uses(timezone.now() + HOUR))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(found) == 5
    assert AuditEvent.objects.filter(action=ACTION).count() == 5


def test_what_is_not_put_on_record_stays(store, monkeypatch):
    used(create(), 3 * HOUR)
    monkeypatch.setattr(key_use_records, "record_all", _away)
    tasks.record()
    assert KeyUse.objects.count() == 1
    monkeypatch.undo()
    tasks.record()
    assert not KeyUse.objects.exists()
    assert AuditEvent.objects.filter(action=ACTION).count() == 1
