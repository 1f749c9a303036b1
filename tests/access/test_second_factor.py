"""The second factor: asked of whoever has one, each code good once, and no way around it."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b32decode
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.urls import reverse
from django.utils import timezone

from access.models import RecoveryCode, SecondFactor
from access.second_factor import RECOVERY_CODES, do_take_code, new_salt
from access.totp import STEP_S, code_at, secret_of, step_of, uri_of
from audit.models import AuditEvent
from tests.access.people import (
    OTHER_PASSWORD,
    PASSWORD,
    Browser,
    actions,
    events,
    said,
    shown_code,
    with_factor,
    wrong_code,
)

pytestmark = pytest.mark.django_db

PAGE = "/me/second-factor/"


def signed_in(name: str = "olga") -> Browser:
    browser = Browser()
    browser.give(name)
    return browser


def in_by_code(user: User) -> Browser:
    """Return a browser that has signed in with the code that the app shows."""
    browser = Browser()
    browser.give(user.get_username())
    browser.give_code(shown_code(user))
    assert browser.is_in
    return browser


# ---------------------------------------------------------------------------------------------- the codes
def rfc_6238(secret: bytes, step: int) -> str:
    """Work a code out as RFC 6238 and RFC 4226 say."""
    digest = hmac.new(secret, step.to_bytes(8, "big"), hashlib.sha1).digest()
    at = digest[-1] & 0xF
    return f"{(int.from_bytes(digest[at : at + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06d}"


@pytest.mark.parametrize("step", [1, 37037036, 666666666, 10**12])
def test_codes_are_those_of_the_standard(step):
    salt = new_salt()
    assert code_at(salt, step) == rfc_6238(b32decode(secret_of(salt)), step)


def test_another_secret_key_makes_other_codes(settings):
    salt = new_salt()
    before = secret_of(salt)
    settings.SECRET_KEY = "another one, of a thief who has the database alone"
    assert secret_of(salt) != before


@pytest.mark.parametrize(("off", "is_good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_code_is_good_for_a_minute_and_a_half(off, is_good):
    salt, now = new_salt(), datetime(2026, 11, 22, 12, 0, 15, tzinfo=UTC)
    step = int(now.timestamp()) // STEP_S
    assert (step_of(salt, code_at(salt, step + off), now=now, after=0) is not None) is is_good


def test_the_app_is_told_who_and_where():
    assert uri_of(new_salt(), "olga").startswith("otpauth://totp/riskportal:olga?secret=")


# --------------------------------------------------------------------------------------------- signing in
def test_the_password_alone_lets_nobody_in(browser, olga):
    with_factor(olga)
    assert browser.give("olga").headers["location"] == reverse("access:code")
    assert not browser.is_in
    assert browser.get("/admin/").status_code == 302
    assert actions() == []


def test_nobody_is_asked_for_a_code_who_has_given_no_password(browser, olga):
    with_factor(olga)
    assert browser.get(reverse("access:code")).headers["location"] == reverse("access:sign-in")
    assert browser.give_code(shown_code(olga)).headers["location"] == reverse("access:sign-in")
    assert not browser.is_in


def test_a_wrong_code_lets_nobody_in(browser, olga):
    with_factor(olga)
    browser.give("olga")
    assert "This code is wrong" in said(browser.give_code(wrong_code(olga)))
    assert not browser.is_in


def test_the_code_lets_in_to_where_one_wanted(browser, olga):
    with_factor(olga)
    browser.give("olga", next="/admin/policies/policy/")
    assert browser.give_code(shown_code(olga)).headers["location"] == "/admin/policies/policy/"
    assert browser.is_in
    (event,) = events("sign_in")
    assert event.after is not None
    assert event.after["second_factor"] == "code"


def test_a_code_is_good_once(olga):
    with_factor(olga)
    code = shown_code(olga)
    assert do_take_code(olga, code, now=timezone.now()) == "code"
    assert do_take_code(olga, code, now=timezone.now()) is None


def test_the_code_has_to_follow_soon(browser, olga):
    with_factor(olga)
    browser.give("olga")
    session = browser.session
    session["access.asked"] = {**session["access.asked"], "at": timezone.now().timestamp() - 301}
    session.save()
    assert browser.give_code(shown_code(olga)).headers["location"] == reverse("access:sign-in")
    assert not browser.is_in


def test_a_password_that_was_changed_meanwhile_counts_no_more(browser, olga):
    with_factor(olga)
    browser.give("olga")
    olga.set_password(OTHER_PASSWORD)
    olga.save()
    browser.give_code(shown_code(olga))
    assert not browser.is_in


def test_a_recovery_code_lets_in_once_however_it_is_typed(browser, olga):
    code = with_factor(olga)[3]
    browser.give("olga")
    browser.give_code(f" {code.lower().replace('-', ' ')} ")
    assert browser.is_in
    assert actions("user.recovery_code") == ["user.recovery_code"]
    second = Browser()
    second.give("olga")
    second.give_code(code)
    assert not second.is_in


def test_the_sign_in_of_the_admin_asks_as_well(browser, olga):
    with_factor(olga)
    browser.post("/admin/login/?next=/admin/", {"username": "olga", "password": PASSWORD}, follow=True)
    assert not browser.is_in


# -------------------------------------------------------------------------------------------- setting it up
def test_it_is_set_up_by_a_code_and_the_password_and_shows_recovery_codes_once(olga):
    browser = signed_in()
    browser.get(PAGE)
    salt = browser.session["access.salt"]
    code = code_at(salt, int(timezone.now().timestamp()) // STEP_S)
    page = browser.post(PAGE, {"code": code, "password": PASSWORD})
    codes = page.context["codes"]
    assert len(set(codes)) == RECOVERY_CODES
    assert all(code in said(page) for code in codes)
    assert "no-store" in page.headers["cache-control"]
    assert browser.is_in
    assert not [code for code in codes if code in said(browser.get("/me/"))]
    (event,) = events("user.second_factor")
    assert (event.actor, event.action) == ("olga", "user.second_factor_on")


@pytest.mark.parametrize("wrong", ["code", "password"])
def test_it_is_not_set_up_with_a_wrong_code_or_password(olga, wrong):
    browser = signed_in()
    browser.get(PAGE)
    good = {
        "code": code_at(browser.session["access.salt"], int(timezone.now().timestamp()) // STEP_S),
        "password": PASSWORD,
    }
    browser.post(PAGE, {**good, wrong: "123"})
    assert not SecondFactor.objects.exists()


def test_the_picture_is_of_the_key_and_for_nobody_else(olga, browser):
    first = signed_in()
    first.get(PAGE)
    picture = first.get(reverse("access:picture"))
    assert picture.headers["content-type"] == "image/svg+xml"
    assert "no-store" in picture.headers["cache-control"]
    assert browser.get(reverse("access:picture")).status_code == 302
    other = signed_in()
    assert other.get(reverse("access:picture")).status_code == 404


def test_once_it_is_set_up_its_key_is_shown_no_more(olga):
    with_factor(olga)
    browser = in_by_code(olga)
    assert browser.get(reverse("access:picture")).status_code == 404
    secret = secret_of(SecondFactor.objects.get().salt)
    assert secret not in said(browser.get(PAGE)).replace(" ", "")


def test_another_phone_takes_the_place_of_the_first(olga):
    old = with_factor(olga)
    browser = in_by_code(olga)
    browser.get(PAGE)
    salt = browser.session["access.salt"]
    code = code_at(salt, int(timezone.now().timestamp()) // STEP_S)
    browser.post(PAGE, {"code": code, "password": PASSWORD})
    assert SecondFactor.objects.get().salt == salt
    assert do_take_code(olga, old[0], now=timezone.now()) is None
    assert browser.is_in


def test_setting_it_up_ends_the_other_sessions(olga):
    other = signed_in()
    with_factor(olga)
    assert not other.is_in


def test_the_database_has_no_code_that_lets_in(olga):
    codes = with_factor(olga)
    kept = str([vars(row) for row in (*SecondFactor.objects.all(), *RecoveryCode.objects.all())])
    assert secret_of(SecondFactor.objects.get().salt) not in kept
    assert not [code for code in codes if code.replace("-", "") in kept]
    assert not [code for code in codes if code in str([vars(event) for event in AuditEvent.objects.all()])]


def test_new_recovery_codes_take_the_place_of_the_old(olga):
    old = with_factor(olga)
    browser = in_by_code(olga)
    page = reverse("access:codes")
    assert "not your password" in said(browser.post(page, {"password": OTHER_PASSWORD}))
    new = browser.post(page, {"password": PASSWORD}).context["codes"]
    assert do_take_code(olga, old[0], now=timezone.now()) is None
    assert do_take_code(olga, new[0], now=timezone.now()) == "recovery code"


# ------------------------------------------------------------------------------------------ who has to have it
@pytest.mark.parametrize(
    ("required", "role", "is_sent"),
    [
        ("off", "approver", False),
        ("operators", "viewer", False),
        ("operators", "auditor", False),
        ("operators", "approver", True),
        ("operators", "administrator", True),
        ("all", "viewer", True),
    ],
)
def test_who_has_to_have_one_sets_it_up_before_anything_else(vera, settings, required, role, is_sent):
    vera.groups.set(Group.objects.filter(name=role))
    settings.RISK_REQUIRE_SECOND_FACTOR = required
    browser = signed_in("vera")
    page = browser.get("/admin/")
    assert page.headers.get("location") == (PAGE if is_sent else None)
    assert browser.get("/risk/decisions", HTTP_ACCEPT="application/json").status_code == (403 if is_sent else 200)


def test_without_one_nothing_is_changed_by_whoever_has_to_have_it(olga, settings):
    settings.RISK_REQUIRE_SECOND_FACTOR = "operators"
    browser = signed_in()
    assert browser.post(reverse("admin:auth_group_add"), {"name": "new", "reason": "x"}).status_code == 403
    assert not Group.objects.filter(name="new").exists()


def test_it_is_given_up_where_it_is_not_required(olga):
    with_factor(olga)
    browser = in_by_code(olga)
    browser.post(reverse("access:off"), {"password": OTHER_PASSWORD})
    assert SecondFactor.objects.exists()
    browser.post(reverse("access:off"), {"password": PASSWORD})
    assert not SecondFactor.objects.exists()
    assert browser.is_in
    assert actions("user.second_factor") == ["user.second_factor_on", "user.second_factor_off"]


def test_it_is_not_given_up_where_it_is_required(olga, settings):
    with_factor(olga)
    settings.RISK_REQUIRE_SECOND_FACTOR = "operators"
    browser = in_by_code(olga)
    assert browser.post(reverse("access:off"), {"password": PASSWORD}).status_code == 403
    assert SecondFactor.objects.exists()


# ------------------------------------------------------------------------------------------------ the reset
def form(user: User, **more: str) -> dict[str, str]:
    joined = {"date_joined_0": f"{user.date_joined:%Y-%m-%d}", "date_joined_1": f"{user.date_joined:%H:%M:%S}"}
    return {"username": user.username, "is_active": "on", "is_staff": "on", **joined, **more}


def test_an_administrator_takes_it_away_with_a_reason(olga, vera):
    with_factor(vera)
    page = reverse("admin:auth_user_change", args=(vera.pk,))
    browser = signed_in()
    browser.post(page, form(vera, reset_second_factor="on", reason=""))
    assert SecondFactor.objects.filter(user=vera).exists()
    browser.post(page, form(vera, reset_second_factor="on", reason="Lost phone, seen in person"))
    assert not SecondFactor.objects.filter(user=vera).exists()
    event = events("user.second_factor_off")[0]
    assert (event.actor, event.reason, event.object_label) == ("olga", "Lost phone, seen in person", "vera")


def test_nobody_takes_their_own_away_there(olga):
    with_factor(olga)
    browser = in_by_code(olga)
    page = reverse("admin:auth_user_change", args=(olga.pk,))
    browser.post(page, form(olga, is_superuser="on", reset_second_factor="on", reason="For fun"))
    assert SecondFactor.objects.filter(user=olga).exists()


def test_a_block_of_codes_ends(olga, settings):
    with_factor(olga)
    SecondFactor.objects.update(
        failures=5, failed_at=timezone.now() - settings.RISK_LOCKOUT_TIME - timedelta(seconds=1)
    )
    assert do_take_code(olga, shown_code(olga), now=timezone.now()) == "code"
