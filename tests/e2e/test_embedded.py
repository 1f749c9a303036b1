"""`make run`: one process on an empty directory, with a market in it, that survives being killed."""

from __future__ import annotations

import json
import shlex
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.installation import Client, Embedded, embedded, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Embedded]:
    with embedded(tmp_path / "data") as made:
        yield made


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """One that runs with the simulated market, and is not to be ended."""
    with embedded(tmp_path_factory.mktemp("demo")) as made:
        made.start()
        yield made


class TestTheDemonstration:
    def test_the_line_that_is_shown_is_answered_with_a_real_decision(self, demo):
        said = demo.running.said
        shown = said[said.index("curl ") : said.index("Market ")].replace("\\\n", " ")
        arguments = shlex.split(shown)
        headers = dict(arguments[at + 1].split(": ", 1) for at, word in enumerate(arguments) if word == "-H")
        body = arguments[arguments.index("-d") + 1]
        wait_for(lambda: has_state(demo.client(), "desk-1"), what="the first report")
        answer = httpx.post(arguments[1], headers=headers, content=body, trust_env=False)
        assert answer.status_code == 200, answer.text
        decision = answer.json()
        assert decision["account_id"] == "desk-1"
        assert decision["policy_book_version"] >= 4
        assert decision["account_state_at"]
        # The simulated OMS trades for the same account, and may have a sell in the way.
        assert decision["approved"] or decision["reason"] == "self_match", decision

    def test_the_simulator_trades_and_is_stopped_from_its_mistakes(self, demo):
        client = demo.client()
        wait_for(lambda: enough(client.get("/stats").json()), what="orders of the simulator")
        stats = client.get("/stats").json()
        assert stats["orders_approved"] > stats["orders_rejected"]
        assert stats["risk_level"] in ("INFO", "WARNING")
        assert stats["accounts"] == 3

    def test_limits_are_used_as_positions_are_taken(self, demo):
        client = demo.client()

        def used() -> bool:
            account = client.get("/risk/limits", params={"account_id": "desk-1"}).json()["results"][0]
            used = [limit["utilisation"] for limit in account["limits"] if limit["metric"] == "gross_exposure"]
            return bool(account["fresh"] and used and Decimal(used[0] or 0) > 0)

        wait_for(used, what="utilisation")

    def test_one_signs_in_as_the_screen_says(self, demo):
        sign_in = demo.sign_in()
        assert f"sign in as {sign_in['user']}, password {sign_in['password']}" in demo.running.said
        with httpx.Client(base_url=f"http://127.0.0.1:{demo.port}", trust_env=False) as browser:
            page = browser.get("/", follow_redirects=True)
            assert page.url.path == "/sign-in/"
            token = browser.cookies["csrftoken"]
            form = {"username": sign_in["user"], "password": sign_in["password"], "csrfmiddlewaretoken": token}
            assert browser.post("/sign-in/?next=/admin/", data=form).headers["location"] == "/admin/"

    def test_it_is_ready_and_says_so_to_prometheus(self, demo):
        client = demo.client()
        assert client.get("/health").json() == {"status": "healthy", "service": "risk"}
        assert client.get("/ready").status_code == 200
        assert "risk_order_checks_total" in client.get("/metrics").text

    def test_a_second_one_on_the_same_port_is_refused_with_the_way_out(self, demo, tmp_path):
        with embedded(tmp_path / "other") as other:
            done = other.manage("up", "--port", str(demo.port))
        assert done.returncode == 1
        assert "RISK_HTTP_PORT" in done.stderr


def test_the_simulator_trades_from_a_process_of_its_own_too(demo):
    key = demo.sign_in()["embedded-simulator"]
    url = f"http://127.0.0.1:{demo.port}"
    done = demo.manage("simulate", "--url", url, "--key", key, "--rate", "20", "--seconds", "2", "--json")
    assert done.returncode == 0, done.stderr
    tally = json.loads(done.stdout)
    assert tally["sent"] > 10
    assert tally["approved"] > 0
    assert tally["lost"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly(installation, number):
    installation.start()
    wait_for(lambda: installation.client().get("/stats").json()["orders_checked"], what="an order")
    installation.running.end(number)
    assert installation.running.process.returncode == 0
    said = installation.running.said
    assert said.rstrip().endswith("Stopped.")
    assert "Traceback" not in said
    assert "error" not in said


def test_without_the_demonstration_there_is_nothing_made_up(installation):
    installation.start("--no-demo")
    client = installation.client()
    assert client.get("/risk/limits").json()["results"] == []
    answer = client.check("o-1", account_id="desk-1")
    assert answer.json()["reason"] == "unknown_account"


def test_what_was_acknowledged_survives_kills_once_and_whole(installation):
    acknowledged: dict[str, dict[str, Any]] = {}
    for _ in range(3):
        installation.start("--no-demo") if acknowledged else installation.start()
        client = installation.client()
        wait_for(lambda client=client: feed(client), what="the first report")  # type: ignore[misc]
        for order_id, before in acknowledged.items():
            again = check_of_a_day(client, order_id)
            assert again.json()["decision_id"] == before["decision_id"]
            assert again.headers["idempotency-replayed"] == "true"
        trade_until_killed(installation, client, acknowledged)
    installation.start("--no-demo")
    held = reservations(installation.client())
    installation.running.end()
    kept = recorded(installation.data)
    for order_id, decision in acknowledged.items():
        assert kept[order_id] == [decision["decision_id"]]
    approved = {order_id for order_id, decision in acknowledged.items() if decision["approved"]}
    assert approved
    assert approved <= held
    verified = installation.manage("verify_decisions")
    assert verified.returncode == 0, verified.stdout


def test_a_key_made_while_it_runs_lets_in(installation):
    installation.start("--no-demo")
    key = installation.manage("create_api_key", "other", "--can", "read").stdout.strip()
    client = Client(installation.port, key)
    wait_for(lambda: client.get("/risk/limits").status_code == 200, what="the key")


def enough(stats: dict[str, Any]) -> bool:
    known = stats["risk_level"] != "UNKNOWN"  # of a survey that may be some seconds old
    return known and bool(stats["orders_approved"] >= 8 and stats["orders_rejected"] >= 1)


def has_state(client: Client, account_id: str) -> bool:
    (account,) = client.get("/risk/limits", params={"account_id": account_id}).json()["results"]
    return bool(account["fresh"])


def feed(client: Client) -> bool:
    """Report desk-1 as flat, and a price."""
    now_ms = time.time_ns() // 1_000_000 + 60_000  # ahead of the simulator's reports
    price = client.put("/risk/prices", json={"prices": [{"symbol": "BTCUSDT", "price": "50000", "timestamp": now_ms}]})
    state = {"equity": "1000000", "margin_used": "0", "positions": [], "timestamp": now_ms}
    return price.is_success and client.put("/risk/accounts/desk-1/state", json=state).is_success


def trade_until_killed(installation: Embedded, client: Client, acknowledged: dict[str, dict[str, Any]]) -> None:
    """Send orders, keep each answer that arrives, and kill the process in the midst of it."""
    feed(client)
    killer = threading.Timer(0.5, installation.running.kill)
    killer.start()
    try:
        for number in range(len(acknowledged), 100_000):
            order_id = f"o-{number}"
            answer = check_of_a_day(client, order_id)
            if answer.status_code == 200:
                acknowledged[order_id] = answer.json()
    except httpx.TransportError:
        pass
    finally:
        killer.join()


def check_of_a_day(client: Client, order_id: str) -> httpx.Response:
    """Check an order whose reservation outlives the test, on however slow a machine."""
    return client.check(order_id, account_id="desk-1", reservation_ttl="86400")


def reservations(client: Client) -> set[str]:
    """Return the orders that hold a reservation, page after page."""
    found: set[str] = set()
    query: dict[str, str] = {"account_id": "desk-1"}
    while True:
        page = client.get("/risk/reservations", params=query).json()
        found |= {one["order_id"] for one in page["results"]}
        if not page.get("next"):
            return found
        query = {**query, "cursor": page["next"]}


def recorded(data: Path) -> dict[str, list[str]]:
    """Return the decisions in the database by order."""
    found: dict[str, list[str]] = {}
    with sqlite3.connect(data / "riskportal.sqlite3") as database:
        for order_id, decision_id in database.execute("SELECT order_id, decision_id FROM audit_orderdecision"):
            digits = decision_id.replace("-", "")
            text = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
            found.setdefault(order_id, []).append(text)
    return found
