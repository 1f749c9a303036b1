"""An order_id is decided once, however often and wherever it is asked about."""

from __future__ import annotations

import msgspec
import pytest

from tests.races.client import Answer, at_once, connected
from tests.races.houses import order

CLIENTS = 32


def without_time(answer: Answer) -> bytes:
    """Return an answer's body but for how long it took."""
    decision = answer.decision
    del decision["processing_time_us"]
    return msgspec.json.encode(decision)


@pytest.mark.parametrize("seed", range(3))
async def test_thirty_two_clients_get_one_answer(house, seed):
    account_id = house.fresh_account("same")
    house.prepare(account_id)
    async with connected(house.mixed(CLIENTS), house.key) as clients:
        answers = await at_once(clients, [order(f"same-{seed}", account_id)] * CLIENTS)
    assert {answer.status for answer in answers} == {200}
    assert len({without_time(answer) for answer in answers}) == 1
    assert answers[0].approved
    assert [answer.replayed for answer in answers].count(False) == 1
    (entry,) = house.journal(account_id)
    assert entry["decision"]["decision_id"] == answers[0].decision["decision_id"]
    assert house.reservations(account_id) == [f"same-{seed}"]


async def test_another_body_under_the_same_id_takes_no_second_reservation(house):
    """Half of the clients ask about one quantity, half about another: whichever is first holds."""
    account_id = house.fresh_account("same")
    house.prepare(account_id)
    orders = [order("twin", account_id, "1" if number < CLIENTS // 2 else "2") for number in range(CLIENTS)]
    async with connected(house.mixed(CLIENTS), house.key) as clients:
        answers = await at_once(clients, orders)
    reasons = [answer.decision["reason"] for answer in answers]
    assert reasons.count(None) == reasons.count("duplicate_order") == CLIENTS // 2
    approved = {number < CLIENTS // 2 for number, reason in enumerate(reasons) if reason is None}
    assert len(approved) == 1, "orders of both quantities were approved"
    assert house.reservations(account_id) == ["twin"]
