"""Whatever was traded, what is rebuilt from the decisions is what was lost."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest

from audit.drain import drain
from policies.services import do_create_policy
from riskcore.types import Order, OrderType, Position, Side
from riskportal import rebuild as module
from riskportal.restore import Outcome, restore_if_empty
from tests.riskportal.world import World, order, uncounted


def trade(world: World, chance: random.Random) -> None:
    """Do one of the things that leave something in a ledger, or do not."""
    match chance.randrange(10):
        case 0 | 1 | 2:
            world.check(some_order(chance))
        case 3:
            world.check(*(some_order(chance) for _ in range(chance.randrange(2, 5))))
        case 4:
            world.check(*(some_order(chance) for _ in range(3)), atomic=True)
        case 5:
            world.check(some_order(chance, what_if=True))
        case 6 | 7:
            if held := sorted(world.held()):
                world.release(chance.choice(held))
        case 8:
            world.feed(
                Position(symbol="BTCUSDT", quantity=Decimal(chance.randrange(-2, 3)), mark_price=Decimal(50_000))
            )
        case _:
            asked = some_order(chance)
            world.check(asked)
            world.check(asked)
            drain(world.store)


def some_order(chance: random.Random, **what: Any) -> Order:
    fields: dict[str, Any] = {
        "symbol": chance.choice(("BTCUSDT", "ETHUSDT")),
        "side": chance.choice(tuple(Side)),
        "order_type": OrderType.MARKET,
        "price": Decimal(0),
        "quantity": Decimal(chance.choice(("0.01", "0.11", "1.01", "1000"))),
        "ttl_us": chance.choice((0, 0, 1, 3_600_000_000)),
    }
    return order(**{**fields, **what})


def count_messages() -> None:
    do_create_policy(
        actor="test",
        reason="test",
        name="Messages",
        type="hard",
        metric="order_rate",
        operator="<=",
        threshold=Decimal(50),
        window_s=60,
    )


@pytest.mark.parametrize("seed", range(6))
def test_it_is_what_was_lost(world, seed):
    count_messages()
    chance = random.Random(seed)
    for _ in range(4):
        for _ in range(chance.randrange(1, 12)):
            trade(world, chance)
        now_us = world.now_us()
        alive = {name: one for name, one in world.held().items() if one.expires_at_us > now_us}
        ledger = uncounted(world.ledger_without_expired())
        world.lose()
        assert restore_if_empty(world.store).outcome is Outcome.RESTORED
        assert world.held() == alive
        assert world.ledger() == ledger
        world.feed()


def test_it_looks_back_no_further_than_to_the_oldest_open_order(world, monkeypatch, django_assert_max_num_queries):
    monkeypatch.setattr(module, "_CHUNK", 2)
    for _ in range(20):
        world.release(world.approve().order.order_id)
    kept = world.approve().order.order_id
    drain(world.store)
    world.lose()
    with django_assert_max_num_queries(60):
        restore_if_empty(world.store)
    assert set(world.held()) == {kept}


def test_many_that_have_run_out_do_not_hide_one_that_has_not(world):
    kept = world.approve().order.order_id
    world.check(*(order(ttl_us=1, quantity=Decimal("0.001")) for _ in range(70)))
    world.approve(what_if=True)
    drain(world.store)
    world.lose()
    restore_if_empty(world.store)
    assert set(world.held()) == {kept}


GOOD, BAD = Decimal("0.01"), Decimal(1000)


@pytest.mark.parametrize("quantities", [(GOOD, BAD, GOOD), (BAD, GOOD), (GOOD, GOOD, BAD), (BAD, BAD)])
def test_a_batch_that_was_refused_left_its_messages_and_nothing_else(world, quantities):
    count_messages()
    world.approve()
    world.check(*(order(quantity=quantity) for quantity in quantities), atomic=True)
    ledger, held = uncounted(world.ledger()), world.held()
    world.lose()
    restore_if_empty(world.store)
    assert (world.ledger(), world.held()) == (ledger, held)
