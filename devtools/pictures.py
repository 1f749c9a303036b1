"""Makes the pictures of the documentation anew: `make pictures`.

A riskportal of its own, with the simulated market, is worked with by two people in Chromium, who do what
docs/changing-limits.md tells; each page is photographed on the way.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, FilePayload, Page, expect

from devtools.browser import chromium
from devtools.ports import PortReservation

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
MOST_BYTES = 200_000
WIDTH, HEIGHT, MOST_HEIGHT = 1280, 800, 1800

# So long the simulated desks trade before anybody looks: previews are of what they did.
_TRADING_S = 40
_STARTING_S = 120
# So long a stop takes that has orders to cancel, and what is told of it to be on a page.
_TELLING_S = 5


@dataclass
class Camera:
    """Two people and what is photographed of their pages."""

    officer: Page
    approver: Page

    def take(self, name: str, page: Page | None = None, *, most: int = MOST_HEIGHT) -> None:
        """Write the picture of a page: as long as it is, up to what a reader looks at (`most`, in pixels)."""
        page = page or self.officer
        page.wait_for_load_state("networkidle")
        page.evaluate("document.activeElement?.blur()")
        high = min(most, max(HEIGHT, page.evaluate("document.documentElement.scrollHeight")))
        page.set_viewport_size({"width": WIDTH, "height": high})
        path = PICTURES / f"{name}.png"
        page.screenshot(path=path)
        page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        _squeeze(path)
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1000} kB")


def main() -> None:
    """Make every picture."""
    with _installation() as address, chromium() as browser:
        time.sleep(_TRADING_S)
        camera = Camera(*(_person(browser, address, *lines) for lines in address.people))
        _tighten(camera)
        _loosen(camera)
        _preview(camera)
        _other_rows(camera)
        _books(camera)
        _lists(camera)
        _live(camera)
        _reports(camera)
        _sign_in_page(camera, browser, address.url)


# -------------------------------------------------------------------------------------------------- the story
def _tighten(camera: Camera) -> None:
    camera.officer.goto("/admin/policies/policy/")
    camera.take("limits")
    _open_limit(camera.officer, "Order Price Collar")
    camera.take("limit")
    _ask(camera.officer, {"threshold": "0.04"}, "Fewer wrong prices before the holidays")
    _publish(camera.officer)


def _loosen(camera: Camera) -> None:
    _open_limit(camera.officer, "Order Price Collar")
    _ask(camera.officer, {"threshold": "0.06"}, "The new venue quotes wider")
    camera.officer.get_by_role("button", name="Ask for approval").click()
    camera.take("request")
    camera.approver.goto("/admin/")
    camera.take("home", camera.approver)
    camera.approver.get_by_role("link", name="Order Price Collar: threshold").click()
    camera.approver.get_by_role("button", name="Preview").click()
    camera.approver.locator("[name=note]").fill("Agreed with the desk")
    camera.approver.get_by_role("button", name="Approve", exact=True).click()
    camera.officer.reload()
    _publish(camera.officer)
    camera.take("published")
    camera.officer.get_by_role("link", name="History of Order Price Collar").click()
    camera.take("history")


def _preview(camera: Camera) -> None:
    _open_limit(camera.officer, "Max Account Leverage")
    _ask(camera.officer, {"threshold": "0.12"}, "A volatile week is ahead")
    camera.officer.get_by_role("button", name="Preview").click()
    expect(camera.officer.get_by_text("recorded decision")).to_be_visible(timeout=60_000)
    camera.take("preview")


def _other_rows(camera: Camera) -> None:
    officer = camera.officer
    officer.goto("/admin/policies/restrictedsymbol/add/")
    _ask(officer, {"symbol": "DOGEUSDT"}, "The issuer is looked into")
    _publish(officer)
    officer.goto("/admin/policies/instrument/add/")
    _ask(officer, {"symbol": "BTCUSDT", "tick_size": "0.1", "lot_size": "0.001"}, "The venue says so")
    _publish(officer)
    officer.goto("/admin/policies/override/add/")
    officer.locator(".field-account .select2-selection").click()
    officer.get_by_role("option", name="desk-2").click()
    until = datetime.now(UTC) + timedelta(hours=2)
    when = {"until_0": f"{until:%Y-%m-%d}", "until_1": f"{until:%H:%M}:00"}
    _ask(officer, {"symbol": "ETHUSDT", "max_orders": "3", **when}, "A hedge that a client has asked for")
    officer.get_by_role("button", name="Ask for approval").click()
    camera.take("override")
    camera.approver.goto(officer.url)
    camera.approver.get_by_role("button", name="Approve", exact=True).click()
    officer.reload()
    _publish(officer)


def _books(camera: Camera) -> None:
    officer = camera.officer
    officer.goto("/admin/policies/book/")
    camera.take("books")
    officer.get_by_role("row").filter(has_text="before the holidays").get_by_role("link").first.click()
    camera.take("book")
    officer.get_by_role("link", name="Restore this book").click()
    camera.take("restore")
    officer.goto("/admin/policies/book/compare/?from=5&to=7")
    camera.take("compare")
    officer.goto("/admin/policies/book/")
    with officer.expect_download() as sent:
        officer.get_by_role("link", name="YAML").click()
    text = sent.value.path().read_text().replace("1000000", "900000", 1)
    officer.get_by_role("link", name="Import a file").click()
    file = FilePayload(name="limits.yaml", mimeType="application/yaml", buffer=text.encode())
    officer.get_by_label("File", exact=True).set_input_files(file)
    officer.get_by_role("button", name="Look at what it changes").click()
    camera.take("import")


def _lists(camera: Camera) -> None:
    pages = {
        "requests": "changerequest",
        "profiles": "capitalprofile",
        "accounts": "account",
        "symbols": "restrictedsymbol",
        "overrides": "override",
        "instruments": "instrument",
    }
    for name, model in pages.items():
        camera.officer.goto(f"/admin/policies/{model}/")
        camera.take(name)


def _live(camera: Camera) -> None:
    """Break a limit in every account, so that the live pages have something to tell."""
    officer = camera.officer
    _open_limit(officer, "Max Open Positions")
    _ask(officer, {"threshold": "2"}, "The book is to be made smaller today")
    _publish(officer)
    officer.goto("/emergency/")
    expect(officer.locator(".stop-card").first).to_be_visible(timeout=60_000)  # the breaker has counted five
    time.sleep(_TELLING_S)
    camera.take("emergency", most=1000)
    for name in ("decisions", "alerts", "violations"):
        officer.goto(f"/{name}/")
        camera.take(name, most=HEIGHT)
    officer.goto("/")
    expect(officer.get_by_text("live", exact=True)).to_be_visible()
    officer.keyboard.press("s")
    expect(officer.get_by_role("dialog")).to_be_visible()
    camera.take("stop-dialog", most=HEIGHT)


def _reports(camera: Camera) -> None:
    """Take some evidence away, and ask which limit it was that has just stopped everybody."""
    officer = camera.officer
    for kind, suffix in (("decisions", "pdf"), ("policy_changes", "xlsx")):
        officer.goto(f"/reports/new?kind={kind}")
        officer.locator(f"[name=format][value={suffix}]").check()
        if kind == "decisions":
            camera.take("report", most=HEIGHT)
        officer.get_by_role("button", name="Take it away").click()
        expect(officer.locator("[data-state=done]").first).to_be_visible()
    officer.goto("/reports/")
    camera.take("reports", most=HEIGHT)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    officer.goto(f"/reports/limit/?account_id=desk-1&metric=open_positions&at={now}")
    expect(officer.locator("#headline")).to_be_visible()
    camera.take("question", most=1100)


def _sign_in_page(camera: Camera, browser: Browser, url: str) -> None:
    page = browser.new_context(base_url=url, viewport={"width": WIDTH, "height": HEIGHT}).new_page()
    page.goto("/")
    camera.take("sign-in", page)


# ---------------------------------------------------------------------------------------------------- its parts
def _open_limit(page: Page, name: str) -> None:
    page.goto("/admin/policies/policy/")
    page.get_by_role("link", name=name).click()


def _ask(page: Page, fields: dict[str, str], why: str) -> None:
    for name, value in fields.items():
        page.locator(f"[name={name}]").fill(value)
    page.locator("[name=change_reason]").fill(why)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Look at what this changes").click()
    expect(page.get_by_role("heading", name="What it changes")).to_be_visible()


def _publish(page: Page) -> None:
    page.get_by_role("button", name="Publish now").click()
    expect(page.get_by_text("is live: the next order is checked against it")).to_be_visible()


def _person(browser: Browser, address: Address, name: str, password: str) -> Page:
    page = browser.new_context(base_url=address.url, viewport={"width": WIDTH, "height": HEIGHT}).new_page()
    page.goto("/admin/")
    page.locator("input[name=username]").fill(name)
    page.locator("input[name=password]").fill(password)
    page.locator("input[name=password]").press("Enter")
    expect(page).to_have_url(f"{address.url}/admin/")
    return page


@dataclass
class Address:
    """Where the installation is, and who may sign in."""

    url: str
    people: tuple[tuple[str, str], tuple[str, str]]


@contextlib.contextmanager
def _installation() -> Iterator[Address]:
    """An embedded riskportal with the simulated market, on a port and with data of its own."""
    held = PortReservation()
    with tempfile.TemporaryDirectory() as data:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RISK_")}
        env = {**kept, "RISK_ENV_FILE": os.devnull, "RISK_DATA_DIR": data}
        command = [sys.executable, "manage.py", "up", "--port", str(held.port)]
        held.release()
        started = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            lines = _sign_in(Path(data) / "sign-in.txt")
            people = ((lines["user"], lines["password"]), (lines["approver"], lines["approver-password"]))
            yield Address(f"http://127.0.0.1:{held.port}", people)
        finally:
            started.send_signal(signal.SIGINT)
            started.wait(30)


def _sign_in(file: Path) -> dict[str, str]:
    """Return the lines of the sign-in file, as soon as it is whole."""
    until = time.monotonic() + _STARTING_S
    while time.monotonic() < until:
        with contextlib.suppress(FileNotFoundError):
            lines = dict(line.split(": ", 1) for line in file.read_text().splitlines() if ": " in line)
            if "approver-password" in lines:
                return lines
        time.sleep(0.2)
    raise TimeoutError(f"riskportal had not started after {_STARTING_S} s")


def _squeeze(path: Path) -> None:
    """Make a picture small enough for a repository. Raises ValueError where it stays too large."""
    subprocess.run(["pngquant", "--force", "--strip", "--speed", "1", "--output", path, "64", path], check=True)
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path.name} has more than {MOST_BYTES} bytes")


if __name__ == "__main__":
    main()
