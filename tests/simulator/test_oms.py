"""The simulated OMS against a riskportal made by hand: it reports first, asks, fills or cancels, and is patient."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from simulator import oms as module
from simulator.link import Away, Link, Refused
from simulator.oms import Oms


class Riskportal(httpx.AsyncBaseTransport):
    """Answers as riskportal does; `away` makes it answer 503, or break the line."""

    def __init__(self) -> None:
        self.away: Callable[[], httpx.Response] | None = None
        self.seen: list[tuple[str, str, Any]] = []
        self.block = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.away is not None:
            return self.away()
        body = json.loads(request.content) if request.content else dict(request.url.params)
        path = request.url.path
        self.seen.append((request.method, path, body))
        if path == "/risk/check":
            reason = "policy_violation" if self.block else None
            return httpx.Response(200, json={"approved": not self.block, "reason": reason})
        return httpx.Response(200, json={})

    def count(self) -> Counter[str]:
        return Counter(f"{method} {path.split('/')[2]}" for method, path, _ in self.seen)


@pytest.fixture
def riskportal() -> Riskportal:
    return Riskportal()


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """Everything goes twenty times as fast."""
    monkeypatch.setattr(module, "PRICE_EVERY_S", 0.02)
    monkeypatch.setattr(module, "STATE_EVERY_S", 0.05)
    monkeypatch.setattr(module, "_WORKS_S", 0.05)


async def run(riskportal: Riskportal, seconds: float = 1.0, *, said: list[str] | None = None) -> Oms:
    async with Link("http://test", "key", riskportal) as link:
        oms = Oms(link, ["desk-1", "desk-2"], rate=60.0, say=(said if said is not None else []).append, seed=5)
        await oms.run(threading.Event(), seconds)
    return oms


async def test_it_reports_before_its_first_order(riskportal):
    await run(riskportal)
    first = next(number for number, (_, path, _) in enumerate(riskportal.seen) if path == "/risk/check")
    before = [path for _, path, _ in riskportal.seen[:first]]
    assert {"/risk/prices", "/risk/accounts/desk-1/state", "/risk/accounts/desk-2/state"} <= set(before)


async def test_approved_orders_are_filled_or_cancelled_and_end(riskportal):
    oms = await run(riskportal)
    tally = oms.tally
    assert tally.sent > 20
    assert 0 <= tally.approved - tally.filled - tally.cancelled < 15  # these still worked at the end
    assert riskportal.count()["DELETE reservations"] >= tally.filled + tally.cancelled - 1
    assert tally.filled > 0 < tally.cancelled


@pytest.mark.parametrize(
    ("filled", "steps"), [(1.0, ["check", "accounts", "reservations"]), (0.0, ["check", "reservations"])]
)
async def test_a_fill_is_reported_before_its_reservation_ends(riskportal, monkeypatch, filled, steps):
    monkeypatch.setattr(module, "_FILLED", filled)
    async with Link("http://test", "key", riskportal) as link:
        oms = Oms(link, ["desk-1"], rate=1.0, say=lambda _: None, seed=5)
        before = {symbol: held.quantity for symbol, held in oms._desks[0].holdings.items()}
        await oms._order(oms._desks[0])
    assert [path.split("/")[2] for _, path, _ in riskportal.seen] == steps
    _, _, asked = riskportal.seen[0]
    method, path, named = riskportal.seen[-1]
    assert (method, path, named) == ("DELETE", f"/risk/reservations/{asked['order_id']}", {"account_id": "desk-1"})
    if filled:
        _, _, reported = riskportal.seen[1]
        held = {position["symbol"]: Decimal(position["quantity"]) for position in reported["positions"]}
        was = before.get(asked["symbol"], Decimal(0))
        signed = Decimal(asked["quantity"]) * (1 if asked["side"] == "BUY" else -1)
        assert held.get(asked["symbol"], 0) == was + signed


async def test_blocked_orders_leave_nothing(riskportal):
    riskportal.block = True
    oms = await run(riskportal)
    assert oms.tally.blocked == {"policy_violation": oms.tally.sent}
    assert riskportal.count()["DELETE reservations"] == 0


def broken() -> httpx.Response:
    raise httpx.ConnectError("refused")


@pytest.mark.parametrize("away", [broken, lambda: httpx.Response(503), lambda: httpx.Response(429)])
async def test_it_survives_that_riskportal_is_away_and_says_so_once(riskportal, away):
    said: list[str] = []
    riskportal.away = away
    running = asyncio.create_task(run(riskportal, 2.5, said=said))
    await asyncio.sleep(0.5)
    riskportal.away = None
    oms = await running
    assert [text.split(":")[0] for text in said] == ["riskportal is away", "riskportal answers again"]
    assert oms.tally.approved > 10


async def test_an_order_is_sent_again_under_its_own_id(riskportal):
    times = iter([True, False])

    def once() -> httpx.Response:
        if not next(times):
            riskportal.away = None
        return httpx.Response(503)

    async with Link("http://test", "key", riskportal) as link:
        oms = Oms(link, ["desk-1"], rate=1.0, say=lambda _: None)
        riskportal.away = once
        await oms._order(oms._desks[0])
    checks = [body for _, path, body in riskportal.seen if path == "/risk/check"]
    assert (len(checks), oms.tally.sent, oms.tally.approved) == (1, 1, 1)


class TestTheLink:
    async def call(self, answer: httpx.Response) -> dict[str, Any]:
        async with Link("http://test", "key", httpx.MockTransport(lambda _: answer)) as link:
            return await link.check({})

    async def test_a_block_that_comes_with_503_is_a_decision(self):
        assert (await self.call(httpx.Response(503, json={"approved": False, "reason": "recovering"})))["reason"]

    @pytest.mark.parametrize("status", [500, 502, 503, 429])
    async def test_what_passes_is_away(self, status):
        with pytest.raises(Away):
            await self.call(httpx.Response(status, text="<html>"))

    @pytest.mark.parametrize("status", [400, 401, 403, 404])
    async def test_what_does_not_pass_is_refused(self, status):
        with pytest.raises(Refused):
            await self.call(httpx.Response(status))

    async def test_a_reservation_that_has_ended_is_fine(self):
        async with Link("http://test", "key", httpx.MockTransport(lambda _: httpx.Response(404))) as link:
            await link.release("desk-1", "o/1")
