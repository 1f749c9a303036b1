"""Killed in the middle of a storm: no decision that was acknowledged is lost, none is there twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest

from devtools.servers import PostgresServer
from tests.races.client import Answer, Storm, at_once, connected
from tests.races.control import Drain
from tests.races.houses import House, memory_house, order, redis_house, rows

pytestmark = [pytest.mark.fault, pytest.mark.slow]

CLIENTS = 24
BEFORE = 200

KINDS: dict[str, dict[str, object]] = {"kill": {}}


@pytest.fixture(params=["asgi", "wsgi", "memory"])
def victim(request: pytest.FixtureRequest, postgres_server: PostgresServer) -> Iterator[tuple[House, str]]:
    """A house of its own, and the process in it that is to be killed."""
    of = rows(KINDS)
    make = memory_house if request.param == "memory" else redis_house
    with make(postgres_server, of) as house:
        yield house, request.param


async def test_every_acknowledged_decision_is_kept_once(victim):
    house, name = victim
    accounts = [house.fresh_account("kill") for _ in range(4)]
    house.prepare(*accounts)
    storm = Storm(lambda client, number: order(f"{client}-{number}", accounts[client // 2 % 4]))
    async with connected(house.mixed(CLIENTS), house.key) as clients:
        storm.start(clients)
        await storm.go_on(BEFORE)
        await asyncio.to_thread(house.processes[name].kill)  # the clients go on asking meanwhile
        await storm.end()
    assert storm.unanswered, "nobody was cut off: the kill came too late"
    house.processes[name].start()
    house.prepare(*accounts)
    again = await ask_again(house, name, storm)
    house.perform(Drain())
    kept = recorded(house)
    assert {order_id for (_, order_id), count in Counter(each[:2] for each in kept).items() if count > 1} == set()
    assert acknowledged(storm.answers, again) <= {decision_id for *_, decision_id in kept}
    for account_id in accounts:
        approved = {order_id for of, order_id, approved, _ in kept if of == account_id and approved}
        assert set(house.reservations(account_id)) == approved


async def ask_again(house: House, name: str, storm: Storm) -> dict[str, Answer]:
    """Ask about the orders without an answer once more, at the door that was killed."""
    door = house.wsgi if name == "wsgi" else house.asgi
    async with connected([door] * len(storm.unanswered), house.key) as clients:
        answers = await at_once(clients, storm.unanswered)
    return {str(asked["order_id"]): answer for asked, answer in zip(storm.unanswered, answers, strict=True)}


def acknowledged(*answers: dict[str, Answer]) -> set[str]:
    """Return the decisions that clients were told of; each of them must have been told of one."""
    return {answer.decision["decision_id"] for some in answers for answer in some.values()}


def recorded(house: House) -> list[tuple[str, str, bool, str]]:
    """Return account, order_id, approval and decision_id of every decision in the database."""
    with psycopg.connect(house.installation.environment["DATABASE_URL"]) as connection:
        rows = connection.execute(
            "SELECT account_id, order_id, approved, decision_id::text FROM audit_orderdecision"
        ).fetchall()
    return [(account_id, order_id, approved, decision_id) for account_id, order_id, approved, decision_id in rows]
