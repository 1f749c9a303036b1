"""Sessions: they end by age, by idling, and once what their person may is not what it was."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.models import Session
from django.urls import reverse
from django.utils import timezone

from access.sessions import people_of, session_is_good
from access.tasks import clear_sessions
from audit.models import AccountGrant, GivenPassword
from tests.access.people import OTHER_PASSWORD, PASSWORD, Browser, actions, events, said, with_factor

pytestmark = pytest.mark.django_db


def _new_password(user: User) -> None:
    user.set_password(OTHER_PASSWORD)
    user.save()


CHANGES: dict[str, Callable[[User], object]] = {
    "disabled": lambda user: User.objects.filter(pk=user.pk).update(is_active=False),
    "another password": _new_password,
    "a role": lambda user: user.groups.add(Group.objects.get(name="approver")),
    "a right": lambda user: user.user_permissions.add(Permission.objects.get(codename="change_limits")),
    "may everything": lambda user: User.objects.filter(pk=user.pk).update(is_superuser=True),
    "no staff": lambda user: User.objects.filter(pk=user.pk).update(is_staff=False),
    "an account": lambda user: AccountGrant.objects.create(user=user, account_id="desk-1"),
    "a second factor": with_factor,
}


@pytest.fixture
def signed_in(vera) -> Browser:
    browser = Browser()
    browser.give("vera")
    assert browser.is_in
    return browser


@pytest.mark.parametrize("what", CHANGES)
def test_a_session_ends_with_what_it_rested_on(signed_in, vera, what):
    key = signed_in.session.session_key
    assert session_is_good(key)
    CHANGES[what](vera)
    assert not session_is_good(key)
    assert signed_in.get("/admin/").status_code == 302
    assert not signed_in.is_in


def test_a_role_taken_away_ends_it_as_well(vera):
    vera.groups.add(Group.objects.get(name="approver"))
    browser = Browser()
    browser.give("vera")
    vera.groups.clear()
    assert not browser.is_in


def test_whoever_was_signed_out_is_told_why_and_the_log_too(signed_in, vera):
    CHANGES["a role"](vera)
    page = signed_in.get("/admin/", follow=True)
    assert "What you may do, or how you sign in, was changed" in said(page)
    last = events("sign_in")[-1]
    assert (last.action, last.actor, last.object_label) == ("sign_in.ended", "riskportal", "vera")


def test_nothing_is_left_of_a_session_that_ended(signed_in, vera):
    key = signed_in.session.session_key
    CHANGES["a role"](vera)
    signed_in.get("/admin/")
    vera.groups.clear()
    assert not session_is_good(key)
    assert not signed_in.is_in


def moved(browser: Browser, name: str, by: timedelta) -> str:
    """Have something about a session lie so far back, and return its key."""
    session = browser.session
    session[name] = session[name] - by.total_seconds()
    session.save()
    key = session.session_key
    assert key is not None
    return key


def test_it_ends_at_its_age_however_busy_it_is(signed_in, settings):
    key = moved(signed_in, "access.since", timedelta(seconds=settings.SESSION_COOKIE_AGE + 1))
    assert not session_is_good(key)
    assert not signed_in.is_in


def test_it_ends_when_idle_but_not_for_whoever_only_watches(signed_in, settings):
    key = moved(signed_in, "access.seen", settings.RISK_SESSION_IDLE + timedelta(seconds=1))
    assert session_is_good(key)
    assert not signed_in.is_in
    assert actions() == ["sign_in.done", "sign_in.ended"]


def test_each_use_puts_idling_off(signed_in, settings):
    moved(signed_in, "access.seen", settings.RISK_SESSION_IDLE - timedelta(seconds=30))
    assert signed_in.is_in
    moved(signed_in, "access.seen", settings.RISK_SESSION_IDLE - timedelta(seconds=30))
    assert signed_in.is_in


def test_a_session_without_a_stamp_is_no_good(signed_in):
    session = signed_in.session
    del session["access.stamp"]
    session.save()
    assert not session_is_good(session.session_key)
    assert not signed_in.is_in


@pytest.mark.parametrize("key", [None, "", "no-such-session"])
def test_where_there_is_no_session_it_is_not_good(key, db):
    assert not session_is_good(key)


def test_a_signed_out_session_is_not_good(signed_in):
    key = signed_in.session.session_key
    signed_in.post(reverse("access:sign-out"))
    assert not session_is_good(key)


def test_with_something_left_to_do_it_is_not_good_yet(signed_in, vera, settings):
    settings.RISK_REQUIRE_SECOND_FACTOR = "all"
    assert not session_is_good(signed_in.session.session_key)
    settings.RISK_REQUIRE_SECOND_FACTOR = "off"
    GivenPassword.objects.create(user=vera, actor="olga")
    assert not session_is_good(signed_in.session.session_key)


def test_it_costs_three_queries(signed_in, django_assert_num_queries):
    with django_assert_num_queries(3):
        assert session_is_good(signed_in.session.session_key, timezone.now())


def test_many_sessions_cost_no_more_and_each_is_judged_for_itself(signed_in, olga, vera, django_assert_num_queries):
    other = Browser()
    other.give("olga")
    keys = [signed_in.session.session_key, other.session.session_key, "no-such-session"]
    with django_assert_num_queries(3):
        found = people_of(keys)
    assert found == {keys[0]: vera, keys[1]: olga}
    CHANGES["a role"](vera)
    assert people_of(keys) == {keys[1]: olga}


def test_the_cookie_is_for_no_script_and_no_other_site(signed_in):
    cookie = signed_in.cookies["sessionid"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


def test_changing_ones_own_password_keeps_this_session_under_a_new_key_and_ends_the_others(signed_in, vera):
    other, before = Browser(), signed_in.session.session_key
    other.give("vera")
    form = {"old_password": PASSWORD, "new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    signed_in.post(reverse("access:password"), form)
    assert signed_in.is_in
    assert signed_in.session.session_key != before
    assert not other.is_in


def test_sessions_that_have_run_out_are_deleted_and_no_others(signed_in):
    old = Session.objects.create(session_key="old", session_data="", expire_date=timezone.now() - timedelta(seconds=1))
    clear_sessions()
    assert not Session.objects.filter(pk=old.pk).exists()
    assert signed_in.is_in
