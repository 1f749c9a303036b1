"""The processes of deploy/Procfile on PostgreSQL and Redis, and what they do when those go away."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.installation import ROOT, Client, Production, production, until_approved, wait_for
from tests.support.patience import PATIENCE_S

pytestmark = [pytest.mark.slow, pytest.mark.fault]

_ids = (f"o-{number}" for number in itertools.count())

DOORS = ("wsgi", "asgi")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """One installation for all; a test that breaks something mends it. A lost state is not waited out.

    What a test breaks on purpose trips no breaker, which would stop the tests after it.
    """
    with production(tmp_path_factory.mktemp("production"), RISK_RECOVERY_HOLD="0s", RISK_BREAKER_COUNT="0") as made:
        yield made


@pytest.fixture
def system(running: Production) -> Production:
    """The installation, on which orders are approved."""
    wait_for(lambda: feed(running.wsgi), what="the first report")
    for door in DOORS:
        until_approved(lambda door=door: ask(getattr(running, door)), what=door)  # type: ignore[misc]
    return running


def feed(client: Client) -> bool:
    price = client.put("/risk/prices", json={"prices": [{"symbol": "BTCUSDT", "price": "50000"}]})
    state = {"equity": "100000", "margin_used": "0", "positions": []}
    return price.is_success and client.put("/risk/accounts/desk/state", json=state).is_success


def ask(client: Client, order_id: str = "", **what: Any) -> httpx.Response:
    return client.check(order_id or next(_ids), account_id="desk", **what)


def fed(system: Production, door: str) -> httpx.Response:
    """Ask at a door about an account that has just reported."""
    feed(system.wsgi)
    client: Client = getattr(system, door)
    return ask(client)


def is_recorded(system: Production, *order_ids: str) -> bool:
    (found,) = system.rows("SELECT count(*) FROM audit_orderdecision WHERE order_id = ANY(%s)", list(order_ids))[0]
    assert found <= len(order_ids), "a decision was recorded twice"
    return bool(found == len(order_ids))


def python(system: Production, program: str) -> None:
    """Run a program in a process of the installation."""
    setup = "import django; django.setup()\n"
    subprocess.run(
        [sys.executable, "-c", setup + program],
        cwd=ROOT,
        env={**system.env, "DJANGO_SETTINGS_MODULE": "riskportal.settings"},
        check=True,
        timeout=PATIENCE_S,
    )


CHANGE_LIMIT = """
from decimal import Decimal
from policies.models import Policy
from policies.services import do_change_policy
limit = Policy.objects.get(name="Max Gross Exposure")
seen = {{"policy_id": limit.pk, "expected_version": limit.version}}
made = do_change_policy(actor="tests", reason="test", threshold=Decimal({threshold!r}), **seen)
assert made.live
"""


def test_both_doors_give_the_same_answers(system):
    asked = {"quantity": "0.002", "price": "50000"}
    answers = [ask(getattr(system, door), **asked).json() for door in DOORS]
    own = ("decision_id", "order_id", "reservation", "timestamp", "processing_time_us", "account_state_at")
    # The second order is checked beside the first one.
    moved = ("post_trade_metrics", "limit_utilization", "max_quantity", "binding_limit")
    wsgi, asgi = ({name: value for name, value in answer.items() if name not in own + moved} for answer in answers)
    assert wsgi == asgi
    assert wsgi["approved"]


def test_one_door_repeats_what_the_other_has_answered(system):
    order_id = next(_ids)
    first = ask(system.wsgi, order_id)
    again = ask(system.asgi, order_id)
    assert again.json()["decision_id"] == first.json()["decision_id"]
    assert again.headers["idempotency-replayed"] == "true"


def test_a_change_of_a_limit_is_live_on_the_next_order_at_both_doors(system):
    try:
        python(system, CHANGE_LIMIT.format(threshold="10"))
        for door in DOORS:
            feed(system.wsgi)  # the change may have taken longer than a report stays fresh
            decision = ask(getattr(system, door)).json()
            # A look of the monitor in between blocks it earlier: the firm is over the limit, too.
            assert decision["reason"] in ("policy_violation", "global_risk_critical")
            if decision["reason"] == "policy_violation":
                assert "Max Gross Exposure" in [breach["name"] for breach in decision["violations"]]
    finally:
        python(system, CHANGE_LIMIT.format(threshold="1000000"))
    for door in DOORS:
        # The monitor may have seen a firm far over its limits, and says otherwise with its next look.
        until_approved(lambda door=door: fed(system, door), what=door)  # type: ignore[misc]


def test_decisions_are_in_the_database_within_seconds(system):
    order_id = next(_ids)
    ask(system.asgi, order_id)
    wait_for(lambda: is_recorded(system, order_id), what="the decision")


def test_metrics_of_all_processes_are_together(system):
    before = checks_counted(system)
    for door in DOORS:
        ask(getattr(system, door))
    wait_for(lambda: checks_counted(system) >= before + 2, what="both checks")


def checks_counted(system: Production) -> float:
    lines = system.wsgi.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("risk_order_checks_total{"))


def test_without_the_database_checks_go_on_and_are_recorded_once_when_it_is_back(system):
    system.postgres.stop()
    try:
        orders = [next(_ids) for _ in range(10)]
        for order_id, door in zip(orders, itertools.cycle(DOORS), strict=False):
            assert ask(getattr(system, door), order_id).json()["approved"]
    finally:
        system.postgres.start()
    wait_for(lambda: is_recorded(system, *orders), what="what waited in the journal")


def test_without_redis_every_order_is_blocked_and_trading_goes_on_when_it_is_back(system):
    order_id = next(_ids)
    ask(system.asgi, order_id)
    system.redis.stop()
    try:
        for door in DOORS:
            answer = ask(getattr(system, door))
            assert answer.status_code == 503
            assert answer.json()["approved"] is False
            assert answer.json()["reason"] == "state_unavailable"
    finally:
        system.redis.start()
    wait_for(lambda: feed(system.wsgi), what="the first report")
    for door in DOORS:
        until_approved(lambda door=door: fed(system, door), what=door)  # type: ignore[misc]
    assert ask(system.wsgi, order_id).headers["idempotency-replayed"] == "true"


def test_a_redis_that_comes_back_empty_is_restored_before_the_first_approval(system):
    order_id = next(_ids)
    held = ask(system.wsgi, order_id, reservation_ttl="600").json()["reservation"]
    wait_for(lambda: is_recorded(system, order_id), what="the decision")
    system.redis.restart(empty=True)
    answers = until_restored(system)
    assert answers
    assert {(answer.status_code, answer.json()["approved"]) for answer in answers} == {(503, False)}
    wait_for(lambda: feed(system.wsgi), what="the first report")
    until_approved(lambda: fed(system, "asgi"), what="asgi")
    found = system.wsgi.get("/risk/reservations", params={"account_id": "desk"}).json()["results"]
    assert held["id"] in [one["id"] for one in found]
    assert ask(system.asgi, order_id, reservation_ttl="600").json()["reservation"] == held


def test_a_redis_that_comes_back_older_is_restored_before_the_first_approval(system, tmp_path):
    ask(system.asgi)
    shutil.copytree(system.redis.data, tmp_path / "before")
    order_id = next(_ids)
    held = ask(system.wsgi, order_id, reservation_ttl="600").json()["reservation"]
    wait_for(lambda: is_recorded(system, order_id), what="the decision")
    system.redis.kill()
    shutil.rmtree(system.redis.data)
    shutil.copytree(tmp_path / "before", system.redis.data)
    system.redis.start()
    assert {(answer.status_code, answer.json()["approved"]) for answer in until_restored(system)} <= {(503, False)}
    wait_for(lambda: feed(system.wsgi), what="the first report")
    until_approved(lambda: fed(system, "asgi"), what="asgi")
    found = system.wsgi.get("/risk/reservations", params={"account_id": "desk"}).json()["results"]
    assert held["id"] in [one["id"] for one in found]
    assert ask(system.asgi, order_id, reservation_ttl="600").json()["reservation"] == held


def until_restored(system: Production) -> list[httpx.Response]:
    """Ask both doors until the live state has its control again, and return what was answered before that."""
    answers: list[httpx.Response] = []
    until = time.monotonic() + PATIENCE_S
    with system.redis.connect() as redis:
        while True:
            latest = [ask(getattr(system, door)) for door in DOORS]
            if redis.hget("risk:{L0}:control", "generation"):
                return answers
            answers += latest
            assert time.monotonic() < until, "the live state was not restored"


@pytest.mark.parametrize("role", ["web", "asgi", "worker", "beat"])
def test_there_is_a_process_for_each_role(system, role):
    assert f"{role}.1 started" in system.program.said


def test_logs_are_json(system):
    lines = [line.split("| ", 1)[1] for line in system.program.said.splitlines() if "| {" in line]
    assert lines
    assert all({"level", "logger", "message", "timestamp"} <= json.loads(line).keys() for line in lines)
    # Celery itself says so of every broker that is killed.
    ours = [line for line in lines if not json.loads(line)["logger"].startswith("celery.")]
    assert [line for line in ours if "Traceback" in line] == []
