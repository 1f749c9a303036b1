"""A scheduled report that nobody got is an alert until the next one is asked for."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from reports import tasks
from reports.background import run_next
from reports.making import make
from reports.missing import look_at_schedules
from reports.models import Schedule
from reports.schedules import do_remove_schedule, do_switch_schedule, run_due
from tests.reports.subjects import Numbers
from tests.reports.test_schedules import add, again, due, person, who
from violations.models import Alert, Kind, Violation

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def alice(numbers: Numbers) -> User:
    """Somebody whose reports have one row more than they say."""
    numbers.counted = 1
    return person("alice", "view_orderdecision", email="alice@example.com")


def missed(alice: User) -> Schedule:
    """Return a schedule whose report has failed."""
    schedule = add(alice)
    run_due(due(schedule))
    run_next(timezone.now(), make)
    return again(schedule)


def look() -> list[str]:
    look_at_schedules(timezone.now())
    return list(Alert.objects.values_list("state", flat=True))


def test_one_that_is_not_made_yet_is_no_alert(alice):
    run_due(due(add(alice)))
    assert look() == []


def test_one_that_failed_is_one_alert_and_says_which_and_why(alice):
    schedule = missed(alice)
    assert [look(), look()] == [["firing"]] * 2
    alert = Alert.objects.get()
    assert (alert.level, alert.account_id) == ("warning", "")
    assert alert.message.startswith("The daily report numbers (txt) of alice, due at ")
    assert alert.message.endswith(f"was not made or not sent: {schedule.problem}")
    assert Violation.objects.get().kind == Kind.FAULT


def test_one_that_its_owner_may_not_have_any_more_is_an_alert(alice):
    schedule = add(alice)
    alice.user_permissions.clear()
    run_due(due(schedule))
    assert look() == ["firing"]


def test_each_schedule_has_an_alert_of_its_own(alice):
    missed(alice)
    missed(alice)
    assert look() == ["firing", "firing"]


@pytest.mark.parametrize("how", ["asked for again", "rests", "removed"])
def test_it_is_over_when_the_next_is_asked_for_or_nobody_wants_it_any_more(alice, how):
    schedule = missed(alice)
    look()
    match how:
        case "asked for again":
            run_due(due(schedule))
        case "rests":
            do_switch_schedule(acting=who(alice), schedule_id=schedule.pk, enabled=False)
        case _:
            do_remove_schedule(acting=who(alice), schedule_id=schedule.pk)
    assert look() == ["resolved"]


def test_the_clock_looks(alice):
    schedule = missed(alice)
    Schedule.objects.update(next_at=timezone.now() + timedelta(days=1))
    assert again(schedule).problem
    tasks.send_scheduled()
    assert Alert.objects.get().state == "firing"
