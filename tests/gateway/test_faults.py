"""Servers and gateways that end under load: what was acknowledged holds, and the door opens again by itself."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from bench.doors import NATS, door
from tests.gateway.conftest import Site
from tests.gateway.requester import requesters
from tests.races.client import Storm, connected
from tests.races.houses import order
from tests.support.patience import PATIENCE_S

pytestmark = [pytest.mark.fault, pytest.mark.slow]

CLIENTS = 12
ANSWERS = 200
# How soon the gateways answer again once NATS is back.


def storm_over(accounts: list[str], tag: str) -> Storm:
    return Storm(lambda client, number: order(f"{tag}-{client}-{number}", accounts[client % len(accounts)], "0.001"))


def decisions_of(storm: Storm) -> set[tuple[str, str]]:
    """Return every order with the decision that its client was told."""
    return {(order_id, answer.decision["decision_id"]) for order_id, answer in storm.answers.items()}


def assert_decided(*storms: Storm) -> None:
    """Every answer is a decision: an approval, or a block because too many processes wrote to the account."""
    for storm in storms:
        assert {answer.status for answer in storm.answers.values()} == {200}
        decisions = [answer.decision for answer in storm.answers.values()]
        assert {each["reason"] for each in decisions} <= {None, "contention"}


def assert_kept_once(site: Site, accounts: list[str], *storms: Storm) -> None:
    """What clients were told is in the journal, and no order was approved twice."""
    kept = [entry["decision"] for account_id in accounts for entry in site.house.journal(account_id)]
    approvals = Counter(each["order_id"] for each in kept if each["approved"])
    assert [order_id for order_id, count in approvals.items() if count > 1] == []
    for storm in storms:
        assert decisions_of(storm) <= {(each["order_id"], each["decision_id"]) for each in kept}


async def test_nats_killed_under_load_leaves_http_alone_and_is_answered_again_when_it_is_back(site):
    house, accounts = site.house, [site.house.fresh_account("fault") for _ in range(4)]
    house.prepare(*accounts)
    http, nats = storm_over(accounts, "http"), storm_over(accounts, "nats")
    async with (
        connected(house.mixed(CLIENTS), house.key) as over_http,
        requesters(site.nats.url, house.key, CLIENTS, persistent=True) as over_nats,
    ):
        http.start(over_http)
        nats.start(over_nats)
        await nats.go_on(ANSWERS)
        await asyncio.to_thread(site.nats.kill)
        await http.go_on(ANSWERS)  # while there is no NATS
        await asyncio.to_thread(site.nats.start)
        async with asyncio.timeout(PATIENCE_S):
            await nats.go_on(1)
        await nats.go_on(ANSWERS)
        await nats.end()
        await http.end()
    assert http.unanswered == nats.unanswered == []
    assert_decided(http, nats)
    assert_kept_once(site, accounts, http, nats)


async def test_a_gateway_told_to_end_under_load_answers_what_it_took_and_the_other_goes_on(site):
    house, accounts = site.house, [site.house.fresh_account("fault") for _ in range(4)]
    house.prepare(*accounts)
    storm = storm_over(accounts, "end")
    async with requesters(site.nats.url, house.key, CLIENTS) as clients:
        storm.start(clients)
        await storm.go_on(ANSWERS)
        site.gateways[0].begin_to_stop()
        code = await asyncio.to_thread(site.gateways[0].wait)
        await storm.go_on(ANSWERS)
        await storm.end()
        for client in clients:
            await client.flush()
        counts = Counter(len(answers) for client in clients for answers in client.heard.values())
    assert code == 0
    assert storm.unanswered == []
    assert counts == {1: len(storm.answers)}
    assert_decided(storm)
    assert_kept_once(site, accounts, storm)


async def test_a_gateway_killed_under_load_loses_nothing_that_was_acknowledged(site):
    house, accounts = site.house, [site.house.fresh_account("fault") for _ in range(2)]
    house.prepare(*accounts)
    storm = storm_over(accounts, "kill")
    async with requesters(site.nats.url, house.key, CLIENTS, persistent=True) as clients:
        storm.start(clients)
        await storm.go_on(ANSWERS)
        await asyncio.to_thread(site.gateways[0].kill)
        await storm.go_on(ANSWERS)
        await storm.end()
    assert_decided(storm)
    assert_kept_once(site, accounts, storm)


async def test_while_redis_is_away_the_answer_is_503_and_a_block(site):
    house, account_id = site.house, site.house.fresh_account("redis")
    house.prepare(account_id)
    async with requesters(site.nats.url, house.key, 1) as (client,):
        assert (await client.check(order("before", account_id))).approved
        await asyncio.to_thread(site.redis.stop)
        try:
            blocked = [await client.check(order(f"away-{number}", account_id)) for number in range(5)]
        finally:
            await asyncio.to_thread(site.redis.start)
            site.control.kill()  # it would report the break to the next test
            await asyncio.to_thread(site.control.start)
        number = 0
        async with asyncio.timeout(PATIENCE_S):
            while not (await client.check(order(f"after-{number}", account_id))).approved:
                number += 1
    for answer in blocked:
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert (answer.decision["approved"], answer.decision["reason"]) == (False, "state_unavailable")


async def test_a_gateway_started_while_nats_is_away_waits_for_it(site):
    await asyncio.to_thread(site.nats.stop)
    gateway = door(NATS, site.house.installation.environment)
    starting = asyncio.create_task(asyncio.to_thread(gateway.start))
    try:
        async with asyncio.timeout(PATIENCE_S):
            while "NATS is away" not in gateway.log_tail():  # noqa: ASYNC110 - it tells its log alone
                await asyncio.sleep(0.05)
        await asyncio.to_thread(site.nats.start)
        await starting
    finally:
        gateway.close()
