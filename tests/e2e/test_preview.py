"""A preview of many decisions on a running installation: its own worker works it out, and the page shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.installation import Client, Embedded, embedded, wait_for
from tests.e2e.test_embedded import feed

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

DECISIONS = 2_000
LIMIT = "Max Account Leverage"


@pytest.fixture
def installation(tmp_path) -> Iterator[Embedded]:
    with embedded(tmp_path / "data") as made:
        made.start()
        yield made


def order(number: int) -> dict[str, Any]:
    return {
        "order_id": f"o-{number}",
        "account_id": "desk-1",
        "symbol": "BTCUSDT",
        "side": "BUY",
        "quantity": "0.001",
        "price": "50000",
    }


def decided(client: Client) -> bool:
    """Return whether the last of the orders is recorded."""
    found = client.get("/risk/decisions", params={"order_id": f"o-{DECISIONS - 1}"})
    return bool(found.json()["results"])


def test_many_decisions_are_replayed_by_the_worker_while_the_page_waits(browser, installation):
    client = installation.client()
    wait_for(lambda: feed(client), what="the first report")
    for first in range(0, DECISIONS, 1_000):
        sent = client.post("/risk/check/batch", json={"orders": [order(first + each) for each in range(1_000)]})
        assert sent.status_code == 200, sent.text
    wait_for(lambda: decided(client), what="the journal")
    (limit,) = [each for each in client.get("/risk/policies").json()["results"] if each["name"] == LIMIT]
    body = {"id": limit["id"], "version": limit["version"], "threshold": "0.00001", "reason": "A quiet night"}
    request = client.patch("/risk/policies", json=body).json()

    page = _signed_in(browser, installation)
    page.goto(f"/admin/policies/changerequest/{request['id']}/change/")
    page.get_by_role("button", name="Preview").click()
    section = page.get_by_label("What it would change")
    expect(section).to_contain_text(re.compile(r"Of [2-9],\d{3} recorded decisions"), timeout=60_000)
    expect(section).to_contain_text(LIMIT)
    expect(section.locator("progress")).to_have_count(0)


def _signed_in(browser: Browser, installation: Embedded) -> Any:
    address, lines = f"http://127.0.0.1:{installation.port}", installation.sign_in()
    page = browser.new_context(base_url=address).new_page()
    page.goto("/admin/")
    page.locator("input[name=username]").fill(lines["user"])
    page.locator("input[name=password]").fill(lines["password"])
    page.locator("input[name=password]").press("Enter")
    expect(page).to_have_url(f"{address}/admin/")
    return page
