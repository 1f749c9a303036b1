"""Promise 1 at its worst: many stops by the call of the API, against clients of every door at full speed.

`make bench ARGS="--only stop"` times them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from riskcore.calendar import microseconds
from tests.gateway.requester import requesters
from tests.races.client import Asks, Client, Storm, connected
from tests.races.houses import SYMBOL, House, order

STOPS = 200
EACH = 8  # clients of each door
BETWEEN = 24  # answers, of 24 clients

STOP = "/risk/emergency-stop"


@dataclass(frozen=True)
class Stopped:
    """A stop from the return of its call to the call that lifts it, on the clock of the machine and its Redis."""

    scope: dict[str, str]
    from_us: int
    until_us: int

    def covers(self, decision: dict[str, Any]) -> bool:
        """Return whether a decision was made while it was in force, on an order in its scope."""
        decided_us = microseconds(datetime.fromisoformat(decision["timestamp"]))
        is_here = self.scope["type"] != "account" or decision["account_id"] == self.scope["id"]
        return is_here and self.from_us < decided_us < self.until_us


def scopes(account_id: str) -> list[dict[str, str]]:
    return [{"type": "global"}, {"type": "account", "id": account_id}, {"type": "symbol", "id": SYMBOL}]


async def stop(client: Client, number: int, scope: dict[str, str]) -> tuple[str, int]:
    """Stop, and return the stop's id and when the call had returned."""
    state = "HALTED" if number % 2 else "REDUCING"  # all orders here are buys
    body = {"reason": f"storm {number}", "triggered_by": "alice", "scope": scope, "state": state}
    answer = await client.ask("POST", STOP, body)
    returned_us = time.time_ns() // 1000
    assert answer.status == 201, answer.body
    return answer.json()["stop_id"], returned_us


async def re_enable(client: Client, stop_id: str) -> int:
    """Lift a stop, and return when that was asked for."""
    asked_us = time.time_ns() // 1000
    body = {"stop_id": stop_id, "authorized_by": "bob", "reason": "the storm goes on"}
    answer = await client.ask("POST", f"{STOP}/re-enable", body)
    assert answer.status == 200, answer.body
    return asked_us


@pytest.mark.slow
async def test_of_two_hundred_stops_none_lets_an_approval_through(site):
    house: House = site.house
    accounts = [house.fresh_account("stop") for _ in range(12)]
    house.prepare(*accounts)
    storm = Storm(lambda client, number: order(f"s-{client}-{number}", accounts[client % len(accounts)], "0.01"))
    stopped: list[Stopped] = []
    async with (
        connected([house.asgi, house.wsgi] * EACH, house.key) as over_http,
        requesters(site.nats.url, house.key, EACH) as over_nats,
        connected([house.wsgi, house.asgi], house.key) as officers,
    ):
        clients: list[Asks] = [*over_http, *over_nats]
        storm.start(clients)
        await storm.go_on(BETWEEN)
        for number in range(STOPS):
            scope = scopes(accounts[number % len(accounts)])[number % 3]
            stop_id, from_us = await stop(officers[number % 2], number, scope)
            await storm.go_on(BETWEEN)
            stopped.append(Stopped(scope, from_us, await re_enable(officers[number % 2], stop_id)))
            await storm.go_on(BETWEEN)
        await storm.end()
    decisions = [answer.decision for answer in storm.answers.values()]
    late = [[each for each in decisions if one.covers(each)] for one in stopped]
    assert [each for some in late for each in some if each["approved"]] == []
    assert sum(1 for some in late if some) > STOPS * 0.9, "hardly anybody asked while it was stopped"
    reasons = {each["reason"] for some in late for each in some}
    assert "emergency_stop_active" in reasons <= {"emergency_stop_active", "contention"}
    assert sum(1 for each in decisions if each["approved"]) > STOPS, "it was hardly ever lifted"
