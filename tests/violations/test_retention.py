"""What is over is kept for so many days; what is not over stays."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.violations.subjects import ALICE, at, broken, look
from violations.models import Alert, Delivery, Violation
from violations.retention import Trimmed, trim
from violations.services import do_silence_alert
from violations.tasks import trim as trim_task

pytestmark = pytest.mark.django_db

LATER = at(0) + timedelta(days=10)


@pytest.fixture
def rows(settings):
    """One violation that is over, with its alert, and one that is not."""
    settings.RISK_ALERT_WEBHOOK_URL = "http://127.0.0.1:9/"
    look(0, broken(), broken(policy_id="p-2"))
    look(1, broken(policy_id="p-2"))


def test_zero_days_keep_them_for_ever(rows):
    assert trim(LATER, days=0) == Trimmed()
    trim_task()
    assert (Violation.objects.count(), Alert.objects.count()) == (2, 2)


def test_what_is_not_old_enough_stays(rows):
    assert trim(LATER, days=10) == Trimmed()


def test_what_is_over_for_longer_goes_with_what_was_sent_of_it(rows):
    assert trim(LATER, days=9) == Trimmed(violations=1, alerts=1)
    assert Violation.objects.get().policy_id == Alert.objects.get().policy_id == "p-2"
    assert Delivery.objects.count() == 1


def test_a_silence_outlives_its_alert(rows):
    alert = Alert.objects.get(policy_id="p-1")
    until = timezone.now() + timedelta(days=20)
    do_silence_alert(acting=ALICE, alert_id=alert.pk, until=until, reason="known")
    assert trim(LATER, days=9).alerts == 0
