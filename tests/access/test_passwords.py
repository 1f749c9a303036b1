"""Passwords: changed by whoever has the old one, and changed first where somebody else set them."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from audit.models import GivenPassword
from audit.people import do_change_password
from tests.access.people import OTHER_PASSWORD, PASSWORD, Browser, actions, events, said

pytestmark = pytest.mark.django_db

PAGE = "/me/password/"


def form(old: str = PASSWORD, new: str = OTHER_PASSWORD) -> dict[str, str]:
    return {"old_password": old, "new_password1": new, "new_password2": new}


@pytest.fixture
def signed_in(vera) -> Browser:
    browser = Browser()
    browser.give("vera")
    return browser


@pytest.mark.parametrize(
    "given",
    [
        form(old="wrong"),
        form(new="short"),
        form(new="123456789012345"),
        form(new=PASSWORD),
        {**form(), "new_password2": "something else"},
    ],
    ids=["wrong old one", "short", "digits alone", "the same", "two different"],
)
def test_a_password_that_will_not_do_changes_nothing(signed_in, vera, given):
    signed_in.post(PAGE, given)
    vera.refresh_from_db()
    assert vera.check_password(PASSWORD)
    assert actions("user.password") == []


def test_guessing_the_old_one_on_a_screen_left_alone_locks_out(signed_in, vera):
    answers = [signed_in.post(PAGE, form(old="wrong guess")) for _ in range(5)]
    assert answers[-1].status_code == 429
    signed_in.post(PAGE, form())
    vera.refresh_from_db()
    assert vera.check_password(PASSWORD)


def test_a_change_is_an_event_of_its_owner(signed_in, vera):
    page = signed_in.post(PAGE, form(), follow=True)
    assert "Your password is changed." in said(page)
    (event,) = events("user.password")
    assert (event.actor, event.object_label) == ("vera", "vera")
    vera.refresh_from_db()
    assert vera.check_password(OTHER_PASSWORD)


def test_the_page_of_the_admin_is_the_same(signed_in, vera):
    signed_in.post(reverse("admin:password_change"), form())
    assert actions("user.password") == ["user.password"]


class TestSetBySomebodyElse:
    @pytest.fixture
    def given(self, olga, vera) -> Browser:
        """Somebody who has signed in with the password that an administrator set."""
        administrator = Browser()
        administrator.give("olga")
        page = reverse("admin:auth_user_password_change", args=(vera.pk,))
        new = {"password1": OTHER_PASSWORD, "password2": OTHER_PASSWORD, "usable_password": "true"}
        administrator.post(page, {**new, "reason": "Forgotten"})
        browser = Browser()
        browser.give("vera", OTHER_PASSWORD)
        return browser

    @pytest.mark.parametrize("path", ["/", "/admin/", "/admin/policies/policy/", "/me/", "/me/second-factor/"])
    def test_every_page_leads_to_changing_it(self, given, path):
        assert given.get(path).headers["location"] == PAGE
        assert "Somebody else knows your password" in said(given.get(PAGE))

    def test_nothing_is_done_before_that(self, given):
        answer = given.post("/risk/emergency-stop", {"reason": "x"}, content_type="application/json")
        assert answer.status_code == 403
        assert answer.headers["content-type"] == "application/problem+json"

    def test_one_may_sign_out(self, given):
        given.post(reverse("access:sign-out"))
        assert not given.is_in

    def test_it_does_not_do_to_keep_it(self, given):
        given.post(PAGE, form(old=OTHER_PASSWORD, new=OTHER_PASSWORD))
        assert given.get("/admin/").headers["location"] == PAGE

    def test_after_the_change_all_pages_open(self, given, vera):
        given.post(PAGE, form(old=OTHER_PASSWORD, new="only I know this one"))
        assert given.is_in
        assert not GivenPassword.objects.exists()
        assert [event.actor for event in events("user.password")] == ["olga", "vera"]

    def test_the_administrator_who_signs_in_with_it_cannot_act_unseen(self, olga, vera):
        do_change_password(actor="olga", reason="x", username="vera", password=OTHER_PASSWORD)
        intruder = Browser()
        intruder.give("vera", OTHER_PASSWORD)
        intruder.post(PAGE, form(old=OTHER_PASSWORD, new="the intruder's very own"))
        vera.refresh_from_db()
        # Vera's password does not let her in any more, and the log has the two changes and the sign-in in between.
        assert not vera.check_password(OTHER_PASSWORD)
        log = [event.action for event in events() if event.action.split(".")[0] in ("user", "sign_in")]
        assert log == ["user.password", "sign_in.done", "user.password"]

    def test_it_is_shown_on_their_page(self, given, vera):
        administrator = Browser()
        administrator.give("olga")
        page = administrator.get(reverse("admin:auth_user_change", args=(vera.pk,)))
        assert "set by olga" in said(page)

    def test_a_new_person_begins_with_one(self, olga):
        administrator = Browser()
        administrator.give("olga")
        new = {"username": "tim", "password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
        administrator.post(reverse("admin:auth_user_add"), {**new, "reason": "Hired"})
        assert GivenPassword.objects.get().user == User.objects.get(username="tim")
