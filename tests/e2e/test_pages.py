"""The pages around the overview in real browsers: a block explained, an account that moves, who lifts a stop."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.installation import Client, Embedded, embedded, wait_for
from tests.e2e.test_live_page import AXE

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SECOND, PASSWORD = "olga", "a-long-password-of-hers"
PHONE = {"width": 390, "height": 844}
ACCOUNT, STOPPED, BROKEN = "desk-1", "desk-2", "desk-3"

_ids = itertools.count()


@pytest.fixture(scope="module")
def installation(tmp_path_factory) -> Iterator[Embedded]:
    """One with its simulated market and OMS, and a second person who may do everything."""
    expect.set_options(timeout=20_000)  # a busy machine may take long for what comes about by itself
    with embedded(tmp_path_factory.mktemp("pages") / "data") as made, pytest.MonkeyPatch.context() as patch:
        made.start()
        patch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
        done = made.manage("createsuperuser", "--noinput", "--username", SECOND, "--email", "olga@example.com")
        assert done.returncode == 0, done.stderr
        yield made


@pytest.fixture
def signed_in(browser: Browser, installation: Embedded) -> Iterator[Callable[[str], Page]]:
    """Call it with a name, and get a page of that person, on which nothing went wrong in the end."""
    passwords = {SECOND: PASSWORD, "officer": installation.sign_in()["password"]}
    address, contexts, errors = f"http://127.0.0.1:{installation.port}", [], list[str]()

    def open_page(name: str) -> Page:
        context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 900})
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.goto("/")
        page.locator("input[name=username]").fill(name)
        page.locator("input[name=password]").fill(passwords[name])
        page.locator("input[name=password]").press("Enter")
        expect(page.locator("#trading-state")).to_be_visible()
        return page

    yield open_page
    for context in contexts:
        context.close()
    # A refusal of the API is a line on the console, and is what some of these tests are about.
    assert [error for error in errors if "409 (Conflict)" not in error] == []


def report(client: Client, equity: str, account_id: str = ACCOUNT) -> bool:
    """Report an account as flat with this equity."""
    now_ms = time.time_ns() // 1_000_000 + 60_000  # ahead of the simulator's reports
    prices = {"prices": [{"symbol": "BTCUSDT", "price": "50000", "timestamp": now_ms}]}
    state = {"equity": equity, "margin_used": "0", "positions": [], "timestamp": now_ms}
    sent = client.put("/risk/prices", json=prices), client.put(f"/risk/accounts/{account_id}/state", json=state)
    return all(answer.is_success for answer in sent)


def blocked(client: Client) -> str:
    """Have an order blocked by a limit, and return its decision once that is recorded."""

    def ask() -> str:
        report(client, "1000000")
        answer = client.check(f"big-{next(_ids)}", account_id=ACCOUNT, quantity="30", price="50000").json()
        return answer["decision_id"] if answer["violations"] else ""

    decision_id = wait_for(ask, what="an order that a limit blocks")
    wait_for(lambda: client.get(f"/risk/decisions/{decision_id}").is_success, what="the record of it")
    return decision_id


def test_a_block_is_explained_from_its_account_in_one_press(signed_in, installation):
    decision_id = blocked(installation.client())
    page = signed_in("officer")
    page.goto(f"/accounts/{ACCOUNT}/")
    page.locator(f'a[href="/decisions/{decision_id}/"]').first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Blocked: ")
    expect(page.get_by_text("the same to the letter")).to_be_visible()
    expect(page.locator('.gates [data-passage="failed"]').first).to_be_visible()
    expect(page.locator('tr[data-effect="blocks"]').first).to_be_visible()
    page.get_by_text("What it was worked out from (JSON)").click()
    expect(page.locator("pre").last).to_contain_text(decision_id)


def test_an_account_moves_without_being_loaded_again(signed_in, installation):
    client = installation.client()
    wait_for(lambda: report(client, "1000000"), what="the first report")
    page = signed_in("officer")
    page.goto(f"/accounts/{ACCOUNT}/")
    expect(page.locator('[data-figure="equity"]')).to_have_text("1,000,000")
    page.evaluate("window.kept = true")
    report(client, "999000")
    expect(page.locator('[data-figure="equity"]')).to_have_text("999,000")
    assert page.evaluate("window.kept")


def test_one_stops_and_another_re_enables(signed_in, installation):
    officer, second = signed_in("officer"), signed_in(SECOND)
    second.goto("/emergency/")
    officer.goto(f"/accounts/{STOPPED}/")
    made = installation.client().post(
        "/risk/emergency-stop",
        json={"reason": "fat finger", "triggered_by": "officer", "scope": {"type": "account", "id": STOPPED}},
    )
    stop_id = made.json()["stop_id"]
    expect(officer.locator('[data-cell="trading_state"]')).to_have_text("HALTED")
    expect(officer.locator("#account-why")).to_contain_text("fat finger")

    card = second.locator(f'[data-stop="{stop_id}"]').first
    expect(card).to_contain_text("fat finger")
    expect(card.locator('[data-progress="done"]', has_text="completed")).to_be_visible()
    officer.goto("/emergency/")
    expect(officer.get_by_text("You triggered this stop")).to_be_visible()

    card.get_by_role("button", name="Re-enable trading").click()
    expect(card.get_by_role("alert")).to_contain_text("Say why")
    card.get_by_label("Re-enable trading: why").fill("It was a drill")
    card.get_by_role("button", name="Re-enable trading").click()
    for page in (second, officer):
        expect(page.locator(f'.stop-card[data-stop="{stop_id}"]')).to_have_count(0)
    second.reload()
    expect(second.get_by_role("cell", name="It was a drill")).to_have_count(0)
    second.get_by_role("link", name="Timeline of the stop").first.click()
    expect(second.get_by_text("It was a drill").first).to_be_visible()


def test_while_a_limit_is_broken_it_takes_two_to_re_enable(signed_in, installation):
    client = installation.client()
    wait_for(lambda: report(client, "1000000", BROKEN), what="a report")
    report(client, "740000", BROKEN)
    officer, second = signed_in("officer"), signed_in(SECOND)
    officer.goto("/emergency/")
    found = officer.locator(".stop-card", has=officer.get_by_role("heading", name=f"account {BROKEN}")).first
    stop_id = found.get_attribute("data-stop")  # another one may come in front of it at any time
    card = officer.locator(f'.stop-card[data-stop="{stop_id}"]')

    card.get_by_label("Re-enable trading: why").fill("The mark was wrong")
    card.get_by_role("button", name="Re-enable trading").click()
    expect(card.get_by_role("alert")).to_contain_text("breaks")
    card.get_by_role("button", name="Ask to re-enable in spite of it").click()
    expect(card.get_by_role("status")).to_contain_text("Somebody else has to approve it")

    second.goto("/emergency/")
    other = second.locator(f'.stop-card[data-stop="{stop_id}"]')
    expect(other).to_contain_text("officer asked to re-enable trading in spite of a breach: The mark was wrong")
    other.get_by_label("Re-enable trading: why").fill("I saw it too")
    other.get_by_role("button", name="Approve in spite of the breach").click()
    expect(other).to_have_count(0)
    report(client, "1000000", BROKEN)


def test_an_alert_is_acknowledged_and_the_list_says_by_whom(signed_in, installation):
    client = installation.client()
    wait_for(lambda: report(client, "1000000", BROKEN), what="a report")
    report(client, "880000", BROKEN)
    wait_for(lambda: client.get("/risk/alerts", params={"state": "firing"}).json()["results"], what="an alert")
    page = signed_in("officer")
    page.goto("/alerts/?state=firing")
    button = page.get_by_role("button", name="Acknowledge").first
    row = page.locator("[data-row]", has=button).first.get_attribute("data-row")
    button.click()
    page.get_by_label("What you do about it").fill("I call the desk")
    page.locator("#acknowledge-dialog").get_by_role("button", name="Acknowledge").click()
    expect(page.locator(f'[data-row="{row}"]')).to_have_count(0)
    page.goto("/alerts/")
    expect(page.locator(f'[data-row="{row}"]')).to_contain_text("by officer: I call the desk")
    report(client, "1000000", BROKEN)


def test_all_of_them_fit_a_phone_and_are_clean_for_screen_readers(signed_in, installation):
    decision_id = blocked(installation.client())
    page = signed_in("officer")
    paths = (
        "/decisions/",
        f"/decisions/{decision_id}/",
        f"/accounts/{ACCOUNT}/",
        "/emergency/",
        "/alerts/",
        "/violations/",
    )
    faults: list[str] = []
    for path, scheme in itertools.product(paths, ("dark", "light")):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(PHONE)
        page.goto(path)
        expect(page.locator("#connection")).to_have_text("live")
        if page.evaluate("document.documentElement.scrollWidth") > PHONE["width"]:
            faults.append(f"{path} is wider than a phone")
        page.set_viewport_size({"width": 1280, "height": 900})
        page.evaluate(AXE)
        for one in page.evaluate("axe.run().then(result => result.violations)"):
            faults += [f"{path} {scheme} {one['id']}: {node['target']}" for node in one["nodes"][:3]]
    assert not faults, "\n".join(faults)
