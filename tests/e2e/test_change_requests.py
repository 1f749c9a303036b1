"""Limits changed by people in real browsers, and by the clock, on an installation of one process."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.installation import Embedded, embedded, until_approved, wait_for
from tests.e2e.test_admin_page import browser  # noqa: F401 - a fixture
from tests.e2e.test_embedded import feed

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

# One of orders alone: of what accounts hold the monitor would see more than the story tells.
LIMIT = "Order Price Collar"
OTHER = "Max Account Leverage"


@pytest.fixture(scope="module")
def installation(tmp_path_factory) -> Iterator[Embedded]:
    with embedded(tmp_path_factory.mktemp("requests") / "data") as made:
        made.start()
        yield made


@pytest.fixture
def signed_in(browser: Browser, installation: Embedded) -> Iterator[Callable[[str, str], Page]]:  # noqa: F811
    """Call it with two lines of the sign-in file, and get a page of that person."""
    address = f"http://127.0.0.1:{installation.port}"
    contexts = []

    def sign_in(name: str, password: str) -> Page:
        context = browser.new_context(base_url=address)
        context.set_default_timeout(15_000)
        contexts.append(context)
        page, lines = context.new_page(), installation.sign_in()
        page.goto("/admin/")
        page.locator("input[name=username]").fill(lines[name])
        page.locator("input[name=password]").fill(lines[password])
        page.locator("input[name=password]").press("Enter")
        expect(page).to_have_url(f"{address}/admin/")
        return page

    yield sign_in
    for context in contexts:
        context.close()


def ask_for(page: Page, threshold: str, why: str) -> None:
    """Type another threshold into the form of the limit, and go on to the request."""
    page.goto("/admin/policies/policy/")
    page.get_by_role("link", name=LIMIT).click()
    page.locator("input[name=threshold]").fill(threshold)
    page.locator("[name=change_reason]").fill(why)
    page.get_by_role("button", name="Look at what this changes").click()
    expect(page.get_by_role("heading", name="What it changes")).to_be_visible()


def test_officer_and_approver_tighten_loosen_and_take_back_a_limit(signed_in, installation):
    officer, approver = signed_in("user", "password"), signed_in("approver", "approver-password")
    client = installation.client()
    ids = (f"story-{number}" for number in itertools.count())

    def ask() -> Any:
        feed(client)
        return client.check(next(ids), account_id="desk-1")

    wait_for(lambda: feed(client), what="the first report")
    until_approved(ask, what="the door")

    ask_for(officer, "0.0001", "Nobody trades over lunch")
    officer.get_by_role("button", name="Publish now").click()
    expect(officer.get_by_text("is live: the next order is checked against it")).to_be_visible()
    assert not ask().json()["approved"]

    ask_for(officer, "0.1", "Lunch is over")
    expect(officer.get_by_text("This loosens limits: somebody else has to approve it.")).to_be_visible()
    expect(officer.get_by_role("button", name="Publish now")).to_have_count(0)
    officer.get_by_role("button", name="Ask for approval").click()
    expect(officer.get_by_text("You wrote this: somebody else has to approve it.")).to_be_visible()
    assert not ask().json()["approved"]

    approver.goto("/admin/policies/changerequest/")
    expect(approver.get_by_text("your approval")).to_be_visible()
    approver.get_by_role("link", name=f"{LIMIT}: threshold 0.0001 → 0.1").click()
    approver.locator("[name=note]").fill("The desk is back")
    approver.get_by_role("button", name="Approve").click()
    expect(approver.get_by_text("approver approved it.")).to_be_visible()

    officer.reload()
    officer.get_by_role("button", name="Publish now").click()
    expect(officer.get_by_text("is live: the next order is checked against it")).to_be_visible()
    until_approved(ask, what="the door after the limit was loosened")

    officer.locator("[name=note]").fill("It was too early")
    officer.get_by_role("button", name="Roll back").click()
    officer.get_by_role("button", name="Publish now").click()
    expect(officer.get_by_text("is live: the next order is checked against it")).to_be_visible()
    assert not ask().json()["approved"]

    officer.goto("/admin/policies/policy/")
    officer.get_by_role("link", name=LIMIT).click()
    officer.get_by_role("link", name="history History").click()
    for why in ("Nobody trades over lunch", "Lunch is over", "It was too early"):
        expect(officer.get_by_role("cell", name=why)).to_be_visible()


def test_what_is_scheduled_goes_live_though_the_process_was_down_at_its_moment(installation):
    client = installation.client()
    (limit,) = [each for each in client.get("/risk/policies").json()["results"] if each["name"] == OTHER]
    body = {"id": limit["id"], "version": limit["version"], "threshold": "9", "reason": "A quiet night"}
    asked = client.patch("/risk/policies", json=body).json()
    at = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    path = f"/risk/requests/{asked['id']}"
    made = client.post(f"{path}/publish", json={"version": asked["version"], "at": at})
    assert made.json()["state"] == "scheduled", made.text

    installation.running.end()
    wait_for(lambda: datetime.now(UTC).isoformat() > at, what="its moment")
    installation.start()

    client = installation.client()
    wait_for(lambda: client.get(path).json()["state"] == "published", seconds=60, what="the scheduled request")
    limits = client.get("/risk/limits", params={"account_id": "desk-1"}).json()["results"][0]["limits"]
    assert [each["threshold"] for each in limits if each["name"] == OTHER] == ["9"]
