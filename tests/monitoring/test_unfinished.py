"""A stop that was given up with something left is an alert until somebody sees to it."""

from __future__ import annotations

from django.utils import timezone

from audit.acting import system
from emergency.models import EmergencyStop
from emergency.patience import do_give_up, do_go_on
from emergency.records import add_step
from emergency.words import Status
from monitoring import tasks
from monitoring.unfinished import look_at_stops
from tests.emergency.world import World, engage, lift
from violations.models import Alert, Violation

LEFT = [{"account_id": "desk-1", "why": "nobody listens"}]


def given_up() -> str:
    stop_id = engage(scope="account", scope_id="desk-1").stop_id
    add_step(stop_id, "trouble", residuals=LEFT)
    do_give_up(stop_id=stop_id, acting=system("alice"), reason="closed by phone")
    return stop_id


def look() -> list[tuple[str, str]]:
    look_at_stops(timezone.now())
    return list(Alert.objects.values_list("state", "account_id"))


def test_a_stop_that_goes_on_is_no_alert(world: World) -> None:
    engage(scope="account", scope_id="desk-1")
    assert look() == []


def test_one_that_was_completed_is_no_alert(world: World) -> None:
    add_step(given_up(), "completed", status=Status.COMPLETED, residuals=[])
    assert look() == []


def test_one_that_was_given_up_is_one_alert_and_says_what_is_left(world: World) -> None:
    given_up()
    assert [look(), look()] == [[("firing", "desk-1")]] * 2
    alert = Alert.objects.get()
    assert alert.level == "emergency"
    assert "blocked and was given up: desk-1: nobody listens." in alert.message
    assert Violation.objects.get().observations == 2


def test_it_is_over_once_the_oms_is_asked_again_or_the_stop_is_lifted(world: World) -> None:
    stop_id = given_up()
    look()
    do_go_on(stop_id=stop_id, acting=system("alice"), reason="the OMS is back")
    assert look() == [("resolved", "desk-1")]
    do_give_up(stop_id=stop_id, acting=system("alice"), reason="it is not")
    look()
    lift(stop_id=stop_id)
    look()
    assert not Alert.objects.exclude(state="resolved").exists()


def test_of_many_accounts_some_are_named(world: World) -> None:
    stop_id = engage().stop_id
    add_step(stop_id, "trouble", residuals=[{"account_id": f"a-{number}", "why": "?"} for number in range(8)])
    do_give_up(stop_id=stop_id, acting=system("alice"), reason="closed by phone")
    tasks.check_stops()
    alert = Alert.objects.get()
    assert alert.account_id == ""
    assert "a-4: ?; and 3 more accounts" in alert.message
    assert EmergencyStop.objects.get().in_force
