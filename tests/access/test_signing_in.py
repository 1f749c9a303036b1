"""Signing in and out: on one page of our own, to where one wanted, and told in the audit log."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.access.people import ADDRESS, OTHER_PASSWORD, PASSWORD, actions, events, said

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("name", ["olga", "nobody-at-all"], ids=["wrong password", "unknown name"])
def test_a_wrong_name_and_a_wrong_password_are_told_alike(browser, olga, name):
    page = browser.give(name, OTHER_PASSWORD)
    assert "The name or the password is wrong." in said(page)
    assert not browser.is_in


@pytest.mark.parametrize("changed", [{"is_active": False}, {"is_staff": False}], ids=["disabled", "no staff"])
def test_who_may_not_sign_in_is_refused(browser, olga, changed):
    User.objects.filter(pk=olga.pk).update(**changed)
    browser.give("olga")
    assert not browser.is_in
    assert "sign_in.done" not in actions()


def test_a_form_without_its_token_is_refused(olga):
    strict = Client(enforce_csrf_checks=True)
    assert strict.post(reverse("access:sign-in"), {"username": "olga", "password": PASSWORD}).status_code == 403


@pytest.mark.parametrize("path", ["/", "/admin/", "/admin/login/", "/admin/policies/policy/", "/me/"])
def test_every_page_leads_to_the_one_sign_in(browser, db, path):
    page = browser.get(path, follow=True)
    assert page.redirect_chain[-1][0].startswith("/sign-in/")
    assert page.templates[0].name == "access/sign_in.html"


def test_one_gets_to_where_one_wanted(browser, olga):
    page = browser.get("/admin/policies/policy/?enabled=1", follow=True)
    follows = page.context["next"]
    assert browser.give("olga", next=follows).headers["location"] == "/admin/policies/policy/?enabled=1"


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "http:///evil.example"],
)
def test_nobody_is_led_elsewhere(browser, olga, elsewhere):
    assert browser.give("olga", next=elsewhere).headers["location"] == "/"


def test_a_session_begins_with_a_new_key(browser, olga):
    browser.get(reverse("access:sign-in"))
    before = browser.session.session_key
    browser.give("olga")
    assert browser.session.session_key != before


def test_signing_in_is_an_event_with_the_address_and_without_the_password(browser, olga):
    browser.give("olga")
    (event,) = events("sign_in")
    assert (event.actor, event.action, event.object_label) == ("olga", "sign_in.done", "olga")
    assert event.after == {"address": ADDRESS, "second_factor": "none"}
    assert PASSWORD not in str(vars(event))


def test_a_failure_is_an_event_by_nobody_who_is_known(browser, olga):
    browser.give("olga", OTHER_PASSWORD)
    (event,) = events("sign_in")
    assert (event.actor, event.action, event.object_id) == (f"somebody at {ADDRESS}", "sign_in.failed", str(olga.pk))
    assert OTHER_PASSWORD not in str(vars(event))


def test_what_was_typed_as_a_name_that_nobody_has_is_kept_nowhere(browser, olga, caplog):
    from axes.models import AccessAttempt

    browser.give("my-secret-in-the-wrong-field", "x")
    (event,) = events("sign_in")
    assert event.object_label == "a name that nobody has"
    kept = [str(vars(row)) for row in (*AccessAttempt.objects.all(), event)]
    assert not [text for text in (*kept, caplog.text) if "my-secret" in text]


def test_one_signs_out_by_a_form_and_not_by_a_link(browser, olga):
    browser.give("olga")
    assert browser.get(reverse("access:sign-out")).status_code == 405
    assert browser.is_in
    page = browser.post(reverse("access:sign-out"), follow=True)
    assert "You are signed out." in said(page)
    assert not browser.is_in
    assert actions() == ["sign_in.done", "sign_in.ended"]


def test_the_sign_out_of_the_admin_is_the_same(browser, olga):
    browser.give("olga")
    browser.post(reverse("admin:logout"))
    assert actions() == ["sign_in.done", "sign_in.ended"]


def test_whoever_is_in_is_not_asked_again(browser, olga):
    browser.give("olga")
    assert browser.get(reverse("access:sign-in") + "?next=/admin/").headers["location"] == "/admin/"


def test_the_page_is_kept_by_no_cache(browser, db):
    assert "no-store" in browser.get(reverse("access:sign-in")).headers["cache-control"]
