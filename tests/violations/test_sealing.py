"""What is over is sealed, and does not change, go or come unseen."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection

from audit.verify_batches import BadRow, verify_batches
from tests.support.tampering import tamper
from tests.violations.subjects import at, broken, look
from violations.models import Alert, OverRecord, Violation
from violations.retention import trim
from violations.sealing import SETTLED, seal_what_is_over, verify_what_is_over

pytestmark = pytest.mark.django_db

LATER = at(1) + SETTLED + timedelta(seconds=1)


@pytest.fixture(autouse=True)
def rows(settings) -> None:
    """Two violations that are over, with their alerts, and one that is not."""
    settings.RISK_ALERT_WEBHOOK_URL = ""
    look(0, broken(), broken(policy_id="p-2"), broken(policy_id="p-3"))
    look(1, broken(policy_id="p-2"))
    seal_what_is_over(LATER)


def bad(now=LATER) -> BadRow | None:
    return verify_what_is_over(now, lambda _done, _total: None)


def test_what_is_over_for_long_is_sealed_once():
    assert (
        sorted(OverRecord.objects.values_list("table", flat=True))
        == ["violations.alert"] * 2 + ["violations.violation"] * 2
    )
    assert seal_what_is_over(LATER) == 0
    assert verify_batches().intact
    assert bad() is None


def test_what_is_over_for_less_is_not_sealed_yet():
    look(2, accounts=("A",))
    assert seal_what_is_over(at(2) + SETTLED) == 0
    assert seal_what_is_over(at(2) + SETTLED + timedelta(seconds=1)) == 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE violations_violation SET worst_value = '1' WHERE policy_id = 'p-1'",
        "UPDATE violations_violation SET closed_at = '2099-01-01 00:00:00+00:00' WHERE policy_id = 'p-1'",
        "UPDATE violations_violation SET closed_at = NULL WHERE policy_id = 'p-1'",
        "UPDATE violations_alert SET message = 'all is well' WHERE policy_id = 'p-1'",
        "UPDATE violations_alert SET level = 'warning' WHERE policy_id = 'p-1'",
    ],
)
def test_what_was_changed_since_is_named(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
    found = bad()
    assert found is not None
    model = Violation if "violation SET" in statement else Alert
    assert (found.table, found.key) == (model._meta.label_lower, str(model.objects.get(policy_id="p-1").pk))
    assert "was changed" in found.problem


@pytest.mark.parametrize("table", ["violation", "alert"])
def test_what_was_deleted_is_named(table, capsys):
    tamper(
        "DELETE FROM violations_delivery",
        "UPDATE violations_alert SET violation_id = NULL",
        f"DELETE FROM violations_{table} WHERE policy_id = 'p-1'",
    )
    with pytest.raises(SystemExit):
        call_command("verify_audit")
    assert "Evidence is not as it was: row" in capsys.readouterr().out


def test_what_was_put_in_as_if_it_were_old_is_named():
    made = Violation.objects.get(policy_id="p-1")
    made.pk, made.policy_id, made._state.adding = uuid4(), "p-9", True
    made.save()
    assert bad(LATER) is None  # it might be sealed within the hour
    found = bad(LATER + SETTLED)
    assert found is not None
    assert (found.key, "was put in" in found.problem) == (str(made.pk), True)


def test_a_record_cannot_be_changed_unseen():
    tamper("UPDATE violations_overrecord SET content = '{}'")
    found = verify_batches().bad
    assert found is not None
    assert found.table == "violations.overrecord"


def test_what_people_do_about_an_alert_afterwards_is_no_change():
    alert = Alert.objects.get(policy_id="p-1")
    Alert.objects.filter(pk=alert.pk).update(acknowledged_by="alice", acknowledged_at=at(5), note="seen")
    assert bad() is None


def test_what_was_trimmed_is_not_missed():
    trim(at(0) + timedelta(days=10), days=9)
    assert Violation.objects.count() == 1
    assert bad() is None
    tamper("DELETE FROM violations_overrecord")
    assert verify_batches().bad is not None
