"""No shared headroom is spent twice: of many orders that race for room, exactly as many pass as there is room for."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from tests.races.client import at_once, connected
from tests.races.houses import order

CLIENTS = 64
ROOM = 10
KINDS = ("gross", "value", "pending", "count", "margin")

# Ten of the largest fit, eleven of the smallest do not: whichever come first.
SMALLEST, LARGEST = 9_100, 10_000
UNIT = Decimal("0.0001")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS)
async def test_ten_of_sixty_four_clients_pass(house, kind, seed):
    chance = random.Random(f"{kind} {seed}")
    account_id = house.fresh_account(kind)
    # A position of 10 x 100 needs a margin of a tenth of that.
    house.prepare(account_id, equity=Decimal(100) if kind == "margin" else Decimal(1_000_000))
    doors = house.mixed(CLIENTS)
    chance.shuffle(doors)
    orders = [
        order(f"{seed}-{number}", account_id, chance.randint(SMALLEST, LARGEST) * UNIT) for number in range(CLIENTS)
    ]
    async with connected(doors, house.key) as clients:
        answers = await at_once(clients, orders)
    decisions = [answer.decision for answer in answers]
    approved = {each["order_id"] for each in decisions if each["approved"]}
    assert [answer.status for answer in answers] == [200] * CLIENTS
    assert len(approved) == ROOM
    wrong = "insufficient_margin" if kind == "margin" else "policy_violation"
    assert {each["reason"] for each in decisions if not each["approved"]} <= {wrong, "contention"}
    assert set(house.reservations(account_id)) == approved


@pytest.mark.parametrize("seed", range(3))
async def test_approvals_over_one_door_are_seen_at_the_other(house, seed):
    """Orders one after the other, over both doors in an order of chance: the eleventh is blocked."""
    chance = random.Random(seed)
    account_id = house.fresh_account("gross")
    house.prepare(account_id)
    async with connected([chance.choice(house.doors) for _ in range(ROOM + 3)], house.key) as clients:
        answers = [await client.check(order(f"{number}", account_id)) for number, client in enumerate(clients)]
    assert [answer.approved for answer in answers] == [True] * ROOM + [False] * 3
