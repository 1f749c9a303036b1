"""What the overview makes of the frames that it gets: the real page, and a server of frames by hand."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from devtools.vendoring import FOLDERS
from tests.e2e import frames
from tests.e2e.frames import FakeServer, picture
from tests.e2e.installation import Embedded, embedded

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

AXE = (FOLDERS[-1] / "axe.min.js").read_text()
MARKUP = '<img src=x onerror="document.title=1">'


@pytest.fixture(scope="module")
def installation(tmp_path_factory) -> Iterator[Embedded]:
    with embedded(tmp_path_factory.mktemp("live") / "data") as made:
        made.start("--no-demo")
        yield made


@pytest.fixture(scope="module")
def signed_in(browser: Browser, installation: Embedded) -> Any:
    """The cookies of the officer who has signed in."""
    context = browser.new_context(base_url=f"http://127.0.0.1:{installation.port}")
    page, lines = context.new_page(), installation.sign_in()
    page.goto("/")
    page.locator("input[name=username]").fill(lines["user"])
    page.locator("input[name=password]").fill(lines["password"])
    page.locator("input[name=password]").press("Enter")
    expect(page.locator("#trading-state")).to_be_visible()
    kept = context.storage_state()
    context.close()
    return kept


@pytest.fixture
def page(browser: Browser, installation: Embedded, signed_in: Any) -> Iterator[Page]:
    """A page of the officer, with nothing wrong on its console in the end."""
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{installation.port}",
        storage_state=signed_in,
        viewport={"width": 1280, "height": 900},
    )
    context.set_default_timeout(15_000)
    found = context.new_page()
    errors: list[str] = []
    found.on("pageerror", lambda error: errors.append(str(error)))
    found.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    found.route("**/history/*", lambda route: route.fulfill(json={"at": []}))
    yield found
    context.close()
    assert [error for error in errors if "net::ERR_FAILED" not in error] == []


def opened(page: Page, **sections: frames.Rows) -> FakeServer:
    """Open the overview on a picture."""
    server = FakeServer(page, picture(**sections))
    page.goto("/")
    expect(page.locator("#connection")).to_have_text("live")
    return server


def answer(page: Page, path: str, status: int, body: dict[str, Any]) -> list[Any]:
    """Have the REST API answer like this, and return the bodies that it is sent."""
    sent: list[Any] = []

    def fulfil(route: Any) -> None:
        sent.append(route.request.post_data_json)
        route.fulfill(status=status, json=body)

    page.route(path, fulfil)
    return sent


def rows(page: Page, panel: str) -> Locator:
    return page.locator(f"#{panel} [data-rows] > li")


class TestThePicture:
    def test_an_update_changes_what_it_names_and_nothing_else(self, page):
        server = opened(page)
        server.update({"accounts": {"set": {"desk-2": frames.account(95)}}})
        first = page.locator(".tile").first
        expect(first).to_contain_text("desk-2")
        expect(first).to_contain_text("95")
        expect(page.locator(".tile")).to_have_count(3)

    def test_what_is_gone_is_taken_away(self, page):
        server = opened(page)
        server.update({"accounts": {"gone": ["desk-3"]}})
        expect(page.locator(".tile")).to_have_count(2)

    def test_rows_that_stay_are_the_same_elements(self, page):
        server = opened(page)
        page.locator(".tile", has_text="desk-1").evaluate("tile => tile.dataset.mine = 'yes'")
        server.update({"accounts": {"set": {"desk-1": frames.account(80), "desk-9": frames.account(99)}}})
        expect(page.locator(".tile", has_text="80")).to_have_attribute("data-mine", "yes")

    @pytest.mark.parametrize(
        "broken",
        [{"from": 7}, {"changes": None}, {"changes": {"limits": {"set": []}}}, {"at": "soon"}],
        ids=str,
    )
    def test_an_update_that_does_not_fit_begins_again_from_what_is_here(self, page, broken):
        server = opened(page)
        server.update(**{"changes": {}, **broken})
        wait_until(page, lambda: len(server.asked) == 2)
        assert server.asked[1] == {"stream": ["s"], "n": ["0"]}

    def test_a_frame_that_is_no_json_begins_again(self, page):
        server = opened(page)
        server.send("{")
        wait_until(page, lambda: len(server.asked) == 2)

    def test_after_a_break_the_page_asks_for_what_it_misses(self, page):
        server = opened(page)
        server.update({})
        expect(page.locator("#connection")).to_have_text("live")
        server.close()
        wait_until(page, lambda: len(server.asked) == 2)
        assert server.asked[1] == {"stream": ["s"], "n": ["1"]}
        expect(page.locator("#connection")).to_have_text("live")

    def test_what_a_person_may_see_has_changed_and_the_page_goes_on_from_there(self, page):
        server = opened(page)
        server.update({}, stream="t")
        server.close()
        wait_until(page, lambda: len(server.asked) == 2)
        assert server.asked[1] == {"stream": ["t"], "n": ["1"]}


class TestWhatIsOld:
    def test_silence_of_the_server_marks_every_panel_with_since_when_and_why(self, page):
        opened(page)
        expect(page.locator("#connection")).to_have_text("late")
        notes = page.locator(".live .old-note").all_text_contents()
        assert len(notes) >= 8
        wanted = re.compile(r"as of \d\d:\d\d:\d\d, \d+ s ago: nothing was heard since")
        assert [note for note in notes if not wanted.fullmatch(note)] == []

    def test_the_trading_state_is_asked_for_while_the_connection_is_away(self, page):
        halted = {"scope": {"type": "global", "id": ""}, "state": "HALTED"}
        page.route("**/risk/emergency-stop", lambda route: route.fulfill(json={"results": [halted], "active": True}))
        opened(page)
        expect(page.locator("#trading-state")).to_contain_text("active")
        expect(page.locator("#connection")).to_have_text("late")
        expect(page.locator("#trading-state")).to_contain_text("halted")
        expect(page.locator("#trading-state")).not_to_have_attribute("data-old", "")

    def test_a_trading_state_that_nobody_can_tell_is_marked_as_old(self, page):
        page.route("**/risk/emergency-stop", lambda route: route.abort())
        opened(page)
        expect(page.locator("#trading-state")).to_have_attribute("data-old", "")

    def test_what_is_fresh_again_is_not_marked_any_more(self, page):
        server = opened(page)
        expect(page.locator("#limits")).to_have_attribute("data-old", "")
        server.update({})
        expect(page.locator("#limits")).not_to_have_attribute("data-old", "")

    def test_a_section_in_trouble_marks_its_panel_alone(self, page):
        trouble = {"alerts": {"since": frames.moment(14), "why": "the database cannot be reached"}}
        opened(page, trouble=trouble)
        expect(page.locator("#alerts .old-note")).to_contain_text("the database cannot be reached")
        expect(page.locator("#checks .old-note")).to_be_hidden()

    def test_a_silent_monitor_marks_what_it_looks_at(self, page):
        opened(page, health={"now": {**picture()["health"]["now"], "monitor_age_ms": 60_000}})
        expect(page.locator("#accounts .old-note")).to_contain_text("the monitor is silent")
        expect(page.locator("#alerts .old-note")).to_be_hidden()

    def test_a_monitor_that_is_not_heard_marks_what_it_would_tell(self, page):
        opened(page, health={"now": {**picture()["health"]["now"], "monitor_at": frames.moment(60)}})
        expect(page.locator("#accounts .old-note")).to_contain_text("is not heard here")

    def test_nothing_is_old_where_the_monitor_has_nothing_to_tell_yet(self, page):
        opened(page, health={"now": {**picture()["health"]["now"], "monitor_at": None}})
        expect(page.locator("#accounts .old-note")).to_be_hidden()

    def test_who_is_signed_out_is_told_and_led_to_the_sign_in_and_back(self, page):
        server = opened(page)
        server.close(4401)
        expect(page.locator("#connection")).to_have_text("signed out")
        link = page.get_by_role("link", name="Sign in again")
        expect(link).to_have_attribute("href", re.compile(r"\?next=%2F$"))
        expect(page.locator("#limits .old-note")).to_contain_text("you are signed out")

    def test_who_may_not_look_any_more_is_not_tried_again(self, page):
        server = opened(page)
        server.close(4403)
        expect(page.locator("#connection")).to_have_text("not allowed")
        assert len(server.asked) == 1


class TestWhatIsWrong:
    def test_a_calm_firm_needs_nothing(self, page):
        opened(page)
        expect(page.locator("#headline")).to_contain_text("Risk is normal")
        expect(page.locator("#headline")).to_contain_text("Nothing has to be done.")
        expect(page.locator("#headline button")).to_be_hidden()

    def test_what_is_recommended_is_one_press_away_with_its_reason(self, page):
        issue = "Max Gross Exposure: gross_exposure 1120000 breaks <= 1000000"
        opened(page, firm={"now": frames.firm("CRITICAL", "97", tier="halt", critical_issues=[issue])})
        page.get_by_role("button", name="Halt trading…").click()
        expect(page.locator("[name=reason]").first).to_have_value(issue)
        expect(page.get_by_role("radio", name="Halt no order passes")).to_be_checked()

    def test_what_is_in_force_is_not_recommended_again(self, page):
        firm = frames.firm("CRITICAL", "97", tier="halt")
        stops = {"a-1": frames.stop("Losses are growing")}
        opened(page, firm={"now": firm}, trading={"now": {"state": "HALTED", "stops": 1}}, stops=stops)
        expect(page.locator("#trading-state")).to_contain_text("halted")
        expect(page.locator("#headline")).to_contain_text("Halted everywhere")
        expect(page.locator("#headline button")).to_be_hidden()

    def test_what_is_stopped_in_part_is_not_shown_as_all_well(self, page):
        server = opened(page, trading={"now": {"state": "ACTIVE", "stops": 2}})
        shown = page.locator("#trading-state")
        expect(shown).to_contain_text("active, 2 stops in part")
        marked = shown.evaluate("state => getComputedStyle(state).backgroundColor")
        server.update({"trading": {"set": {"now": {"state": "ACTIVE", "stops": 0}}}})
        expect(shown).not_to_contain_text("in part")
        assert shown.evaluate("state => getComputedStyle(state).backgroundColor") != marked

    @pytest.mark.parametrize(("score", "words"), [(95, "Look at what is critical"), (80, "Nothing has to be done yet")])
    def test_who_sees_no_firm_is_told_of_their_riskiest_account(self, page, score, words):
        opened(page, firm={}, accounts={"desk-1": frames.account(score), "desk-2": frames.account(3)})
        expect(page.locator("#headline")).to_contain_text(f"score {score} of 100, of your riskiest account")
        expect(page.locator("#headline")).to_contain_text(words)

    def test_the_binding_limit_comes_first_and_says_that_it_is_broken(self, page):
        limits = {
            "a": frames.limit("Near", "0.95"),
            "b": frames.limit("Beyond measure", None),
            "c": frames.limit("Over", "1.2"),
            "d": frames.limit("Far", "0.1"),
        }
        opened(page, limits=limits)
        names = [row.locator("[data-name]").inner_text() for row in rows(page, "limits").all()]
        assert names == ["Beyond measure", "Over", "Near", "Far"]
        expect(rows(page, "limits").nth(1)).to_contain_text("broken")
        expect(rows(page, "limits").nth(2)).to_have_attribute("data-level", "critical")
        expect(rows(page, "limits").nth(2).locator("em")).to_be_hidden()

    def test_markup_in_names_symbols_and_texts_is_text(self, page):
        opened(
            page,
            limits={MARKUP: frames.limit(MARKUP, "1.2", account_id=MARKUP, symbol=MARKUP)},
            accounts={MARKUP: frames.account(95, binding=MARKUP)},
            alerts={"1": frames.alert(MARKUP, symbol=MARKUP, account_id=MARKUP)},
            violations={"1": frames.violation(MARKUP, symbol=MARKUP, account_id=MARKUP)},
            stops={"1": frames.stop(MARKUP, triggered_by=MARKUP, scope={"type": "symbol", "id": MARKUP})},
            firm={"now": frames.firm("CRITICAL", "99", critical_issues=[MARKUP], warnings=[MARKUP])},
            checks={"now": {**picture()["checks"]["now"], "by_reason": {MARKUP: 3}}},
            book={"now": {"version": 4, "created_at": frames.moment(), "actor": MARKUP, "reason": MARKUP}},
            trouble={"book": {"since": frames.moment(), "why": MARKUP}},
        )
        for panel in ("headline", "limits", "accounts", "alerts", "violations", "checks", "system"):
            expect(page.locator(f"#{panel}")).to_contain_text("<img src=x")
        assert page.locator("main img").count() == 0
        assert page.locator(".tile").get_attribute("href").startswith("/accounts/%3Cimg")

    def test_an_empty_firm_is_told_what_to_do_next(self, page):
        nothing: dict[str, Any] = {name: {} for name in ("firm", "limits", "accounts", "checks", "book", "health")}
        opened(page, **nothing)
        expect(page.locator("#accounts").get_by_role("link", name="Add one")).to_be_visible()
        expect(page.locator("#accounts")).to_contain_text("PUT /risk/accounts/{id}/state")
        expect(page.locator("#limits")).to_contain_text("when the first account reports its state")
        expect(page.locator("#alerts")).to_contain_text("No alert: nothing needs you")
        expect(page.locator("#checks")).to_contain_text("POST /risk/check")


class TestTheCharts:
    def test_history_is_drawn_and_goes_on_with_what_comes_live(self, page):
        now = int(time.time())
        at = [now - 120 + 10 * step for step in range(12)]
        history = {"at": at, "equity": [100.0 + step for step in range(11)] + [None]}
        page.route("**/history/*", lambda route: route.fulfill(json=history))
        server = opened(page)
        chart = page.locator("[data-chart=equity]")
        expect(chart.locator("canvas")).to_be_visible()
        expect(chart.locator(".chart-value")).to_have_text("300,000")
        server.update({"firm": {"set": {"now": frames.firm(equity="90", at=frames.moment(-1))}}})
        expect(chart.locator(".chart-value")).to_have_text("90.00")
        expect(chart.locator(".chart-plot")).to_have_attribute("aria-label", re.compile("to 90.00, least 90.00"))

    def test_without_history_it_is_said(self, page):
        opened(page)
        expect(page.locator("[data-chart=var_95]")).to_contain_text("Nothing to draw yet")

    def test_another_span_is_asked_for(self, page):
        asked: list[str] = []
        opened(page)
        page.on("request", lambda request: asked.append(request.url))
        page.locator("[data-hours]").select_option("24")
        wait_until(page, lambda: any(url.endswith("/history/?account=&hours=24") for url in asked))


class TestActing:
    def test_an_alert_is_acknowledged_with_a_note(self, page):
        opened(page, alerts={"77": frames.alert("It burns")})
        sent = answer(page, "**/risk/alerts/77/acknowledge", 200, {})
        page.get_by_role("button", name="Acknowledge: It burns").click()
        page.locator("#acknowledge-dialog input").press("Enter")
        expect(page.locator("#acknowledge-dialog")).to_contain_text("Say what you do about it.")
        page.locator("#acknowledge-dialog input").fill("Calling the desk")
        page.locator("#acknowledge-dialog input").press("Enter")
        expect(page.locator("#acknowledge-dialog")).to_be_hidden()
        assert sent == [{"note": "Calling the desk"}]

    def test_an_alert_that_comes_is_told_to_screen_readers_and_in_the_title(self, page):
        server = opened(page, alerts={"1": frames.alert("Old news")})
        expect(page).to_have_title(re.compile("^1 to acknowledge · Overview"))
        expect(page.locator("#announcer")).to_be_empty()
        server.update({"alerts": {"set": {"2": frames.alert("It burns")}}})
        expect(page.locator("#announcer")).to_have_text("New critical alert: It burns")
        server.update({"trading": {"set": {"now": {"state": "HALTED", "stops": 1}}}})
        expect(page).to_have_title(re.compile("^HALTED · 2 to acknowledge · Overview"))

    def test_an_alert_is_silenced_until_a_moment_with_a_reason(self, page):
        opened(page, alerts={"77": frames.alert("It burns")})
        sent = answer(page, "**/risk/alerts/77/silence", 200, {})
        page.get_by_role("button", name="Silence: It burns").click()
        page.locator("#silence-dialog input").fill("Known")
        page.locator("#silence-dialog input").press("Enter")
        expect(page.locator("#silence-dialog")).to_be_hidden()
        assert sent[0]["reason"] == "Known"
        assert frames.moment(-3500) < sent[0]["until"] < frames.moment(-3700)

    def test_what_the_api_refuses_is_said_in_its_words(self, page):
        opened(page, alerts={"77": frames.alert("It burns")})
        page.route("**/acknowledge", lambda route: route.abort())
        page.get_by_role("button", name="Acknowledge: It burns").click()
        page.locator("#acknowledge-dialog input").fill("Mine")
        page.locator("#acknowledge-dialog input").press("Enter")
        expect(page.locator("#acknowledge-dialog .error")).to_have_text("The server cannot be reached.")

    def test_trading_is_stopped_by_keyboard_alone(self, page):
        opened(page)
        made = {"stop_id": "a-1", "scope": {"type": "global", "id": ""}, "state": "HALTED", "new": True}
        sent = answer(page, "**/risk/emergency-stop", 201, {**made, "engaged_at": frames.moment(), "recorded": True})
        page.keyboard.press("s")
        page.keyboard.type("Losses are growing")
        page.keyboard.press("Enter")
        expect(page.locator("[name=confirmation]")).to_be_focused()
        page.keyboard.type("stop")
        page.keyboard.press("Enter")
        expect(page.locator("#stop-result")).to_contain_text("Trading is halted everywhere.")
        assert sent == [
            {
                "reason": "Losses are growing",
                "triggered_by": "officer",
                "scope": {"type": "global"},
                "state": "HALTED",
                "unwind": False,
            }
        ]
        page.keyboard.press("Escape")
        expect(page.locator("#stop-dialog")).to_be_hidden()

    def test_a_stop_is_not_sent_without_a_reason_a_scope_and_a_confirmation(self, page):
        opened(page)
        sent = answer(page, "**/risk/emergency-stop", 500, {})
        page.keyboard.press("s")
        page.keyboard.press("Enter")
        expect(page.locator("#stop-error")).to_contain_text("Say why")
        page.locator("#stop-form [name=reason]").fill("Losses")
        page.locator("#stop-form [name=scope]").select_option("account")
        page.locator("#stop-form [name=reason]").press("Enter")
        expect(page.locator("#stop-error")).to_contain_text("Say which account")
        page.locator("#stop-form [name=scope_id]").fill("desk-1")
        page.locator("#stop-form [name=reason]").press("Enter")
        page.locator("#stop-form [name=confirmation]").press("Enter")
        expect(page.locator("#stop-error")).to_contain_text("Type STOP to confirm")
        page.locator("#stop-hold").click()  # let go at once
        page.keyboard.press("Escape")
        assert sent == []

    def test_the_red_button_is_held(self, page):
        opened(page)
        made = {"stop_id": "a-1", "scope": {"type": "account", "id": "desk-1"}, "state": "REDUCING", "new": False}
        sent = answer(page, "**/risk/emergency-stop", 200, {**made, "engaged_at": frames.moment(), "recorded": False})
        page.get_by_role("button", name="Stop trading").click()
        page.get_by_role("radio", name="Reduce only").check()
        page.locator("#stop-form [name=scope]").select_option("account")
        page.locator("#stop-form [name=scope_id]").fill("desk-1")
        page.locator("#stop-form [name=reason]").fill("Losses")
        button = page.get_by_role("button", name="Hold to reduce only account desk-1")
        button.hover()
        page.mouse.down()
        expect(page.locator("#stop-result")).to_contain_text("Only reducing orders pass for account desk-1.")
        page.mouse.up()
        expect(page.locator("#stop-result")).to_contain_text("was in force already")
        expect(page.locator("#stop-result")).to_contain_text("its record waits for the database")
        assert sent[0]["scope"] == {"type": "account", "id": "desk-1"}
        assert sent[0]["state"] == "REDUCING"

    def test_keys_are_shown_by_a_key_and_do_nothing_where_somebody_types(self, page):
        opened(page)
        page.keyboard.press("?")
        expect(page.locator("#keys-dialog")).to_contain_text("stop trading")
        page.keyboard.press("Escape")
        page.keyboard.press("/")
        page.keyboard.type("desk-s")
        expect(page.locator("#stop-dialog")).to_be_hidden()
        expect(page.locator("#accounts [data-filter]")).to_have_value("desk-s")

    def test_accounts_are_gone_through_with_arrow_keys(self, page):
        opened(page)
        page.locator(".tile").first.focus()
        page.keyboard.press("ArrowRight")
        expect(page.locator(".tile").nth(1)).to_be_focused()
        expect(page.locator("#accounts [data-words]")).to_contain_text("desk-2: info 12")
        page.keyboard.press("End")
        expect(page.locator(".tile").nth(2)).to_be_focused()


class TestEverybody:
    @pytest.mark.parametrize("scheme", ["dark", "light"])
    @pytest.mark.parametrize("width", [1280, 390])
    def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(self, page, scheme, width):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 844})
        opened(
            page,
            firm={"now": frames.firm("CRITICAL", "97", tier="halt", critical_issues=["It burns"], warnings=["Soon"])},
            limits={str(n): frames.limit(f"Limit {n}", used) for n, used in enumerate(["1.2", "0.8", "0.1", None])},
            accounts={"a": frames.account(95), "b": frames.account(80), "c": frames.account(None)},
            alerts={str(n): frames.alert("It burns", level) for n, level in enumerate(["warning", "emergency"])},
            violations={"1": frames.violation("Burning"), "2": frames.violation("Burnt", closed=True)},
            stops={"1": frames.stop("It burns")},
        )
        assert violations_of(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.locator("#stop-open").click()
        assert violations_of(page) == []

    def test_the_theme_is_switched_and_kept(self, page):
        opened(page)
        page.get_by_role("button", name="Theme: as the system").click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        page.reload()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()


def violations_of(page: Page) -> list[str]:
    """Return what axe-core finds, each with where."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run().then(result => result.violations)")
    return [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]]


def wait_until(page: Page, holds: Any) -> None:
    """Let the page go on until something holds, for a while."""
    for _ in range(200):
        if holds():
            return
        page.wait_for_timeout(50)
    assert holds()
