"""The report on alerts: what was told to whom, who took it on and how soon, and who is given which."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from reports.datasets.alerts import Alerts
from reports.table import Asked
from tests.reports.asking import ALL, cells, chart, column, figure
from tests.violations.conftest import quiet
from tests.violations.subjects import ALICE, BOB, at, broken, look, only_alert, raised
from violations.models import Alert, ChannelName
from violations.services import do_acknowledge_alert, do_silence_alert

__all__ = ["quiet"]

pytestmark = pytest.mark.django_db

REPORT = Alerts()


def acknowledged(seconds: float = 90) -> Alert:
    """Return an alert that alice has acknowledged, so long after it was raised."""
    alert = raised()
    do_acknowledge_alert(acting=ALICE, alert_id=alert.pk, note="on it")
    Alert.objects.filter(pk=alert.pk).update(acknowledged_at=at(seconds))
    return alert


def test_somebody_for_some_accounts_is_given_no_alert_of_another_or_of_the_firm():
    look(0, broken(), broken(account_id="B"), broken(account_id="", policy_id="p-2"), accounts=("A", "B", ""))
    assert column(REPORT, "account_id", Asked(), frozenset({"B"})) == ["B"]
    assert figure(REPORT, "Alerts", Asked(), frozenset({"B"})) == "1"
    assert cells(REPORT, Asked(account_id="A"), frozenset({"B"})) == []
    assert len(cells(REPORT)) == 3


def test_a_row_tells_what_was_broken():
    alert = raised()
    (found,) = cells(REPORT)
    assert (found["raised_at"], found["level"], found["state"]) == (at(0), "critical", "firing")
    assert (found["policy"], found["threshold"], found["value"], found["unit"]) == ("Max Leverage", 10, 12, "x")
    assert (found["alert_id"], found["violation_id"]) == (str(alert.pk), str(alert.violation_id))
    assert (found["acknowledged_by"], found["acknowledged_after_s"], found["resolved_at"]) == (None, None, None)


def test_a_row_tells_who_acknowledged_it_and_how_soon():
    acknowledged()
    (found,) = cells(REPORT)
    assert (found["acknowledged_by"], found["note"], found["acknowledged_after_s"]) == ("alice", "on it", 90)


def test_a_row_tells_who_silenced_it_until_when_and_why():
    until = timezone.now() + timedelta(hours=1)
    do_silence_alert(acting=BOB, alert_id=raised().pk, until=until, reason="known")
    (found,) = cells(REPORT)
    assert (found["state"], found["silenced_by"], found["silenced_until"]) == ("silenced", "bob", until)
    assert found["silence_reason"] == "known"


def test_a_row_tells_what_became_of_its_messages():
    alert = raised()
    moment = timezone.now()
    for channel, fields in (
        (ChannelName.NATS, {"sent_at": moment}),
        (ChannelName.NATS, {"sent_at": moment}),
        (ChannelName.EMAIL, {"given_up_at": moment, "error": "refused"}),
        (ChannelName.WEBHOOK, {}),
    ):
        alert.deliveries.create(channel=channel, content="{}", created_at=moment, **fields)
    (found,) = cells(REPORT)
    assert (found["sent"], found["not_sent"]) == (2, 1)
    assert found["deliveries"] == "e-mail: 1 given up (refused); NATS: 2 sent; Webhook: 1 waiting"
    assert (figure(REPORT, "Messages sent"), figure(REPORT, "Messages given up")) == ("2", "1")
    assert figure(REPORT, "Alerts") == "1"


def test_an_alert_that_was_sent_to_nobody_says_nothing_of_channels():
    raised()
    (found,) = cells(REPORT)
    assert (found["sent"], found["not_sent"], found["deliveries"]) == (0, 0, None)


def test_a_period_has_what_was_not_resolved_before_it():
    look(0, broken())
    look(10)
    assert Alert.objects.get().resolved_at == at(10)
    assert len(cells(REPORT, Asked(since=at(5)))) == 1
    assert figure(REPORT, "Begun before the period", Asked(since=at(5))) == "1"
    assert cells(REPORT, Asked(since=at(11))) == []
    assert cells(REPORT, Asked(until=at(0))) == []


def test_asked_for_a_person_come_the_alerts_that_they_handled():
    acknowledged()
    look(1, broken(policy_id="p-2"))
    assert column(REPORT, "acknowledged_by", Asked(actor="alice")) == ["alice"]
    assert cells(REPORT, Asked(actor="bob")) == []


def test_the_summary_tells_how_soon_alerts_were_acknowledged():
    acknowledged(90)
    look(1, broken(policy_id="p-2"), broken())
    assert figure(REPORT, "Acknowledged") == "1"
    assert figure(REPORT, "Time to acknowledge, mean") == "1 min 30 s"
    soon = chart(REPORT, "Alerts by time to acknowledge")
    assert dict(zip(soon.labels, soon.values, strict=True)) == {
        **dict.fromkeys(("under 1 min", "5 to 15 min", "15 to 60 min", "later"), 0.0),
        **{"1 to 5 min": 1.0, "not yet": 1.0},
    }


def test_the_summary_counts_by_level_and_limit():
    look(0, broken(), broken(policy_id="p-2", policy_name="Warning", policy_type="soft"))
    assert (figure(REPORT, "Of level critical"), figure(REPORT, "Of level warning")) == ("1", "1")
    assert chart(REPORT, "Alerts by limit").labels == ("Max Leverage", "Warning")
    assert sum(chart(REPORT, "Alerts raised per minute").values) == 2


def test_of_no_alert_there_is_little_to_say():
    assert REPORT.books(Asked(), ALL) is None
    assert figure(REPORT, "Alerts") == "0"
    assert figure(REPORT, "Time to acknowledge, mean") == "none"


def test_the_only_alert_is_told_once_however_often_it_was_published():
    look(0, broken())
    look(301, broken())
    assert only_alert().times_published == 2
    assert column(REPORT, "times_published") == [2]
    assert figure(REPORT, "Times published") == "2"
