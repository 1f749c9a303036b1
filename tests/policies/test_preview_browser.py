"""A preview in a real browser: pressed for, waited for, and there without the page being loaded again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings as present
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect

from devtools.browser import chromium
from policies.models import CHANGE_LIMITS
from policies.preview import services as previews
from policies.tasks import run_previews
from tests.emergency.world import World
from tests.policies.preview_world import orders, send, trading
from tests.policies.requesting import draft, new_limit
from tests.policies.test_preview_page import browser as signed_in

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

DESKS = 12


@pytest.fixture
def world(request, settings, tmp_path, transactional_db, monkeypatch) -> Iterator[World]:
    """A live state in which every desk has sent an order."""
    # Playwright has an event loop in the thread of the test, in which Django would refuse to ask the database.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    for found in trading(request, settings, tmp_path, kind="redis", desks=DESKS):
        send(found, orders([f"desk-{number:02d}" for number in range(DESKS)]))
        yield found


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def opened(browser: Browser, url: str, client: Client, path: str) -> tuple[Page, list[str]]:
    """Return a page of somebody who is signed in, and what went wrong on it until now."""
    context = browser.new_context(base_url=url)
    context.set_default_timeout(15_000)
    name = present.SESSION_COOKIE_NAME
    context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": url}])
    page, errors = context.new_page(), list[str]()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.goto(path)
    return page, errors


def test_a_preview_that_waits_shows_its_result_by_itself(world, browser, live_server, monkeypatch):
    monkeypatch.setattr(previews, "SMALL_DECISIONS", -1)
    request, client = draft(new_limit("No Orders", threshold="1")), signed_in("alice", CHANGE_LIMITS)
    path = reverse("admin:policies_changerequest_change", args=(request.pk,))
    page, errors = opened(browser, live_server.url, client, path)
    page.get_by_role("button", name="Preview").click()
    section = page.get_by_label("What it would change")
    expect(section).to_contain_text("Waits for its turn.")
    page.evaluate("window.here = true")
    run_previews()
    expect(section).to_contain_text("orders would be blocked")
    expect(section.get_by_role("table").first).to_be_visible()
    assert page.evaluate("window.here"), "the page was loaded again"
    assert errors == []
