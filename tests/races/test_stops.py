"""No approval after a stop: once the call that sets it has returned, nothing in its scope is approved."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from riskcore.calendar import microseconds
from riskcore.ports import Stop, StopScope
from riskcore.types import TradingState
from tests.races.client import Storm, connected
from tests.races.control import SetStops
from tests.races.houses import SYMBOL, House, order

CLIENTS = 24
BEFORE, AFTER = 150, 150


@pytest.fixture
def lifted(house: House) -> Iterator[None]:
    """No stop is left in force for the next test."""
    yield
    house.perform(SetStops(stops=()))


def decided_us(decision: dict[str, Any]) -> int:
    return microseconds(datetime.fromisoformat(decision["timestamp"]))


def scopes(stopped: str) -> list[Stop]:
    """Return stops that all cover the orders of one account in the storm."""
    halted, reducing = TradingState.HALTED, TradingState.REDUCING
    return [
        Stop(id="g", scope=StopScope.GLOBAL, state=halted),
        Stop(id="r", scope=StopScope.GLOBAL, state=reducing),
        Stop(id="a", scope=StopScope.ACCOUNT, scope_id=stopped, state=halted),
        Stop(id="s", scope=StopScope.SYMBOL, scope_id=SYMBOL, state=halted),
    ]


@pytest.mark.usefixtures("lifted")
@pytest.mark.parametrize("place", range(4), ids=["global", "reducing", "account", "symbol"])
async def test_nothing_is_approved_once_the_stop_has_returned(house, place):
    stopped, other = house.fresh_account("stop"), house.fresh_account("stop")
    house.prepare(stopped, other)
    stop = scopes(stopped)[place]
    storm = Storm(lambda client, number: order(f"{place}-{client}-{number}", (stopped, other)[client // 2 % 2]))
    async with connected(house.mixed(CLIENTS), house.key) as clients:
        storm.start(clients)
        await storm.go_on(BEFORE)
        set_ = await house.aperform(SetStops(stops=(stop,)))
        await storm.go_on(AFTER)
        await storm.end()
    decisions = [answer.decision for answer in storm.answers.values()]
    covered = [each for each in decisions if stop.scope is not StopScope.ACCOUNT or each["account_id"] == stopped]
    late = [each for each in covered if decided_us(each) > set_.now_us]
    assert len(late) >= AFTER // 4
    # Two processes that race for one account may make an order give up instead; approved is none.
    assert "emergency_stop_active" in {each["reason"] for each in late} <= {"emergency_stop_active", "contention"}
    assert any(each["approved"] for each in covered), "the storm began too late"
    check_journal(house, {each["decision_id"] for each in covered}, set_.epoch)
    if stop.scope is StopScope.ACCOUNT:
        others = [each for each in decisions if each["account_id"] == other and decided_us(each) > set_.now_us]
        assert others
        assert None in {each["reason"] for each in others} <= {None, "contention"}


def check_journal(house: House, covered: set[str], epoch: int) -> None:
    """In the order of commits, no approval under the old epoch comes after a decision under the new one."""
    stopped = False
    for entry in house.journal():
        if entry["decision"]["decision_id"] not in covered:
            continue
        stopped = stopped or entry["inputs"]["epoch"] >= epoch
        assert not (stopped and entry["decision"]["approved"]), entry["decision"]
    assert stopped


@pytest.mark.usefixtures("lifted")
async def test_an_approval_is_not_repeated_into_a_stop(house):
    """An OMS that asks again about an order approved before the stop does not get the approval."""
    account_id = house.fresh_account("stop")
    house.prepare(account_id)
    async with connected(house.doors, house.key) as clients:
        first = [await client.check(order(f"again-{number}", account_id)) for number, client in enumerate(clients)]
        await house.aperform(SetStops(stops=(Stop(id="g"),)))
        # Each at the other door than the first time.
        second = [await client.check(order(f"again-{1 - number}", account_id)) for number, client in enumerate(clients)]
    assert [answer.approved for answer in first] == [True, True]
    assert [answer.decision["reason"] for answer in second] == ["emergency_stop_active"] * 2
