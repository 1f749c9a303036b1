"""Promise 7 on real processes: kill any part, or all of them at once, and trading stays stopped until re-enabled."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.installation import Client, Production, production, until_approved, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.fault]

STOP = "/risk/emergency-stop"
DOORS = ("wsgi", "asgi")

_ids = (f"e-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """One installation for all; a test that breaks something mends it. A lost journal is not waited out."""
    with production(tmp_path_factory.mktemp("production"), RISK_RECOVERY_HOLD="0s") as made:
        yield made


@pytest.fixture
def system(running: Production) -> Iterator[Production]:
    """The installation, on which orders are approved; what is stopped is re-enabled afterwards."""
    until_all_approve(running)
    yield running
    for scope in [each["scope"] for each in running.wsgi.get(STOP).json()["results"]]:
        re_enable(running.wsgi, scope=scope)


def feed(client: Client) -> None:
    client.put("/risk/prices", json={"prices": [{"symbol": "BTCUSDT", "price": "50000"}]})
    state = {"equity": "100000", "margin_used": "0", "positions": []}
    client.put("/risk/accounts/desk/state", json=state)


def answers_of(system: Production) -> set[Any]:
    """Return the reasons for which the doors block; None among them: one approves."""
    return {ask_at(system, door).json().get("reason") for door in DOORS}


def ask_at(system: Production, door: str) -> httpx.Response:
    feed(system.wsgi)
    client: Client = getattr(system, door)
    return client.check(next(_ids), account_id="desk")


def until_all_approve(system: Production) -> None:
    for door in DOORS:
        until_approved(lambda door=door: ask_at(system, door), what=door)  # type: ignore[misc]


def stop(system: Production) -> dict[str, Any]:
    answer = system.wsgi.post(STOP, json={"reason": "a test", "triggered_by": "alice"})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def re_enable(client: Client, **which: Any) -> httpx.Response:
    return client.post(f"{STOP}/re-enable", json={"authorized_by": "bob", "reason": "all is well", **which})


def kill(system: Production) -> None:
    assert system.program is not None
    system.program.kill()


def lose_redis(system: Production) -> None:
    system.redis.restart(empty=True)


def restart_postgres(system: Production) -> None:
    system.postgres.stop()
    system.postgres.start()


def kill_everything(system: Production) -> None:
    kill(system)
    system.postgres.stop()
    system.redis.restart(empty=True)
    system.postgres.start()
    system.start()


def kill_processes(system: Production) -> None:
    kill(system)
    system.start()


@pytest.mark.parametrize("break_it", [kill_processes, lose_redis, restart_postgres, kill_everything])
def test_it_stays_stopped_until_somebody_re_enables_it(system, break_it):
    engaged = stop(system)
    assert answers_of(system) == {"emergency_stop_active"}
    break_it(system)

    def is_back() -> bool:
        reasons = answers_of(system)
        assert None not in reasons, "an order was approved"
        return reasons == {"emergency_stop_active"}

    wait_for(is_back, what="the live state")
    assert [each["stop_id"] for each in system.wsgi.get(STOP).json()["results"]] == [engaged["stop_id"]]
    done = wait_for(lambda: _done(re_enable(system.wsgi, stop_id=engaged["stop_id"])), what="the re-enabling")
    assert done["live"]
    until_all_approve(system)


def _done(answer: httpx.Response) -> dict[str, Any]:
    """Return what a re-enabling answers, nothing where it must be asked for again."""
    assert answer.status_code in (200, 503), answer.text
    found: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
    return found


def test_stopped_without_postgres_it_is_recorded_once_when_that_is_back(system):
    system.postgres.stop()
    try:
        engaged = stop(system)
        assert not engaged["recorded"]
        assert answers_of(system) == {"emergency_stop_active"}
    finally:
        system.postgres.start()
    key = engaged["stop_id"]
    recorded = "SELECT count(*) FROM emergency_emergencystop WHERE id = %s"
    wait_for(lambda: system.rows(recorded, key)[0][0], what="the record")
    accounts = "SELECT account_id FROM emergency_stopaccount WHERE stop_id = %s"
    assert wait_for(lambda: system.rows(accounts, key), what="the accounts") == [("desk",)]
    audited = "SELECT count(*) FROM audit_auditevent WHERE action = 'stop.engage' AND object_id = %s"
    assert system.rows(audited, key) == [(1,)]
