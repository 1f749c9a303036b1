"""Alerts: raised once, published again only after the window, resolved with the violation."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction

from tests.violations.subjects import ALICE, at, broken, look, only_alert, states
from violations.models import Alert
from violations.services import do_acknowledge_alert, do_silence_alert

pytestmark = pytest.mark.django_db

WINDOW = 300.0


def acknowledge() -> None:
    do_acknowledge_alert(acting=ALICE, alert_id=only_alert().pk, note="on it")


def silence(monkeypatch, until: float) -> None:
    """Silence the only alert, at the test's own time."""
    monkeypatch.setattr("violations.services.timezone.now", lambda: at(0))
    do_silence_alert(acting=ALICE, alert_id=only_alert().pk, until=at(until), reason="known")


def test_the_window_is_five_minutes_by_default():
    assert settings.RISK_ALERT_WINDOW.total_seconds() == WINDOW


# ------------------------------------------------------------------------------------ what nobody is told
def test_a_violation_that_goes_on_is_told_once():
    assert len(look(0, broken()).published) == 1
    for second in range(1, 5):
        seen = look(second, broken())
        assert (len(seen.published), seen.deduplicated) == (0, 1)
    assert (only_alert().state, only_alert().times_published) == ("firing", 1)


def test_one_that_comes_back_within_the_window_is_the_same_alert():
    look(0, broken())
    look(10)
    seen = look(WINDOW - 1, broken())
    assert (len(seen.opened), len(seen.published), seen.deduplicated) == (1, 0, 1)
    assert (only_alert().state, only_alert().resolved_at) == ("firing", None)
    assert only_alert().violation_id == seen.opened[0].pk


def test_the_same_on_two_exchanges_is_one_alert():
    assert len(look(0, broken(exchange="X"), broken(exchange="Y")).published) == 1
    assert not look(1, broken(exchange="Y")).resolved
    assert only_alert().state == "firing"
    assert len(look(2).resolved) == 1


def test_an_acknowledged_alert_is_not_published_again():
    look(0, broken())
    acknowledge()
    for second in (1, WINDOW, 3 * WINDOW):
        assert not look(second, broken()).published
    assert only_alert().state == "acknowledged"


def test_an_acknowledged_one_that_comes_back_soon_is_acknowledged_still():
    look(0, broken())
    acknowledge()
    look(1)
    look(2, broken())
    assert only_alert().state == "acknowledged"


def test_a_silenced_alert_is_not_published_however_often_it_comes_back(monkeypatch):
    look(0, broken())
    silence(monkeypatch, 2 * WINDOW)
    for second in (1, WINDOW, 2 * WINDOW - 1):
        look(second - 0.5)
        assert not look(second, broken()).published
        assert only_alert().state == "silenced"


@pytest.mark.parametrize(
    "wrong", [{"state": "resolved"}, {"state": "acknowledged"}, {"state": "silenced"}, {"level": "x"}]
)
def test_the_database_refuses_a_state_without_what_makes_it(wrong):
    look(0, broken())
    with pytest.raises(IntegrityError), transaction.atomic():
        Alert.objects.update(**wrong)


def test_the_database_refuses_a_second_alert_of_the_same():
    look(0, broken())
    alert = only_alert()
    alert.pk = None
    alert._state.adding = True
    with pytest.raises(IntegrityError, match=r"(?i)unique"), transaction.atomic():
        alert.save()


# ------------------------------------------------------------------------------------------ what they are told
@pytest.mark.parametrize(("kind", "level"), [("soft", "warning"), ("hard", "critical"), ("emergency", "emergency")])
def test_the_level_is_that_of_the_limit(kind, level):
    look(0, broken(policy_type=kind))
    assert only_alert().level == level


@pytest.mark.parametrize("other", [{"policy_id": "p-2"}, {"metric": "x"}, {"account_id": "B"}, {"symbol": "X"}])
def test_each_policy_metric_account_and_symbol_is_told_by_itself(other):
    look(0, broken())
    assert len(look(1, broken(**other), accounts=("A", "B")).published) == 1


def test_one_that_still_fires_after_the_window_is_told_again():
    look(0, broken("12"))
    assert not look(WINDOW - 1, broken("13")).published
    assert len(look(WINDOW, broken("14")).published) == 1
    assert not look(WINDOW + 1, broken("15")).published
    assert (only_alert().times_published, only_alert().value, only_alert().raised_at) == (2, Decimal(14), at(0))


def test_one_that_comes_back_after_the_window_is_a_new_alert():
    look(0, broken())
    look(1)
    assert len(look(WINDOW + 1, broken()).published) == 1
    assert states() == ["firing", "resolved"]


def test_it_is_resolved_when_the_limit_holds():
    look(0, broken())
    acknowledge()
    assert len(look(1).resolved) == 1
    assert (only_alert().state, only_alert().resolved_at) == ("resolved", at(1))


def test_when_the_silence_is_over_it_fires_and_is_told(monkeypatch):
    look(0, broken())
    silence(monkeypatch, WINDOW + 60)
    assert not look(WINDOW + 59, broken()).published
    assert len(look(WINDOW + 60, broken()).published) == 1
    assert only_alert().state == "firing"


def test_a_limit_that_became_more_urgent_is_told_at_once_although_acknowledged():
    look(0, broken(policy_type="soft"))
    acknowledge()
    assert [alert.level for alert in look(1, broken(policy_type="hard")).published] == ["critical"]
    assert states() == ["firing", "resolved"]
