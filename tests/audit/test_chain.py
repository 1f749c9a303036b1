"""The log of changes: written with the change, never forked, and tampering shows."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from audit.append_only import AppendOnlyError
from audit.models import AuditEvent
from audit.services import event_hash, record
from audit.verify import verify_chain
from tests.support.tampering import tamper

pytestmark = pytest.mark.django_db


def note(number: int = 1, **what: Any) -> AuditEvent:
    said: dict[str, Any] = {
        "actor": "alice",
        "action": "policy.change",
        "object_type": "policy",
        "object_id": number,
        "object_label": f"Policy {number}",
        "reason": "because",
        "before": {"threshold": Decimal("10.50")},
        "after": {"threshold": Decimal(9)},
    }
    with transaction.atomic():
        return record(**{**said, **what})


def test_events_are_numbered_from_one_and_each_names_the_hash_before_it():
    first, second = note(1), note(2)
    assert (first.sequence, second.sequence) == (1, 2)
    assert first.previous_hash == "0" * 64
    assert second.previous_hash == first.hash


def test_an_untouched_chain_is_intact():
    last = [note(number) for number in range(5)][-1]
    check = verify_chain()
    assert check.intact
    assert (check.events, check.head) == (5, last.hash)


def test_an_empty_log_is_intact():
    assert verify_chain().intact


def test_decimals_are_kept_as_exact_text():
    note()
    assert AuditEvent.objects.get().before == {"threshold": "10.5"}


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("UPDATE audit_auditevent SET reason = 'another' WHERE sequence = 3", 3),
        ("""UPDATE audit_auditevent SET after = '{"threshold": "90"}' WHERE sequence = 2""", 2),
        ("UPDATE audit_auditevent SET after = '1.5' WHERE sequence = 2", 2),
        ("DELETE FROM audit_auditevent WHERE sequence = 2", 2),
        ("DELETE FROM audit_auditevent WHERE sequence = 5", 5),
        ("DELETE FROM audit_auditevent", 1),
        ("UPDATE audit_audithead SET sequence = 4", 4),
    ],
    ids=["reason", "after", "a float", "one left out", "the last cut off", "all gone", "head moved back"],
)
def test_tampering_is_found_and_the_first_bad_event_named(statement, broken_at):
    for number in range(5):
        note(number)
    tamper(statement)
    assert verify_chain().broken_at == broken_at


def test_an_event_rehashed_after_tampering_breaks_the_one_after_it():
    for number in range(3):
        note(number)
    event = AuditEvent.objects.get(sequence=2)
    event.reason = "another"
    tamper(f"UPDATE audit_auditevent SET reason = 'another', hash = '{event_hash(event)}' WHERE sequence = 2")
    assert verify_chain().broken_at == 3


def test_a_forged_event_behind_the_last_is_found():
    note()
    forged = AuditEvent.objects.get()
    forged.sequence, forged.hash, forged.previous_hash = 2, "f" * 64, forged.hash
    forged._state.adding = True
    forged.save()
    assert verify_chain().broken_at == 2


def test_verify_audit_names_the_first_bad_event_and_exits_with_1(capsys):
    note()
    tamper("UPDATE audit_auditevent SET actor = 'mallory'")
    with pytest.raises(SystemExit) as exit_:
        call_command("verify_audit")
    assert exit_.value.code == 1
    assert "broken at event 1" in capsys.readouterr().out


def test_an_event_vanishes_with_the_change_that_failed():
    with transaction.atomic():
        note()
        transaction.set_rollback(True)
    assert not AuditEvent.objects.exists()
    assert note().sequence == 1


@pytest.mark.django_db(transaction=True)
def test_an_event_outside_of_a_transaction_is_refused():
    with pytest.raises(transaction.TransactionManagementError):
        record(actor="a", action="b", object_type="c", object_id=1, object_label="d", reason="e")


@pytest.mark.parametrize("field", ["actor", "reason"])
def test_an_event_needs_somebody_and_a_reason(field):
    with pytest.raises(ValueError, match=field):
        note(1, **dict.fromkeys([field], " "))


def test_a_value_without_an_exact_form_is_refused():
    with pytest.raises(TypeError, match="float"):
        note(after={"threshold": 0.1})


def test_an_event_is_neither_changed_nor_deleted():
    event = note()
    event.reason = "another"
    for attempt in (
        event.save,
        event.delete,
        AuditEvent.objects.all().delete,
        lambda: AuditEvent.objects.update(reason="another"),
        lambda: AuditEvent.objects.bulk_update([event], ["reason"]),
    ):
        with pytest.raises(AppendOnlyError):
            attempt()


def test_events_on_top_of_a_lost_head_are_refused():
    note()
    tamper("DELETE FROM audit_audithead")
    with pytest.raises(Exception, match=r"(?i)unique"), transaction.atomic():
        note()


@pytest.mark.django_db(transaction=True)
def test_writers_at_the_same_time_make_one_chain():
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        try:
            barrier.wait()
            for _ in range(5):
                note(number)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check = verify_chain()
    assert check.intact
    assert check.events == AuditEvent.objects.count() == 40
