"""A limit rolled out by requests: whose orders it stops at 10 % it stops at 30 %, and everybody's at 100 %."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from riskcore.report import AccountReport
from riskcore.types import Order, Side
from tests.emergency.world import World
from tests.policies.preview_world import Sent, orders, send, trading
from tests.policies.requesting import draft, new_limit, policy, published, setting

DESKS = 60
NAMES = [f"desk-{number:02d}" for number in range(DESKS)]


@pytest.fixture(params=["redis", "memory"])
def world(request, settings, tmp_path, transactional_db) -> Iterator[World]:
    """A live state with accounts that hold nothing, so that no order reduces anything."""
    nothing: dict[str, Any] = {"equity": Decimal(50_000), "margin_used": Decimal(0), "positions": {}}
    states = [AccountReport(account_id=name, **nothing) for name in NAMES]
    yield from trading(request, settings, tmp_path, kind=request.param, desks=DESKS, states=states)


def test_whose_orders_are_stopped_at_a_part_are_stopped_at_a_larger_part(world):
    desks = NAMES.copy()
    published(draft(new_limit("Rolled Out", metric="order_quantity", threshold="0.0001", rollout_percent=10)))
    reached = [stopped(send(world, small(desks, "10 %")))]
    for percent in (30, 100):
        published(draft(setting(policy("Rolled Out"), rollout_percent=percent)))
        Random(percent).shuffle(desks)
        reached.append(stopped(send(world, small(desks, f"{percent} %"))))
    assert reached[0] < reached[1] < reached[2] == set(desks)


def small(desks: Sequence[str], tag: str) -> list[Order]:
    """Return an order of each desk that no other limit stops."""
    buys: dict[str, Any] = {"side": Side.BUY, "quantity": Decimal("0.001")}
    return [replace(each, order_id=f"{each.account_id} {tag}", **buys) for each in orders(desks)]


def stopped(sent: Sequence[Sent]) -> set[str]:
    """Return whose orders the limit stopped; on all others it must be in shadow."""
    stops = {each.order.account_id for each in sent if named(each.told.violations)}
    in_shadow = {each.order.account_id for each in sent if named(each.told.shadow_violations)}
    assert {each.order.account_id for each in sent if not each.told.approved} == stops
    assert in_shadow == {each.order.account_id for each in sent} - stops
    return stops


def named(breaches: Sequence[object]) -> bool:
    return "Rolled Out" in {getattr(each, "name", "") for each in breaches}
