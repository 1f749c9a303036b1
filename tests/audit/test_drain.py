"""The journal's way into the database: every entry exactly once, whatever happens on the way."""

from __future__ import annotations

import threading
from decimal import Decimal

import msgspec
import pytest
from django.db import connection, transaction
from django.utils import timezone

from audit import drain as module
from audit.append_only import AppendOnlyError
from audit.copying import add_rows
from audit.drain import drain, lag_seconds
from audit.metrics import JOURNAL_LAG
from audit.models import JournalCursor, JournalReject, OrderDecision, ReservationEnd
from riskcore.calendar import microseconds, moment
from riskcore.journal import Inputs
from tests.audit.subjects import NOW_US, Journal, KilledError, decided, inputs, released

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def new_process(monkeypatch) -> None:
    """Each test drains as a process that has drained nothing yet."""
    monkeypatch.setattr(module, "_begun", set())


def test_a_decision_becomes_a_row_with_everything_that_filters_need():
    given = inputs(order_id="o-1", strategy_id="s", exchange="X")
    drain(Journal(decided(given)))
    row = OrderDecision.objects.get()
    assert str(row.decision_id) == given.decision_id
    assert (row.account_id, row.order_id, row.symbol, row.side) == ("desk-1", "o-1", "BTCUSDT", "BUY")
    assert (row.quantity, row.price, row.order_type) == (Decimal("0.5"), Decimal(50000), "LIMIT")
    assert (row.strategy_id, row.exchange, row.what_if) == ("s", "X", False)
    assert (row.verdict, row.approved, row.reason) == ("allow", True, "")
    assert (row.book_version, row.account_version, row.decided_at) == (1, 7, moment(NOW_US))


def test_inputs_and_answer_are_kept_to_the_byte():
    given = inputs()
    entry = decided(given)
    drain(Journal(entry))
    row = OrderDecision.objects.get()
    assert row.inputs.encode() == msgspec.json.encode(given)
    assert f'"decision":{row.answer}'.encode() in entry


@pytest.mark.parametrize(
    "number", ["99999999999999999999.999999999999", "0.000000000001", "1.10", "12345678901234567.8"]
)
def test_numbers_of_the_wire_come_back_exactly(number):
    drain(Journal(decided(inputs(quantity=Decimal(number), price=Decimal(number)))))
    row = OrderDecision.objects.get()
    assert (row.quantity, row.price) == (Decimal(number), Decimal(number))


def test_an_early_end_of_a_reservation_is_kept():
    drain(Journal(released(order_id="o-9", actor="bob", reason="stuck")))
    row = ReservationEnd.objects.get()
    assert (row.account_id, row.order_id, row.actor, row.reason) == ("desk-1", "o-9", "bob", "stuck")
    assert row.ended_at == moment(NOW_US)


def test_what_was_drained_is_trimmed():
    journal = Journal(*(decided() for _ in range(5)))
    assert drain(journal, batch=2) == 5
    assert journal.journal_length(0) == 0
    assert OrderDecision.objects.count() == 5


def test_one_call_is_bounded():
    journal = Journal(*(decided() for _ in range(5)))
    assert drain(journal, batch=2, batches=2) == 4
    assert drain(journal, batch=2, batches=2) == 1


@pytest.mark.parametrize(("backlog", "pauses"), [(1_000, 2), (2, 1), (1, 0)])
def test_a_steady_drain_gives_way_between_batches_unless_much_is_waiting(monkeypatch, backlog, pauses):
    slept: list[float] = []
    monkeypatch.setattr("audit.drain.time.sleep", slept.append)
    monkeypatch.setattr("audit.drain._BACKLOG", backlog)
    journal = Journal(*(decided() for _ in range(5)))
    assert drain(journal, batch=2, steadily=True) == 5
    assert len(slept) == pauses
    assert all(0 <= pause <= 0.1 for pause in slept)


def test_killed_before_the_commit_nothing_is_lost(monkeypatch):
    journal = Journal(*(decided() for _ in range(3)))

    def insert_and_die(rows):
        add_rows(rows)
        raise KilledError

    monkeypatch.setattr("audit.sealing.add_rows", insert_and_die)
    with pytest.raises(KilledError):
        drain(journal)
    monkeypatch.undo()
    assert not OrderDecision.objects.exists()
    assert journal.journal_length(0) == 3
    drain(journal)
    assert OrderDecision.objects.count() == 3


def test_killed_between_the_commit_and_the_trim_nothing_is_doubled():
    journal = Journal(*(decided() for _ in range(3)))
    journal.fail_to_trim = True
    with pytest.raises(KilledError):
        drain(journal)
    assert OrderDecision.objects.count() == 3
    journal.fail_to_trim = False
    drain(journal)
    assert journal.journal_length(0) == 0
    journal.add(decided())
    drain(journal)
    assert OrderDecision.objects.count() == 4
    assert not JournalReject.objects.exists()


def test_a_new_generation_is_read_from_its_start_and_what_it_repeats_is_kept_once():
    entries = [decided() for _ in range(3)]
    journal = Journal(*entries)
    drain(journal)
    journal.begin_again(entries[1], released(), decided())
    drain(journal)
    assert OrderDecision.objects.count() == 4
    assert ReservationEnd.objects.count() == 1
    assert not JournalReject.objects.exists()
    assert JournalCursor.objects.get().generation == journal.generation


def test_after_a_power_cut_new_entries_under_old_numbers_are_kept(monkeypatch):
    entries = [decided() for _ in range(5)]
    drain(Journal(*entries))
    monkeypatch.setattr(module, "_begun", set())  # another process, the journal's last two entries gone
    journal = Journal(*entries[:3], decided())
    drain(journal)
    journal.add(decided())
    drain(journal)
    assert OrderDecision.objects.count() == 7
    assert not JournalReject.objects.exists()


def test_the_same_entry_twice_in_a_batch_is_kept_once():
    entry = decided()
    drain(Journal(entry, entry))
    assert OrderDecision.objects.count() == 1
    assert not JournalReject.objects.exists()


def test_a_second_decision_of_the_same_id_is_a_reject():
    given = inputs()
    other = msgspec.structs.replace(given, account_version=8)
    journal = Journal(decided(given), decided(other))
    drain(journal)
    journal.begin_again(decided(other))
    drain(journal)
    assert OrderDecision.objects.get().account_version == 7
    assert [row.content for row in map(_bytes, JournalReject.objects.all())] == [decided(other)] * 2


POISON = [
    b"not json",
    b"{}",
    b'{"kind":"else"}',
    b"\xff\xfe",
    b"[" * 100_000,
    decided().replace(b'"decision_id":"', b'"decision_id":"x', 1),
    decided(inputs(order_id="x" * 65)),
    decided(inputs(order_id="nul\0")),
    decided(inputs(quantity=Decimal("1E-13"))),
    decided(inputs(quantity=Decimal("1E+20"))),
]


@pytest.mark.parametrize("poison", POISON, ids=lambda entry: entry[:30].decode(errors="replace"))
def test_an_entry_that_cannot_be_kept_is_a_reject_and_stops_nothing(poison):
    journal = Journal(decided(), poison, decided())
    assert drain(journal) == 3
    assert OrderDecision.objects.count() == 2
    assert _bytes(JournalReject.objects.get()).content == poison
    assert JournalReject.objects.get().error
    assert journal.journal_length(0) == 0


def test_a_row_that_the_database_refuses_is_a_reject_and_stops_nothing(monkeypatch):
    # What is refused in code is not known to be all that a database refuses.
    monkeypatch.setattr("audit.entries._check_fit", lambda row: None)
    bad = decided(inputs(order_id="nul\0"))
    drain(Journal(decided(), bad, decided()))
    kept = {"postgresql": 2}.get(connection.vendor, 3)  # SQLite stores a NUL
    assert OrderDecision.objects.count() == kept
    assert JournalReject.objects.count() == 3 - kept


def test_lag_is_the_age_of_the_oldest_entry_that_is_not_drained():
    journal = Journal(decided(), decided())
    now = moment(NOW_US + 2_500_000)
    assert lag_seconds(journal, now, {}) == 2.5
    assert lag_seconds(journal, now, {0: "2"}) == 0


def test_draining_sets_the_lag():
    JOURNAL_LAG.set(99)
    drain(Journal(decided()))
    assert JOURNAL_LAG._value.get() == 0


def test_the_lag_is_set_where_draining_fails(monkeypatch):
    journal = Journal(decided())
    monkeypatch.setattr(module, "drain_batch", _fail)
    with pytest.raises(KilledError):
        drain(journal)
    age = (microseconds(timezone.now()) - NOW_US) / 1e6
    assert JOURNAL_LAG._value.get() == pytest.approx(max(age, 0), abs=5)


def test_a_decision_is_neither_changed_nor_deleted():
    drain(Journal(decided()))
    row = OrderDecision.objects.get()
    row.reason = "another"
    for attempt in (row.save, row.delete, OrderDecision.objects.all().delete):
        with pytest.raises(AppendOnlyError):
            attempt()


@pytest.mark.django_db(transaction=True)
def test_two_drains_at_once_keep_every_entry_once():
    journal = Journal(*(decided() for _ in range(400)))
    errors: list[BaseException] = []

    def run() -> None:
        try:
            while journal.journal_length(0):
                drain(journal, batch=10, batches=2)
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert OrderDecision.objects.count() == 400
    assert not JournalReject.objects.exists()
    assert journal.journal_length(0) == 0


@pytest.mark.django_db(transaction=True)
def test_a_lane_that_another_process_drains_is_left_to_it():
    if not connection.features.has_select_for_update_skip_locked:
        return  # SQLite has one writer at a time anyway
    journal = Journal(decided())
    JournalCursor.objects.create(lane=0)
    taken: list[int] = []

    def run() -> None:
        taken.append(drain(journal))
        connection.close()

    with transaction.atomic():
        JournalCursor.objects.select_for_update().get(lane=0)
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert taken == [0]


def _bytes(reject: JournalReject) -> JournalReject:
    reject.content = bytes(reject.content)
    return reject


def _fail(*args: object) -> int:
    raise KilledError


def test_the_inputs_of_a_row_can_be_read_back():
    given = inputs()
    drain(Journal(decided(given)))
    assert msgspec.json.decode(OrderDecision.objects.get().inputs, type=Inputs).order == given.order
