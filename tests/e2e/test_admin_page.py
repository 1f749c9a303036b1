"""The officer's main job in a real browser: sign in, tighten a limit, and the next order goes by it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.installation import Embedded, embedded, until_approved, wait_for
from tests.e2e.test_embedded import feed

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture
def installation(tmp_path) -> Iterator[Embedded]:
    with embedded(tmp_path / "data") as made:
        made.start()
        yield made


@pytest.fixture
def page(browser: Browser, installation: Embedded) -> Iterator[Page]:
    """A page of an officer who has signed in, on which nothing went wrong in the end."""
    context = browser.new_context(base_url=f"http://127.0.0.1:{installation.port}")
    context.set_default_timeout(15_000)
    found = context.new_page()
    errors: list[str] = []
    found.on("pageerror", lambda error: errors.append(str(error)))
    sign_in = installation.sign_in()
    found.goto("/admin/")
    found.locator("input[name=username]").fill(sign_in["user"])
    found.locator("input[name=password]").fill(sign_in["password"])
    found.locator("input[name=password]").press("Enter")
    expect(found).to_have_url(f"http://127.0.0.1:{installation.port}/admin/")
    yield found
    context.close()
    assert errors == []


def test_a_limit_that_is_tightened_blocks_the_next_order(page, installation):
    client = installation.client()
    wait_for(lambda: feed(client), what="the first report")
    ids = (f"before-{number}" for number in itertools.count())

    def ask() -> httpx.Response:
        feed(client)  # a slow machine may take longer than a report stays fresh
        answer: httpx.Response = client.check(next(ids), account_id="desk-1")
        return answer

    until_approved(ask, what="the door")

    page.goto("/admin/policies/policy/")
    page.get_by_role("link", name="Max Gross Exposure").click()
    page.locator("input[name=threshold]").fill("10")
    page.locator("[name=change_reason]").fill("Nobody trades over lunch")
    page.get_by_role("button", name="Look at what this changes").click()
    expect(page.get_by_text("It only tightens limits: it can be published at once.")).to_be_visible()
    page.get_by_role("button", name="Publish now").click()
    expect(page.get_by_text("is live: the next order is checked against it")).to_be_visible()

    feed(client)  # a slow browser may have taken longer than a report stays fresh
    decision = client.check("after", account_id="desk-1").json()
    # Where the monitor has looked in between, the firm as a whole is over the limit, and that is said first.
    assert decision["reason"] in ("policy_violation", "global_risk_critical"), decision
    if decision["reason"] == "policy_violation":
        assert "Max Gross Exposure" in [breach["name"] for breach in decision["violations"]]


def test_a_change_without_a_reason_is_not_made(page, installation):
    page.goto("/admin/policies/policy/")
    page.get_by_role("link", name="Max Gross Exposure").click()
    page.locator("input[name=threshold]").fill("10")
    page.locator("[name=change_reason]").evaluate("field => field.removeAttribute('required')")
    page.locator("[name=_save]").click()
    expect(page.get_by_text("This field is required")).to_be_visible()
    limits = installation.client().get("/risk/limits", params={"account_id": "desk-1"}).json()["results"][0]["limits"]
    assert [limit["threshold"] for limit in limits if limit["name"] == "Max Gross Exposure"] == ["1000000"]
