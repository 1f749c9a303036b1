"""What else officers do, in a real browser: restrict, let through, look back, import; by keyboard, for everybody."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browsing import Office, found_by_axe, office, tab_to
from tests.e2e.installation import Embedded, embedded, until_approved, wait_for
from tests.e2e.test_embedded import feed

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def installation(tmp_path_factory) -> Iterator[Embedded]:
    with embedded(tmp_path_factory.mktemp("pages") / "data") as made:
        made.start()
        wait_for(lambda: feed(made.client()), what="the first report")
        yield made


@pytest.fixture
def people(browser: Browser, installation: Embedded) -> Iterator[Office]:
    with office(browser, installation) as made:
        yield made


# What `feed` reports: an order at it passes every collar, also one that another test has tightened.
MARK = "50000"


def check(installation: Embedded, order_id: str, **what: Any) -> Any:
    client = installation.client()
    feed(client)
    return client.check(order_id, account_id="desk-1", **what)


def look(page: Page) -> None:
    """Press the button of a form, and be on the page of the request."""
    page.get_by_role("button", name="Look at what this changes").click()
    expect(page.get_by_role("heading", name="What it changes")).to_be_visible()


def publish(page: Page) -> None:
    page.get_by_role("button", name="Publish now").click()
    expect(page.get_by_text("is live: the next order is checked against it")).to_be_visible()


def approve(people: Office, title: str) -> None:
    """Ask for what the page of the officer shows, as the officer, and let the approver approve it."""
    approver = people.approver()
    waiting = approver.get_by_role("region", name="Waits for you")
    waiting.get_by_role("link", name=title).click()
    approver.get_by_role("button", name="Approve", exact=True).click()
    expect(approver.get_by_text("approver approved it.")).to_be_visible()


def test_a_symbol_is_restricted_and_the_next_order_in_it_is_blocked(people, installation):
    officer = people.person()
    until_approved(lambda: check(installation, f"before-{datetime.now(UTC).timestamp()}", price=MARK), what="the door")
    officer.get_by_role("link", name="Restrict a symbol").click()
    officer.get_by_label("Symbol").fill("BTCUSDT")
    officer.get_by_label("Reason for this change").fill("The issuer is looked into")
    look(officer)
    publish(officer)
    assert check(installation, "restricted").json()["reason"] == "symbol_blocked"

    officer.goto("/admin/policies/restrictedsymbol/")
    expect(officer.get_by_role("row").filter(has_text="BTCUSDT")).to_contain_text("in force")
    officer.get_by_role("link", name="BTCUSDT").click()
    officer.get_by_role("checkbox", name="Active").uncheck()
    officer.get_by_label("Reason for this change").fill("Nothing was found")
    look(officer)
    expect(officer.get_by_text("This loosens limits: somebody else has to approve it.")).to_be_visible()
    officer.get_by_role("button", name="Ask for approval").click()
    approve(people, "BTCUSDT")
    officer.reload()
    publish(officer)
    until_approved(
        lambda: check(installation, f"after-{datetime.now(UTC).timestamp()}", price=MARK), what="the door again"
    )


def test_an_override_lets_orders_through_after_a_second_person_approved_it(people, installation):
    officer = people.person()
    officer.goto("/admin/policies/policy/")
    # One of orders alone: what accounts hold would trip the circuit breaker.
    officer.get_by_role("link", name="Order Price Collar").click()
    officer.locator("input[name=threshold]").fill("0.0001")
    officer.get_by_label("Reason for this change").fill("The desk is closed")
    look(officer)
    publish(officer)

    officer.goto("/admin/")
    officer.get_by_role("link", name="Grant an override").click()
    officer.locator(".field-account .select2-selection").click()
    officer.get_by_role("option", name="desk-1").click()
    officer.locator("[name=max_orders]").fill("500")  # the account's own desk sends orders all the time
    until = datetime.now(UTC) + timedelta(hours=1)
    officer.locator("[name=until_0]").fill(f"{until:%Y-%m-%d}")
    officer.locator("[name=until_1]").fill(f"{until:%H:%M:%S}")
    officer.get_by_label("Reason for this change").fill("A hedge that the client asked for")
    officer.keyboard.press("Escape")
    look(officer)
    expect(officer.get_by_text("Up to 500 orders of account desk-1 pass its limits until")).to_be_visible()
    officer.get_by_role("button", name="Ask for approval").click()
    approve(people, "override")
    officer.reload()
    publish(officer)
    passed = until_passed(installation)
    assert passed["override"]["reason"] == "A hedge that the client asked for"
    officer.goto("/admin/policies/override/")
    expect(officer.get_by_role("row").filter(has_text="desk-1")).to_be_visible()


def until_passed(installation: Embedded) -> Any:
    answer: Any = {}

    def passes() -> bool:
        nonlocal answer
        answer = check(installation, f"hedge-{datetime.now(UTC).timestamp()}").json()
        return bool(answer["approved"])

    wait_for(passes, what="an order that the override lets through")
    return answer


def test_past_limits_are_looked_up_compared_and_put_back(people, installation):
    officer = people.person()
    officer.goto("/admin/policies/policy/")
    officer.get_by_role("link", name="Max Open Positions").click()
    officer.locator("input[name=threshold]").fill("50")
    officer.get_by_label("Reason for this change").fill("Fewer positions over the weekend")
    look(officer)
    before = datetime.now(UTC)
    wait_for(lambda: datetime.now(UTC) > before + timedelta(seconds=1.1), what="the next second")
    publish(officer)

    officer.goto("/admin/")
    officer.get_by_role("link", name="Look at past limits").click()
    officer.get_by_label("Which limits applied at").fill(f"{before:%Y-%m-%dT%H:%M:%S}")
    officer.get_by_role("button", name="Show", exact=True).click()
    expect(officer.get_by_text("This book was in force at")).to_be_visible()
    expect(officer.get_by_role("row").filter(has_text="Max Open Positions")).to_contain_text("100")
    officer.get_by_role("link", name="Restore this book").click()
    officer.get_by_label("Reason for this change").fill("The weekend is over")
    officer.get_by_role("button", name="Write the request").click()
    expect(officer.get_by_text("This loosens limits: somebody else has to approve it.")).to_be_visible()

    officer.goto("/admin/policies/book/")
    officer.get_by_role("button", name="Compare").click()
    row = officer.get_by_role("row").filter(has_text="Max Open Positions")
    expect(row).to_contain_text("100")
    expect(row).to_contain_text("50")
    expect(row).to_contain_text("a lower ceiling on open positions")


def test_limits_go_out_as_a_file_and_come_back_changed(people, tmp_path):
    officer = people.person()
    officer.goto("/admin/policies/book/")
    with officer.expect_download() as sent:
        officer.get_by_role("link", name="YAML").click()
    file = Path(tmp_path / "limits.yaml")
    sent.value.save_as(file)
    text = file.read_text()
    assert "Daily Drawdown Warning" in text
    file.write_text(text.replace("Daily Drawdown Warning", "Daily Drawdown Notice"))

    officer.goto("/admin/")
    officer.get_by_role("link", name="Import limits").click()
    officer.get_by_label("File", exact=True).set_input_files(file)
    officer.get_by_role("button", name="Look at what it changes").click()
    expect(officer.get_by_text("1 row to change")).to_be_visible()
    expect(officer.get_by_role("cell", name="Daily Drawdown Notice").first).to_be_visible()
    officer.get_by_label("Reason for this change").fill("It is no warning")
    officer.get_by_role("button", name="Write the request").click()
    expect(officer.get_by_role("heading", name="What it changes")).to_be_visible()
    publish(officer)


def test_a_limit_is_tightened_without_a_mouse(people):
    officer = people.person()
    tab_to(officer, "Tighten it yourself, or ask to loosen it")
    officer.keyboard.press("Enter")
    officer.wait_for_url("**/admin/policies/policy/")
    tab_to(officer, "Max Drawdown")
    officer.keyboard.press("Enter")
    expect(officer.locator("input[name=threshold]")).to_be_visible()
    tab_to(officer, "Threshold")
    officer.keyboard.press("Control+A")
    officer.keyboard.type("0.19")
    tab_to(officer, "Reason for this change")
    officer.keyboard.type("Steadier hands")
    tab_to(officer, "Look at what this changes")
    officer.keyboard.press("Enter")
    expect(officer.get_by_role("heading", name="What it changes")).to_be_visible()
    tab_to(officer, "Publish now")
    officer.keyboard.press("Enter")
    expect(officer.get_by_text("is live: the next order is checked against it")).to_be_visible()


PAGES = (
    *("/admin/", "/admin/policies/policy/", "/admin/policies/policy/add/", "/admin/policies/changerequest/"),
    *("/admin/policies/changerequest/1/change/", "/admin/policies/restrictedsymbol/add/"),
    *("/admin/policies/override/", "/admin/policies/override/add/", "/admin/policies/capitalprofile/"),
    *("/admin/policies/book/", "/admin/policies/book/1/change/", "/admin/policies/book/1/restore/"),
    *("/admin/policies/book/compare/?from=1&to=2", "/admin/policies/book/import/"),
    *("/admin/emergency/emergencystop/", "/admin/emergency/emergencystop/add/", "/admin/violations/alert/"),
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_on_the_pages_keeps_anybody_from_using_them(people, installation, scheme):
    asked = installation.client()
    (limit,) = [each for each in asked.get("/risk/policies").json()["results"] if each["name"] == "Min Margin Ratio"]
    body = {"id": limit["id"], "version": limit["version"], "threshold": "0.9", "reason": "To be looked at"}
    assert asked.patch("/risk/policies", json=body).status_code in (200, 201, 202)
    officer = people.person(color_scheme=scheme)
    found: dict[str, list[str]] = {}
    for path in PAGES:
        officer.goto(path, wait_until="load")
        found[path] = found_by_axe(officer)
    assert {path: lines for path, lines in found.items() if lines} == {}
