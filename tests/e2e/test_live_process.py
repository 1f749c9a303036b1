"""Browsers' websockets in production: a process of its own, which hears of everything over Redis."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.e2e.installation import Client, Production, production, until_approved, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.fault]

# Far longer than anything takes that comes about at all.
PATIENCE_S = 30.0

SIGN_IN = """
from django.contrib.auth.models import User
from django.test import Client
user, _ = User.objects.get_or_create(username="vera", is_staff=True, is_superuser=True)
client = Client()
client.force_login(user)
print(client.cookies["sessionid"].value)
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """An installation on which orders are approved; a test that breaks something mends it."""
    roles = ("web", "asgi", "live", "worker")
    with production(tmp_path_factory.mktemp("live"), roles=roles, RISK_RECOVERY_HOLD="0s") as made:
        made.add("beat")
        wait_for(lambda: feed(made.wsgi), what="the first report")
        until_approved(lambda: made.wsgi.check("first", account_id="desk"), what="an approval")
        yield made


# Ever more of it: an account that loses some is stopped.
_equities = itertools.count(100_000, 1_000)


def feed(client: Client, equity: int = 0) -> bool:
    price = client.put("/risk/prices", json={"prices": [{"symbol": "BTCUSDT", "price": "50000"}]})
    state = {"equity": str(equity or next(_equities)), "margin_used": "0", "positions": []}
    return price.is_success and client.put("/risk/accounts/desk/state", json=state).is_success


@pytest.fixture(scope="module")
def cookie(running: Production) -> str:
    return "sessionid=" + running.manage("shell", "--no-imports", "-c", SIGN_IN).split()[-1]


class Browser:
    """A page: what it shows, and whether it has missed anything."""

    def __init__(self, line: ClientConnection) -> None:
        self._line = line
        self.frames: list[dict[str, Any]] = []
        self.shown: dict[str, dict[str, Any]] = {}

    def hear(self, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(self._line.recv(timeout=timeout_s))
        if frame["type"] == "snapshot":
            self.shown = frame["picture"]
        else:
            assert frame["from"] == self.frames[-1]["n"], "something was missed"
            for name, change in frame["changes"].items():
                rows = self.shown.setdefault(name, {})
                rows.update(change["set"])
                for key in change["gone"]:
                    del rows[key]
        self.frames.append(frame)
        return frame

    def until(self, true: Any, what: str, within_s: float = PATIENCE_S) -> None:
        end = time.monotonic() + within_s
        while not true(self.shown):
            assert time.monotonic() < end, f"not shown: {what}"
            self.hear()


@pytest.fixture
def browser(running: Production, cookie: str) -> Iterator[Browser]:
    port = running.env["RISK_LIVE_PORT"]
    host = f"127.0.0.1:{port}"
    with connect(
        f"ws://{host}/ws/risk/", origin=Origin(f"http://{host}"), additional_headers={"Cookie": cookie}, proxy=None
    ) as line:
        found = Browser(line)
        found.hear()
        yield found


def equity(shown: dict[str, Any]) -> str | None:
    account = shown["accounts"].get("desk")
    return None if account is None else account["equity"]


def test_what_the_monitor_sees_is_shown(running: Production, browser: Browser) -> None:
    reported = next(_equities)
    feed(running.wsgi, reported)
    browser.until(lambda shown: equity(shown) == f"{reported}.00", "the equity that was reported")
    assert browser.shown["health"]["now"]["monitor_at"] is not None


def test_what_the_doors_of_other_processes_do_is_counted(running: Production, browser: Browser) -> None:
    feed(running.wsgi)
    for number in range(20):
        running.asgi.check(f"counted-{number}", account_id="desk", what_if=False)
    browser.until(lambda shown: (shown["checks"]["now"]["approved"] or 0) >= 20, "the checks of another process")


def test_a_stop_is_shown_and_so_is_its_end(running: Production, browser: Browser) -> None:
    body = {"reason": "<b>test</b>", "triggered_by": "alice", "scope": {"type": "account", "id": "desk"}}
    stop_id = running.wsgi.post("/risk/emergency-stop", json=body).json()["stop_id"]
    browser.until(lambda shown: stop_id in shown["stops"], "the stop")
    assert browser.shown["stops"][stop_id]["reason"] == "<b>test</b>"
    lifted = {"stop_id": stop_id, "authorized_by": "bob", "reason": "done"}
    assert running.wsgi.post("/risk/emergency-stop/re-enable", json=lifted).is_success
    browser.until(lambda shown: stop_id not in shown["stops"], "that the stop was lifted")


def test_an_idle_connection_lives(running: Production, browser: Browser) -> None:
    """Nothing is said on it by the browser, and for a while nothing is published: no client of Redis gives it up."""
    (beat,) = running.others
    os.kill(beat.process.pid, signal.SIGSTOP)  # nobody has the monitor look: nothing is published
    try:
        end = time.monotonic() + 12
        while time.monotonic() < end:
            browser.hear()
    finally:
        os.kill(beat.process.pid, signal.SIGCONT)
    reported = next(_equities)
    feed(running.wsgi, reported)
    browser.until(lambda shown: equity(shown) == f"{reported}.00", "what is reported afterwards")
    assert [each["type"] for each in browser.frames].count("snapshot") == 1


def test_redis_started_anew_is_listened_to_again(running: Production, browser: Browser) -> None:
    running.redis.kill()
    browser.until(lambda shown: "trading" in shown["trouble"], "that the live state is away")
    running.redis.restart()
    reported = next(_equities)
    wait_for(lambda: feed(running.wsgi, reported), what="a report")
    browser.until(lambda shown: "trading" not in shown["trouble"], "the live state", 60)

    def shows(shown: dict[str, Any]) -> bool:
        feed(running.wsgi, reported)
        return equity(shown) == f"{reported}.00"

    browser.until(shows, "what is reported afterwards", 60)
    assert [each["type"] for each in browser.frames].count("snapshot") == 1
