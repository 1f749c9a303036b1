"""Under load: one limit over all doors, each request answered once, and no queue without an end."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal

import pytest

from tests.gateway.requester import requesters
from tests.races.client import Asks, at_once, connected
from tests.races.houses import order

CLIENTS, ROOM = 64, 10
# Ten of the largest fit, eleven of the smallest do not: whichever come first.
SMALLEST, LARGEST = 9_100, 10_000
UNIT = Decimal("0.0001")


@pytest.mark.parametrize("seed", range(3))
async def test_ten_of_sixty_four_clients_of_all_doors_pass(site, seed):
    chance = random.Random(seed)
    house, account_id = site.house, site.house.fresh_account("gross")
    house.prepare(account_id)
    orders = [
        order(f"{seed}-{number}", account_id, chance.randint(SMALLEST, LARGEST) * UNIT) for number in range(CLIENTS)
    ]
    async with (
        connected(house.mixed(CLIENTS // 2), house.key) as over_http,
        requesters(site.nats.url, house.key, CLIENTS // 2) as over_nats,
    ):
        clients: list[Asks] = [*over_http, *over_nats]
        chance.shuffle(clients)
        answers = await at_once(clients, orders)
    decisions = [answer.decision for answer in answers]
    approved = {each["order_id"] for each in decisions if each["approved"]}
    assert [answer.status for answer in answers] == [200] * CLIENTS
    assert len(approved) == ROOM
    assert {each["reason"] for each in decisions if not each["approved"]} <= {"policy_violation", "contention"}
    assert set(house.reservations(account_id)) == approved


async def test_of_two_gateways_one_answers_each_request(site):
    house, accounts = site.house, [site.house.fresh_account("load") for _ in range(4)]
    house.prepare(*accounts)
    worked = [gateway.used().cpu_s for gateway in site.gateways]
    async with requesters(site.nats.url, house.key, 8) as clients:
        await asyncio.gather(*(ask_many(client, place, accounts, 100) for place, client in enumerate(clients)))
        counts = [len(answers) for client in clients for answers in client.heard.values()]
    assert counts == [1] * 800
    assert all(gateway.used().cpu_s > before for gateway, before in zip(site.gateways, worked, strict=True))


async def ask_many(client, place: int, accounts: list[str], count: int) -> None:
    for number in range(count):
        answer = await client.check(order(f"{place}-{number}", accounts[place % len(accounts)], "0.001"))
        assert answer.approved
    await client.flush()


async def test_a_flood_is_answered_whole_with_a_block_for_what_was_too_much(site):
    """Far more at once than may be under way: every request is answered once, and only approvals are held."""
    house, accounts = site.house, [site.house.fresh_account("load") for _ in range(2)]
    house.prepare(*accounts)
    orders = [order(f"flood-{number}", accounts[number % 2], "0.001") for number in range(4000)]
    async with requesters(site.nats.url, house.key, 1) as (client,):
        for each in orders:
            await client.send(each)
        await client.until(len(orders))
        heard = dict(client.heard)
    assert {len(answers) for answers in heard.values()} == {1}
    answers = [answer for (answer,) in heard.values()]
    refused = [answer for answer in answers if answer.status == 503]
    assert {answer.status for answer in answers} == {200, 503}
    assert {(each.decision["reason"], each.decision["code"]) for each in refused} == {("state_unavailable", "too_busy")}
    approved = {order_id for order_id, (answer,) in heard.items() if answer.approved}
    assert {held for account_id in accounts for held in house.reservations(account_id)} == approved
