"""The line over riskportal's public HTTP API: accounts and prices are pushed, reservations ended one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote as quoted

import httpx

from simulator.amounts import text
from simulator.desks import Statement
from simulator.line import TIMEOUT_S, Away, decision_of, judge, positions
from simulator.market import Quote
from simulator.orders import Closed, Event, Fill


class RestLine:
    """Calls the API at `url` with an API key that may check and feed.

    `transport` takes the place of the network, for tests.
    """

    quote_every_s = 0.25

    def __init__(self, url: str, key: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        # The machine's proxies are for the world outside; a risk system is a neighbour.
        self._client = httpx.AsyncClient(
            base_url=url.rstrip("/"),
            headers={"Authorization": f"Bearer {key}"},
            timeout=TIMEOUT_S,
            trust_env=False,
            transport=transport,
        )

    async def quotes(self, quotes: Sequence[Quote], now_us: int) -> None:
        """Push the last mark of each symbol."""
        last = {quote.symbol: text(quote.mid) for quote in quotes}
        rows = [{"symbol": symbol, "price": price, "timestamp": now_us} for symbol, price in last.items()]
        await self._send("PUT", "/risk/prices", {"prices": rows})

    async def state(self, statement: Statement, now_us: int) -> None:
        """Push an account's state."""
        path = f"/risk/accounts/{quoted(statement.account_id, safe='')}/state"
        await self._send("PUT", path, {**_state(statement), "timestamp": now_us})

    async def events(self, events: Sequence[Event], statement: Statement, now_us: int) -> None:
        """Push the state with the fills in it before their orders' reservations end: no moment knows of neither."""
        if any(isinstance(event, Fill) for event in events):
            await self.state(statement, now_us)
        for event in events:
            if isinstance(event, Closed):
                await self._release(event)

    async def progress(self, progress: Mapping[str, Any]) -> None:
        """There is nobody to tell: over HTTP riskportal asks for nothing."""

    async def check(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Ask whether an order may go, and return the decision."""
        answer = await self._request("POST", "/risk/check", order)
        return decision_of(answer.status_code, answer.content)

    async def _release(self, closed: Closed) -> None:
        """End an order's reservation; one that has ended already is fine."""
        path = f"/risk/reservations/{quoted(closed.order_id, safe='')}"
        params = {"account_id": closed.account_id, "reason": str(closed.end)}
        answer = await self._request("DELETE", path, params=params)
        if answer.status_code != httpx.codes.NOT_FOUND:
            judge(answer.status_code, answer.content)

    async def _send(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        answer = await self._request(method, path, body)
        judge(answer.status_code, answer.content)

    async def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, params: Mapping[str, str] | None = None
    ) -> httpx.Response:
        try:
            return await self._client.request(method, path, json=body, params=params)
        except httpx.TransportError as error:
            raise Away(str(error) or type(error).__name__) from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()


def _state(statement: Statement) -> dict[str, Any]:
    return {
        "equity": text(statement.equity),
        "balance": text(statement.balance),
        "margin_used": text(statement.margin_used),
        "positions": positions(statement),
    }
