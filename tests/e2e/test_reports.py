"""Reports in a real browser: looked at, taken away whole, made in the background while one watches, by the clock."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browsing import AXE
from tests.e2e.installation import Embedded, embedded, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PHONE = {"width": 390, "height": 844}
LARGE = 2_500


@pytest.fixture(scope="module")
def installation(tmp_path_factory) -> Iterator[Embedded]:
    """One without a market, in which more orders were asked about than are told of at once."""
    expect.set_options(timeout=20_000)  # a busy machine may take long for what comes about by itself
    with embedded(tmp_path_factory.mktemp("reports") / "data") as made:
        made.start("--no-demo")
        _ask(made)
        yield made


def _ask(made: Embedded) -> None:
    """Have orders decided; those of an unknown account are blocked, and recorded like all."""
    order = {"account_id": "nobody", "symbol": "BTCUSDT", "side": "BUY", "quantity": "1", "price": "50000"}
    client = made.client()
    for first in range(0, LARGE, 500):
        orders = [{**order, "order_id": f"o-{first + number}"} for number in range(500)]
        assert client.post("/risk/check/batch", json={"orders": orders}).status_code == 200
    wait_for(lambda: len(_newest(made)) == 1, what="the record of the last order")


def _newest(made: Embedded) -> list[object]:
    answer = made.client().get(f"/risk/decisions?order_id=o-{LARGE - 1}")
    found: list[object] = answer.json().get("results", [])
    return found


@pytest.fixture
def page(browser: Browser, installation: Embedded) -> Iterator[Page]:
    """A page of the officer, on which nothing went wrong in the end."""
    errors: list[str] = []
    context = browser.new_context(base_url=f"http://127.0.0.1:{installation.port}", accept_downloads=True)
    context.set_default_timeout(15_000)
    made = context.new_page()
    made.on("pageerror", lambda error: errors.append(str(error)))
    made.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    lines = installation.sign_in()
    made.goto("/reports/")
    made.locator("input[name=username]").fill(lines["user"])
    made.locator("input[name=password]").fill(lines["password"])
    made.locator("input[name=password]").press("Enter")
    expect(made.get_by_role("heading", level=1)).to_have_text("Reports")
    yield made
    context.close()
    # A form that is not as it has to be is a line on the console, and is what some of these tests are about.
    assert [error for error in errors if "400 (Bad Request)" not in error] == []


@pytest.fixture
def taken(page: Page, tmp_path: Path) -> Callable[[str], Path]:
    """Call it with the word of a link of the newest report, and get what it takes away."""

    def take(word: str) -> Path:
        with page.expect_download() as download:
            page.locator("#made tbody tr").first.get_by_text(word, exact=True).click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        return path

    return take


def ask(page: Page, kind: str, word: str) -> None:
    """Ask for a report on its page, in the format of this name."""
    page.goto(f"/reports/new?kind={kind}")
    page.locator(f"input[name=format][value={word}]").check()
    page.get_by_role("button", name="Take it away").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Reports")


def test_a_report_is_looked_at_asked_for_and_taken_away_whole(page, taken):
    page.get_by_role("link", name="Policy changes").click()
    expect(page.locator("[data-part=rows] h2")).to_contain_text("rows")
    expect(page.locator("[data-part=summary] dt").first).to_be_visible()
    page.get_by_role("button", name="Take it away").click()
    file, manifest, both = taken("File"), taken("Manifest"), taken("Both")
    said = json.loads(manifest.read_text())
    assert hashlib.sha256(file.read_bytes()).hexdigest() == said["sha256"]
    with zipfile.ZipFile(both) as parts:
        assert {name: parts.read(name) for name in parts.namelist()} == {
            file.name: file.read_bytes(),
            manifest.name: manifest.read_bytes(),
        }


def test_a_large_one_is_made_while_one_watches_and_is_there_without_loading_the_page_again(page, taken):
    ask(page, "decisions", "csv")
    row = page.locator("#made tbody tr").first
    page.evaluate("window.stayed = true")
    expect(row.get_by_text("File", exact=True)).to_be_visible()
    assert page.evaluate("window.stayed")
    assert len(taken("File").read_text().splitlines()) == LARGE + 1


def test_a_period_is_pressed_and_what_it_would_be_is_looked_at_again(page):
    page.goto("/reports/new?kind=decisions")
    expect(page.locator("[data-part=rows] h2")).to_contain_text(f"of {LARGE:,} rows")
    page.get_by_role("button", name="Last month").click()
    expect(page.locator("[data-part=rows]")).to_contain_text("it would have no rows")
    page.get_by_role("button", name="Always").click()
    expect(page.locator("[data-part=rows] h2")).to_contain_text(f"of {LARGE:,} rows")


def test_what_is_missing_is_said_at_its_field(page):
    page.goto("/reports/new?kind=limits_as_of")
    page.get_by_role("button", name="Take it away").click()
    expect(page.locator("#problem-at")).to_have_text("This report needs it.")


def test_one_is_made_by_the_clock_until_it_is_removed(page):
    page.goto("/reports/new?kind=decisions")
    page.get_by_text("Have it made by the clock").click()
    page.get_by_label("How often").select_option("weekly")
    page.get_by_label("At", exact=True).fill("17:30")
    page.get_by_label("On the clocks of").select_option("America/New_York")
    page.get_by_role("button", name="Have it made").click()
    schedules = page.locator("#schedules")
    expect(schedules).to_contain_text("Every Monday at 17:30 (America/New_York)")
    schedules.get_by_text("Let it rest").click()
    expect(schedules).to_contain_text("it rests")
    schedules.get_by_text("Remove").click()
    expect(schedules).to_contain_text("No report is made by the clock")


def test_they_are_reached_by_key_and_from_the_admin(page):
    page.goto("/decisions/")
    page.keyboard.press("r")
    expect(page).to_have_url(re.compile("/reports/$"))
    page.goto("/admin/")
    page.get_by_role("link", name="Reports", exact=True).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Reports")


def test_all_of_them_fit_a_phone_and_are_clean_for_screen_readers(page):
    ask(page, "policy_changes", "pdf")
    faults: list[str] = []
    paths = ("/reports/", "/reports/new?kind=decisions", "/reports/new?kind=limit_question", "/reports/limit/")
    for path, scheme in itertools.product(paths, ("dark", "light")):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(PHONE)
        page.goto(path)
        expect(page.locator("#connection")).to_have_text("live")
        expect(page.locator("[data-part][aria-busy]")).to_have_count(0)
        if page.evaluate("document.documentElement.scrollWidth") > PHONE["width"]:
            faults.append(f"{path} is wider than a phone")
        page.evaluate(AXE.read_text())
        for one in page.evaluate("axe.run().then(result => result.violations)"):
            faults += [f"{path} {scheme} {one['id']}: {node['target']}" for node in one["nodes"][:3]]
    assert faults == []
