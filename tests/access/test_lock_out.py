"""Lock-out: whoever guesses is locked out, whoever does not is not, and an administrator lets people in again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import Group, User
from django.urls import reverse
from django.utils import timezone

from audit.models import AuditEvent
from tests.access.people import OTHER_PASSWORD, PASSWORD, Browser, actions, events, said, with_factor, wrong_code

pytestmark = pytest.mark.django_db

LIMIT = 5


def lock_out(browser: Browser, name: str = "olga") -> None:
    answers = [browser.give(name, OTHER_PASSWORD) for _ in range(LIMIT)]
    assert answers[-1].status_code == 429


def test_after_too_many_failures_the_right_password_lets_nobody_in(browser, olga):
    lock_out(browser)
    page = browser.give("olga")
    assert page.status_code == 429
    assert "Locked out for now" in said(page)
    assert "15 minutes" in said(page)
    assert int(page.headers["retry-after"]) == 900
    assert not browser.is_in


def test_one_failure_fewer_locks_nobody_out(browser, olga):
    for _ in range(LIMIT - 1):
        browser.give("olga", OTHER_PASSWORD)
    browser.give("olga")
    assert browser.is_in


def test_a_sign_in_begins_the_count_anew(browser, olga):
    for _ in range(LIMIT - 1):
        browser.give("olga", OTHER_PASSWORD)
    browser.give("olga")
    browser.logout()
    browser.give("olga", OTHER_PASSWORD)
    browser.give("olga")
    assert browser.is_in


def test_nobody_is_locked_out_from_another_address(browser, olga):
    lock_out(browser)
    elsewhere = Browser("198.51.100.1")
    elsewhere.give("olga")
    assert elsewhere.is_in


def test_nobody_else_is_locked_out_at_the_same_address(browser, olga, vera):
    lock_out(browser)
    browser.give("vera")
    assert browser.is_in


def test_another_browser_at_the_address_is_the_same_guesser(browser, olga):
    for number in range(LIMIT):
        browser.defaults["HTTP_USER_AGENT"] = f"browser {number}"
        browser.give("olga", OTHER_PASSWORD)
    assert browser.give("olga").status_code == 429


def test_a_name_that_nobody_has_is_locked_out_alike(browser, db):
    lock_out(browser, "nobody-at-all")


@pytest.mark.parametrize(
    ("proxies", "forwarded", "is_out"),
    [
        (0, "192.0.2.1", True),  # whoever asks writes what they like: the connection's address counts
        (1, "192.0.2.1", False),
        (1, "203.0.113.7", True),
        (1, "192.0.2.1, 203.0.113.7", True),  # what stands before the proxy's word is the guesser's own
        (2, "203.0.113.7, 10.0.0.1", True),
        (2, "192.0.2.1, 10.0.0.1", False),
        (2, "203.0.113.7", True),
        (1, "nonsense", False),
    ],
)
def test_behind_proxies_their_word_on_the_address_counts(browser, olga, settings, proxies, forwarded, is_out):
    settings.RISK_PROXIES = 0
    lock_out(browser)
    settings.RISK_PROXIES = proxies
    browser.defaults["HTTP_X_FORWARDED_FOR"] = forwarded
    assert (browser.give("olga").status_code == 429) is is_out


def test_a_lock_out_ends_by_itself(browser, olga, settings):
    lock_out(browser)
    AccessAttempt.objects.update(attempt_time=timezone.now() - settings.RISK_LOCKOUT_TIME - timedelta(seconds=1))
    browser.give("olga")
    assert browser.is_in


def test_trying_on_does_not_make_it_longer(browser, olga):
    lock_out(browser)
    before = AccessAttempt.objects.get().attempt_time
    browser.give("olga", OTHER_PASSWORD)
    assert AccessAttempt.objects.get().attempt_time == before


def test_each_failure_and_the_lock_out_are_events_and_then_no_more_are(browser, olga):
    lock_out(browser)
    for _ in range(3):
        browser.give("olga", OTHER_PASSWORD)
    assert actions() == [*["sign_in.failed"] * LIMIT, "sign_in.locked"]


def test_no_password_is_kept_of_all_that(browser, olga):
    lock_out(browser)
    assert OTHER_PASSWORD not in str([vars(row) for row in (*AccessAttempt.objects.all(), *AuditEvent.objects.all())])


def test_an_api_is_not_locked_out(browser, olga):
    lock_out(browser)
    assert browser.get("/health").status_code == 200
    assert browser.get("/risk/decisions").status_code == 401


def test_wrong_codes_lock_out_as_wrong_passwords_do(browser, olga):
    with_factor(olga)
    browser.give("olga")
    answers = [browser.give_code(wrong_code(olga)) for _ in range(LIMIT)]
    assert answers[-1].status_code == 429
    assert browser.give("olga").status_code == 429
    assert [event.reason for event in events("sign_in.failed")] == ["The code was wrong"] * LIMIT


def test_codes_cannot_be_guessed_from_many_addresses(olga):
    with_factor(olga)
    for number in range(LIMIT):
        guesser = Browser(f"198.51.100.{number}")
        guesser.give("olga")
        assert guesser.give_code(wrong_code(olga)).status_code == 200
    last = Browser("198.51.100.99")
    last.give("olga")
    assert last.give_code(wrong_code(olga)).status_code == 429


class TestAnAdministrator:
    @pytest.fixture
    def administrator(self, vera) -> Browser:
        vera.groups.set(Group.objects.filter(name="administrator"))
        signed_in = Browser("198.51.100.1")
        signed_in.give("vera")
        return signed_in

    @pytest.fixture
    def tim(self, browser, olga) -> User:
        made = User.objects.create_user("tim", password=PASSWORD, is_staff=True)
        lock_out(browser, "tim")
        return made

    def form(self, user: User, **more: str) -> dict[str, str]:
        joined = {"date_joined_0": f"{user.date_joined:%Y-%m-%d}", "date_joined_1": f"{user.date_joined:%H:%M:%S}"}
        return {"username": user.username, "is_active": "on", "is_staff": "on", **joined, **more}

    def page(self, user: User) -> str:
        return reverse("admin:auth_user_change", args=(user.pk,))

    def test_sees_who_is_locked_out_and_unlocks_with_a_reason(self, administrator, browser, tim):
        assert 'name="unlock"' in administrator.get(self.page(tim)).content.decode()
        administrator.post(self.page(tim), self.form(tim, unlock="on", reason="He asked by phone"))
        (event,) = events("sign_in.unlocked")
        assert (event.actor, event.reason, event.object_label) == ("vera", "He asked by phone", "tim")
        browser.give("tim")
        assert browser.is_in

    def test_unlocks_nobody_without_a_reason(self, administrator, browser, tim):
        administrator.post(self.page(tim), self.form(tim, unlock="on", reason=" "))
        assert browser.give("tim").status_code == 429
        assert events("sign_in.unlocked") == []

    def test_finds_nothing_to_unlock_where_nobody_is_locked_out(self, administrator, vera):
        User.objects.create_user("ann", is_staff=True)
        ann = User.objects.get(username="ann")
        assert 'name="unlock"' not in administrator.get(self.page(ann)).content.decode()

    def test_does_not_unlock_somebody_who_may_more(self, administrator, browser, olga):
        lock_out(browser)
        administrator.post(self.page(olga), self.form(olga, unlock="on", reason="For fun"))
        assert browser.give("olga").status_code == 429
