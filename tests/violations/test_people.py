"""People acknowledge and silence alerts: with a reason, in the audit log, and never twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from audit.acting import NotAllowed, NotTheirAccount, acting
from audit.models import AuditEvent
from audit.verify import verify_chain
from tests.violations.subjects import ALICE, BOB, look, only_alert, raised
from violations.errors import AlreadyAcknowledged, NoSuchAlert
from violations.services import HANDLE, do_acknowledge_alert, do_silence_alert

pytestmark = pytest.mark.django_db


def in_an_hour() -> Any:
    return timezone.now() + timedelta(hours=1)


DOES = {
    "acknowledge": lambda who, key: do_acknowledge_alert(acting=who, alert_id=key, note="on it"),
    "silence": lambda who, key: do_silence_alert(acting=who, alert_id=key, until=in_an_hour(), reason="known"),
}


@pytest.mark.parametrize("does", DOES.values(), ids=DOES)
def test_who_has_not_the_permission_does_nothing_with_an_alert(does):
    alert = raised()
    with pytest.raises(NotAllowed, match=HANDLE):
        does(acting("victor", ["violations.view_alert"]), alert.pk)
    assert only_alert().state == "firing"
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("account_id", ["A", ""])
@pytest.mark.parametrize("does", DOES.values(), ids=DOES)
def test_who_is_for_another_account_does_nothing_with_an_alert(does, account_id):
    alert = raised(account_id=account_id)
    with pytest.raises(NotTheirAccount):
        does(acting("victor", [HANDLE], ["B"]), alert.pk)
    assert only_alert().state == "firing"


@pytest.mark.parametrize("does", DOES.values(), ids=DOES)
def test_who_is_for_the_account_handles_its_alert(does):
    alert = raised()
    does(acting("victor", [HANDLE], ["A"]), alert.pk)
    assert only_alert().state != "firing"


@pytest.mark.parametrize(("field", "wrong"), [("note", {"note": " "}), ("note", {"note": "x" * 501})])
def test_an_acknowledgement_needs_a_note(field, wrong):
    alert = raised()
    with pytest.raises(ValidationError) as error:
        do_acknowledge_alert(**{"acting": ALICE, "alert_id": alert.pk, "note": "on it", **wrong})
    assert set(error.value.message_dict) == {field}
    assert only_alert().state == "firing"


@pytest.mark.parametrize("ahead", [timedelta(0), -timedelta(days=1), timedelta(days=31)])
def test_a_silence_ends_in_the_future_and_not_too_far(ahead):
    alert = raised()
    with pytest.raises(ValidationError) as error:
        do_silence_alert(acting=ALICE, alert_id=alert.pk, until=timezone.now() + ahead, reason="known")
    assert set(error.value.message_dict) == {"until"}
    assert only_alert().state == "firing"


def test_a_silence_needs_a_reason():
    alert = raised()
    with pytest.raises(ValidationError) as error:
        do_silence_alert(acting=ALICE, alert_id=alert.pk, until=in_an_hour(), reason="")
    assert set(error.value.message_dict) == {"reason"}


@pytest.mark.parametrize("key", [uuid4(), "no-uuid"])
def test_what_is_not_there_is_not_acknowledged(key):
    with pytest.raises(NoSuchAlert):
        do_acknowledge_alert(acting=ALICE, alert_id=key, note="on it")


def test_what_somebody_has_acknowledged_stays_theirs():
    alert = raised()
    do_acknowledge_alert(acting=ALICE, alert_id=alert.pk, note="on it")
    with pytest.raises(AlreadyAcknowledged, match="alice"):
        do_acknowledge_alert(acting=BOB, alert_id=alert.pk, note="mine")
    assert only_alert().acknowledged_by == "alice"


def test_who_acknowledged_when_and_why_is_kept():
    alert = raised()
    do_acknowledge_alert(acting=ALICE, alert_id=alert.pk, note="desk called")
    found = only_alert()
    assert (found.state, found.acknowledged_by, found.note) == ("acknowledged", "alice", "desk called")
    event = AuditEvent.objects.get()
    assert (event.actor, event.action, event.reason) == ("alice", "alert.acknowledge", "desk called")
    assert event.before is not None
    assert event.after is not None
    assert (event.before["state"], event.after["state"]) == ("firing", "acknowledged")
    assert verify_chain().intact


def test_a_later_silence_takes_the_place_of_the_first():
    alert = raised()
    do_silence_alert(acting=ALICE, alert_id=alert.pk, until=in_an_hour(), reason="known")
    until = in_an_hour() + timedelta(hours=1)
    do_silence_alert(acting=BOB, alert_id=alert.pk, until=until, reason="still")
    found = only_alert()
    assert (found.state, found.silenced_by, found.silenced_until) == ("silenced", "bob", until)
    assert list(AuditEvent.objects.values_list("action", flat=True)) == ["alert.silence", "alert.silence"]


def test_a_resolved_alert_stays_resolved_and_has_its_note():
    alert = raised()
    look(1)
    do_acknowledge_alert(acting=ALICE, alert_id=alert.pk, note="it was the roll")
    do_silence_alert(acting=ALICE, alert_id=alert.pk, until=in_an_hour(), reason="known")
    assert (only_alert().state, only_alert().note) == ("resolved", "it was the roll")
