"""Signing in with a real browser: by keyboard, on a phone, in the dark, without scripts, and with a second factor."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyotp
import pytest
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect

from access.totp import STEP_S
from tests.e2e.installation import Embedded, embedded

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PHONE = ViewportSize(width=360, height=640)


@pytest.fixture(scope="module")
def installation(tmp_path_factory) -> Iterator[Embedded]:
    with embedded(tmp_path_factory.mktemp("sign-in") / "data") as made:
        made.start("--no-demo")
        yield made


@pytest.fixture
def context(browser: Browser, installation: Embedded) -> Iterator[BrowserContext]:
    made = browser.new_context(base_url=f"http://127.0.0.1:{installation.port}", viewport=PHONE)
    made.set_default_timeout(20_000)
    yield made
    made.close()


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture
def page(context: BrowserContext, complaints: list[str]) -> Iterator[Page]:
    """A page on a phone, of which the browser has refused nothing in the end."""
    found = context.new_page()
    found.on("pageerror", lambda error: complaints.append(str(error)))
    found.on("console", lambda line: complaints.append(line.text) if "Content Security Policy" in line.text else None)
    yield found
    assert complaints == []


def sign_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_by_keyboard_alone_and_to_where_one_wanted(page, installation):
    known = installation.sign_in()
    page.goto("/admin/policies/policy/")
    expect(page).to_have_title(re.compile("Sign in"))
    expect(page.get_by_label("Username")).to_be_focused()
    page.keyboard.type(known["user"])
    page.keyboard.press("Tab")
    page.keyboard.type("not the password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong. Both are case-sensitive.")
    page.get_by_label("Password").focus()
    page.keyboard.type(known["password"])
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/admin/policies/policy/$"))


def test_the_page_fits_a_phone_and_is_dark_where_the_phone_is(page, complaints):
    page.goto("/sign-in/")
    grounds = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    light, dark = (sum(map(int, re.findall(r"\d+", ground)[:3])) for ground in grounds)
    assert light > 600
    assert dark < 100


def test_without_scripts_one_signs_in_and_out(browser, installation):
    known = installation.sign_in()
    address = f"http://127.0.0.1:{installation.port}"
    context = browser.new_context(base_url=address, java_script_enabled=False)
    page = context.new_page()
    page.goto("/me/")
    sign_in(page, known["user"], known["password"])
    expect(page.get_by_role("heading", name=known["user"])).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    context.close()


@pytest.mark.parametrize("path", ["/", "/admin/", "/admin/policies/policy/", "/api/docs", "/me/", "/me/password/"])
def test_the_browser_refuses_nothing_of_a_page(page, installation, path):
    known = installation.sign_in()
    page.goto("/sign-in/")
    sign_in(page, known["user"], known["password"])
    page.goto(path, wait_until="load")
    expect(page.locator("body")).to_be_visible()
    if path == "/api/docs":
        expect(page.locator(".swagger-ui .info").first).to_be_visible()


class App:
    """An authenticator app, which shows no code that was taken before: where it must, that of the next half minute."""

    def __init__(self, secret: str) -> None:
        self._made, self._last = pyotp.TOTP(secret), 0

    def code(self) -> str:
        self._last = max(self._last + 1, int(timezone.now().timestamp()) // STEP_S)
        return self._made.generate_otp(self._last)


def test_a_second_factor_from_its_picture_to_its_recovery_codes(page, installation):
    known = installation.sign_in()
    name, password = known["approver"], known["approver-password"]
    page.goto("/me/")
    sign_in(page, name, password)
    page.get_by_role("link", name="Set up a second factor").click()
    picture = page.get_by_role("img", name="Picture for an authenticator app")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 100
    app = App("".join(page.locator(".secret").inner_text().split()))
    page.get_by_label("Code").fill(app.code())
    page.get_by_label("Your password").fill(password)
    page.get_by_role("button", name="Set it up").click()
    expect(page.locator(".codes li")).to_have_count(10)
    codes = page.locator(".codes li").all_inner_texts()

    page.goto("/me/")
    page.get_by_role("button", name="Sign out").click()
    page.goto("/me/")
    sign_in(page, name, password)
    page.get_by_label("Code").fill("not a code")
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("alert")).to_contain_text("This code is wrong")
    page.get_by_label("Code").fill(app.code())
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("10 recovery codes left")).to_be_visible()

    page.get_by_role("button", name="Sign out").click()
    page.goto("/me/")
    sign_in(page, name, password)
    page.get_by_label("Code").fill(codes[0])
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("9 recovery codes left")).to_be_visible()


def test_whoever_guesses_is_told_that_they_are_locked_out(page):
    page.goto("/sign-in/")
    for _ in range(5):
        sign_in(page, "somebody", "a guess")
    expect(page.get_by_role("heading", name="Locked out for now")).to_be_visible()
