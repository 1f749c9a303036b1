"""The line over HTTP, against answers made by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from simulator.desks import Desk
from simulator.line import Away, Refused
from simulator.market import Quote
from simulator.orders import BUY, Closed, End, Fill
from simulator.rest_line import RestLine

FILL = Fill("f1", "o1", "desk/1", "X", BUY, Decimal(2), Decimal(100), Decimal("0.1"), 7)
END = Closed("o1", "desk/1", End.FILLED, 8)


class Seen:
    """Answers with `status`, and keeps what was asked."""

    def __init__(self, status: int = 200, **answer: Any) -> None:
        self.status, self.answer = status, answer
        self.requests: list[tuple[str, str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else dict(request.url.params)
        self.requests.append((request.method, request.url.raw_path.decode().partition("?")[0], body))
        return httpx.Response(self.status, **self.answer)


def line(answers: Callable[[httpx.Request], httpx.Response]) -> RestLine:
    return RestLine("http://test/", "key", httpx.MockTransport(answers))


def statement(*fills: Fill) -> Any:
    desk = Desk("desk/1", deposit=Decimal(1000))
    for each in fills:
        desk.take(each)
    return desk.statement({"X": Decimal("105.5")})


async def test_of_several_prices_the_last_one_is_pushed():
    seen = Seen()
    quotes = [Quote("X", Decimal(bid), Decimal(bid + 1), Decimal(1), Decimal(1)) for bid in (99, 100)]
    async with line(seen) as rest:
        await rest.quotes(quotes, 5)
    assert seen.requests == [("PUT", "/risk/prices", {"prices": [{"symbol": "X", "price": "100.5", "timestamp": 5}]})]


async def test_a_fill_is_in_the_state_before_its_reservation_ends():
    seen = Seen()
    async with line(seen) as rest:
        await rest.events([FILL, END], statement(FILL), 9)
    (put, path, state), (delete, reservation, named) = seen.requests
    assert (put, path) == ("PUT", "/risk/accounts/desk%2F1/state")
    assert (delete, reservation) == ("DELETE", "/risk/reservations/o1")
    assert named == {"account_id": "desk/1", "reason": "filled"}
    assert state == {
        "equity": "1010.9",
        "balance": "999.9",
        "margin_used": "21.10",
        "positions": [
            {
                "symbol": "X",
                "quantity": "2",
                "entry_price": "100.000000000000",
                "mark_price": "105.5",
                "margin": "21.10",
            }
        ],
        "timestamp": 9,
    }


async def test_an_end_without_a_fill_needs_no_state():
    seen = Seen()
    async with line(seen) as rest:
        await rest.events([END], statement(), 9)
    assert [method for method, _path, _body in seen.requests] == ["DELETE"]


async def test_a_reservation_that_has_ended_already_is_fine():
    async with line(Seen(404)) as rest:
        await rest.events([END], statement(), 9)


async def test_a_block_that_comes_with_503_is_a_decision():
    async with line(Seen(503, json={"approved": False, "reason": "recovering"})) as rest:
        assert (await rest.check({}))["reason"] == "recovering"


@pytest.mark.parametrize("status", [500, 502, 503, 429])
async def test_what_passes_is_away(status):
    async with line(Seen(status, text="<html>")) as rest:
        with pytest.raises(Away, match=str(status)):
            await rest.check({})
        with pytest.raises(Away, match=str(status)):
            await rest.state(statement(), 1)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_what_does_not_pass_is_refused(status):
    async with line(Seen(status)) as rest:
        with pytest.raises(Refused, match=str(status)):
            await rest.check({})
        with pytest.raises(Refused, match=str(status)):
            await rest.state(statement(), 1)


async def test_a_success_without_a_decision_is_none():
    async with line(Seen(200, text="[]")) as rest:
        with pytest.raises(Away, match="no decision"):
            await rest.check({})


async def test_a_broken_line_is_away():
    def broken(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    async with line(broken) as rest:
        with pytest.raises(Away, match="refused"):
            await rest.check({})
