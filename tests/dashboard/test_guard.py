"""Rights are read again while somebody looks: who lost them is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from audit.acting import Acting, acting
from dashboard.guard import Guard
from tests.support.patience import eventually

ALICE = acting("alice", ["policies.view_account"])
LESS = acting("alice", ["policies.view_account"], ["A"])


class House:
    """Who is signed in by which session."""

    def __init__(self) -> None:
        self.sessions: dict[str, Acting] = {"s": ALICE}
        self.fails = False
        self.asked = 0

    def find(self, keys) -> dict[str, Acting]:
        self.asked += 1
        if self.fails:
            raise RuntimeError("away")
        return {key: self.sessions[key] for key in keys if key in self.sessions}


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def guard(house) -> AsyncIterator[Guard]:
    made = Guard(house.find, every_s=0.02)
    yield made
    await made.close()


async def test_who_is_not_signed_in_is_nobody(guard):
    assert await guard.admit("unknown", lambda _: None) is None


async def test_who_is_signed_in_is_known(guard):
    assert await guard.admit("s", lambda _: None) == ALICE


@pytest.mark.parametrize("now", [None, LESS], ids=["signed out", "for one account"])
async def test_changes_are_told_once(guard, house, now):
    told: list[Acting | None] = []
    await guard.admit("s", told.append)
    house.sessions = {} if now is None else {"s": now}
    await eventually(lambda: told == [now], "that it is told")
    asked = house.asked
    await eventually(lambda: house.asked > asked + 2, "further looks")
    assert told == [now]


async def test_who_has_left_is_told_of_nothing(guard, house):
    told: list[Acting | None] = []
    tell = told.append
    await guard.admit("s", tell)
    guard.leave(tell)
    house.sessions = {}
    await asyncio.sleep(0.1)
    assert told == []


async def test_while_nobody_can_say_all_stays_as_it_is(guard, house):
    told: list[Acting | None] = []
    await guard.admit("s", told.append)
    house.fails = True
    asked = house.asked
    await eventually(lambda: house.asked > asked + 2, "looks that fail")
    assert told == []
    house.fails, house.sessions = False, {}
    await eventually(lambda: told == [None], "that it is told later")
