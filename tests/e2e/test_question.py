"""Which leverage limit applied, who approved it, what did it stop? Asked as an auditor would, in a real browser."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browsing import AXE, Office, office
from tests.e2e.installation import Embedded, embedded, until_approved, wait_for
from tests.e2e.test_embedded import feed

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

AUDITOR, PASSWORD = "audrey", "what-nobody-guesses-1"
_MAKE = (
    "from django.contrib.auth.models import Group, User\n"
    f"made = User.objects.create_user({AUDITOR!r}, password={PASSWORD!r}, is_staff=True)\n"
    "made.groups.add(Group.objects.get(name='auditor'))\n"
)
_ids = itertools.count()


@pytest.fixture(scope="module")
def installation(tmp_path_factory) -> Iterator[Embedded]:
    with embedded(tmp_path_factory.mktemp("question") / "data") as made:
        made.start()
        assert made.manage("shell", "-c", _MAKE).returncode == 0
        yield made


@pytest.fixture
def people(browser: Browser, installation: Embedded) -> Iterator[Office]:
    expect.set_options(timeout=20_000)  # a busy machine may take long for what comes about by itself
    with office(browser, installation) as made:
        yield made


def auditor(people: Office) -> Page:
    """Return a page of somebody who may read everything and change nothing."""
    context = people.browser.new_context(base_url=f"http://127.0.0.1:{people.installation.port}", accept_downloads=True)
    context.set_default_timeout(15_000)
    people.contexts.append(context)
    page = context.new_page()
    page.on("pageerror", lambda error: people.errors.append(str(error)))
    page.goto("/reports/")
    page.locator("input[name=username]").fill(AUDITOR)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("input[name=password]").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Reports")
    return page


def loosen(people: Office) -> None:
    """Have the leverage of desk-1's profile raised from 3 to 4: one asks, another approves, the first publishes."""
    officer, approver = people.person(), people.approver()
    officer.goto("/admin/policies/capitalprofile/normal/change/")
    officer.locator("input[name=allowed_leverage]").fill("4")
    officer.locator("[name=change_reason]").fill("The desk has more capital")
    officer.get_by_role("button", name="Look at what this changes").click()
    officer.get_by_role("button", name="Ask for approval").click()
    expect(officer.get_by_text("You wrote this: somebody else has to approve it.")).to_be_visible()
    approver.goto(officer.url)
    approver.locator("[name=note]").fill("Agreed with treasury")
    approver.get_by_role("button", name="Approve", exact=True).click()
    expect(approver.get_by_text("approver approved it.")).to_be_visible()
    officer.goto(officer.url)
    officer.get_by_role("button", name="Publish now").click()
    expect(officer.get_by_text("is live: the next order is checked against it")).to_be_visible()


def stopped(installation: Embedded) -> str:
    """Send an order that takes leverage to 5, and return its id once its decision is recorded."""
    client = installation.client()
    wait_for(lambda: feed(client), what="a report")
    until_approved(lambda: client.check(f"small-{next(_ids)}", account_id="desk-1"), what="the door")

    def ask() -> str:
        feed(client)
        said = client.check(f"large-{next(_ids)}", account_id="desk-1", quantity="100", price="50000").json()
        names = [each["metric"] for each in said["violations"]]
        return str(said["order_id"]) if "leverage" in names else ""

    order_id = wait_for(ask, what="an order that the limit blocks")
    found = {"order_id": order_id}
    wait_for(lambda: client.get("/risk/decisions", params=found).json()["results"], what="the record of it")
    return order_id


def ask(page: Page, at: datetime) -> None:
    """Fill in the form as somebody does it who comes from the list of reports."""
    page.get_by_role("link", name="Which limit applied?").first.click()
    page.locator("input[name=account_id]").fill("desk-1")
    page.locator("select[name=metric]").select_option("leverage")
    page.locator("input[name=at]").fill(f"{at:%Y-%m-%dT%H:%M:%S}")
    page.get_by_role("button", name="Answer").click()
    expect(page.locator("#headline")).to_be_visible()


def test_the_question_is_answered_on_one_page_and_in_one_export(people, installation, tmp_path: Path):
    loosen(people)
    order_id = stopped(installation)
    page, at = auditor(people), datetime.now(UTC)
    ask(page, at)
    expect(page.locator("#headline")).to_contain_text(
        "Profile normal: leverage applied to desk-1: Leverage of every account with profile normal stays at or below 4"
    )
    told = page.locator(".sentence")
    expect(told).to_contain_text(
        re.compile(r"officer asked for it in request \d+ \(The desk has more capital\), approver approved it, officer")
    )
    expect(told).to_contain_text("stopped by these limits")
    row = page.get_by_role("row").filter(has_text=order_id)
    expect(row).to_contain_text("at most 4 x")

    page.get_by_role("link", name="Take this answer away as a file").click()
    page.locator("input[name=format][value=csv]").check()
    page.get_by_role("button", name="Take it away").click()
    with page.expect_download() as download:
        page.locator("#made tbody tr").first.get_by_text("File", exact=True).click()
    path = tmp_path / "answer.csv"
    download.value.save_as(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        found = list(csv.DictReader(file))
    behind = [each for each in found if each["section"] == "as it was since" and each["limit"].startswith("Profile")]
    assert [(each["who"], each["approved_by"]) for each in behind] == [("officer", "approver")]
    assert order_id in {each["order_id"] for each in found if each["section"] == "order stopped"}


def test_an_answer_fits_a_phone_and_is_clean_for_screen_readers(people, installation):
    stopped(installation)
    page, faults = auditor(people), list[str]()
    ask(page, datetime.now(UTC))
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": 390, "height": 844})
        page.reload()
        expect(page.locator("#connection")).to_have_text("live")
        if page.evaluate("document.documentElement.scrollWidth") > 390:
            faults.append(f"{scheme}: wider than a phone")
        page.set_viewport_size({"width": 1280, "height": 900})
        page.evaluate(AXE.read_text())
        for one in page.evaluate("axe.run().then(result => result.violations)"):
            faults += [f"{scheme} {one['id']}: {node['target']}" for node in one["nodes"][:3]]
    assert faults == []
