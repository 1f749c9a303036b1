"""`manage.py reset_sign_in`: for the day on which no administrator can sign in either."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from access.models import SecondFactor
from tests.access.people import OTHER_PASSWORD, actions, events, with_factor

pytestmark = pytest.mark.django_db

WHY = "--reason=Phone fell into the sea"


@pytest.mark.parametrize(
    "arguments",
    [("olga", WHY), ("nobody", "--unlock", WHY), ("olga", "--unlock", "--reason= "), ("olga", "--unlock")],
    ids=["nothing to do", "nobody", "blank reason", "no reason"],
)
def test_what_is_not_said_whole_changes_nothing(olga, arguments):
    with_factor(olga)
    with pytest.raises(CommandError):
        call_command("reset_sign_in", *arguments)
    assert SecondFactor.objects.exists()
    assert actions() == []


def test_it_ends_a_lock_out(browser, olga):
    for _ in range(5):
        browser.give("olga", OTHER_PASSWORD)
    call_command("reset_sign_in", "olga", "--unlock", WHY)
    browser.give("olga")
    assert browser.is_in
    (event,) = events("sign_in.unlocked")
    assert event.actor.startswith("command line (")


def test_it_takes_a_second_factor_away(olga):
    with_factor(olga)
    call_command("reset_sign_in", "olga", "--second-factor", WHY)
    assert not SecondFactor.objects.exists()
    assert actions("user.second_factor") == ["user.second_factor_on", "user.second_factor_off"]
