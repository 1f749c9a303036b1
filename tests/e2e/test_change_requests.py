"""Limits changed by people in real browsers, and by the clock, on an installation of one process."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browsing import Office, office
from tests.e2e.installation import Client, Embedded, embedded, until_approved, wait_for
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
def people(browser: Browser, installation: Embedded) -> Iterator[Office]:
    with office(browser, installation) as made:
        yield made


def ask_for(page: Page, threshold: str, why: str) -> None:
    """Type another threshold into the form of the limit, and go on to the request."""
    page.goto("/admin/policies/policy/")
    page.get_by_role("link", name=LIMIT).click()
    page.locator("input[name=threshold]").fill(threshold)
    page.locator("[name=change_reason]").fill(why)
    page.get_by_role("button", name="Look at what this changes").click()
    expect(page.get_by_role("heading", name="What it changes")).to_be_visible()


class Desk:
    """A desk that sends orders over REST, each under an id of its own."""

    def __init__(self, client: Client) -> None:
        self.client, self.sent = client, itertools.count()
        wait_for(lambda: feed(client), what="the first report")
        until_approved(self.ask, what="the door")

    def ask(self) -> Any:
        feed(self.client)
        return self.client.check(f"story-{next(self.sent)}", account_id="desk-1")

    def blocked(self) -> str:
        """Send an order that is blocked by the limit, and return its id once its decision is recorded."""
        decision = self.ask().json()
        assert decision["reason"] == "policy_violation", decision
        assert [breach["name"] for breach in decision["violations"]] == [LIMIT]
        order_id: str = decision["order_id"]
        looked_for = {"order_id": order_id}
        wait_for(
            lambda: self.client.get("/risk/decisions", params=looked_for).json()["results"], what="the recorded block"
        )
        return order_id


def publish(page: Page) -> None:
    page.get_by_role("button", name="Publish now").click()
    expect(page.get_by_text("is live: the next order is checked against it")).to_be_visible()


def test_officer_and_approver_tighten_loosen_and_take_back_a_limit(people, installation):
    """The officers' main job, as somebody does it who has never seen the pages."""
    officer, approver = people.person(), people.approver()
    desk = Desk(installation.client())

    # Tightened by one person alone, and the next order goes by it.
    ask_for(officer, "0.0001", "Nobody trades over lunch")
    expect(officer.get_by_role("heading", name="It only tightens limits: it can be published at once.")).to_be_visible()
    publish(officer)
    stopped = desk.blocked()

    # Loosened by nobody alone.
    ask_for(officer, "0.1", "Lunch is over")
    expect(officer.get_by_text("This loosens limits: somebody else has to approve it.")).to_be_visible()
    expect(officer.get_by_role("button", name="Publish now")).to_have_count(0)
    officer.get_by_role("button", name="Ask for approval").click()
    expect(officer.get_by_text("You wrote this: somebody else has to approve it.")).to_be_visible()
    expect(officer.get_by_role("button", name="Approve", exact=True)).to_have_count(0)
    desk.blocked()

    # A second person finds it on their first page, looks at what it would have let through, and approves it.
    approver.goto("/admin/")
    waiting = approver.get_by_role("region", name="Waits for you")
    waiting.get_by_role("link", name=f"{LIMIT}: threshold 0.0001 → 0.1").click()
    approver.get_by_role("button", name="Preview").click()
    preview = approver.get_by_role("region", name="What it would change")
    expect(preview.get_by_role("link", name=stopped, exact=True)).to_be_visible()
    expect(preview.get_by_text("would be approved", exact=True).first).to_be_visible()
    approver.locator("[name=note]").fill("The desk is back")
    approver.get_by_role("button", name="Approve", exact=True).click()
    expect(approver.get_by_text("approver approved it.")).to_be_visible()
    expect(approver.get_by_text("Publish now: that is for somebody who changes limits.")).to_be_visible()
    desk.blocked()

    # Live, and back again.
    officer.goto("/admin/")
    officer.get_by_role("link", name=f"{LIMIT}: threshold 0.0001 → 0.1").click()
    publish(officer)
    until_approved(desk.ask, what="the door after the limit was loosened")
    officer.get_by_label("Reason for rolling back").fill("It was too early")
    officer.get_by_role("button", name="Roll back").click()
    publish(officer)
    desk.blocked()

    # Who changed what, and why.
    officer.get_by_role("link", name=f"History of {LIMIT}").click()
    for why, after in (
        ("Nobody trades over lunch", "0.0001"),
        ("Lunch is over", "0.1"),
        ("It was too early", "0.0001"),
    ):
        row = officer.get_by_role("row").filter(has_text=why)
        expect(row).to_contain_text("officer")
        expect(row).to_contain_text(after)


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
    wait_for(lambda: client.get(path).json()["state"] == "published", what="the scheduled request")
    limits = client.get("/risk/limits", params={"account_id": "desk-1"}).json()["results"][0]["limits"]
    assert [each["threshold"] for each in limits if each["name"] == OTHER] == ["9"]
