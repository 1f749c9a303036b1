"""The simulator's line to riskportal: its public HTTP API, with the patience that a real peer needs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from decimal import Decimal
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

_TIMEOUT_S = 2.0


class Away(Exception):
    """riskportal could not be reached, or cannot answer for now; try again later."""


class Refused(Exception):
    """riskportal does not take this request, now or later: a wrong key, or a body that it does not understand."""


class Link:
    """Calls the API at `url` with an API key. Every method raises Away or Refused.

    `transport` takes the place of the network, for tests.
    """

    def __init__(self, url: str, key: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        # The machine's proxies are for the world outside; a risk system is a neighbour.
        self._client = httpx.AsyncClient(
            base_url=url.rstrip("/"),
            headers={"Authorization": f"Bearer {key}"},
            timeout=_TIMEOUT_S,
            trust_env=False,
            transport=transport,
        )

    async def put_prices(self, prices: Mapping[str, Decimal]) -> None:
        """Report the last price of each symbol."""
        now_ms = time.time_ns() // 1_000_000
        rows = [{"symbol": symbol, "price": str(price), "timestamp": now_ms} for symbol, price in prices.items()]
        await self._send("PUT", "/risk/prices", {"prices": rows})

    async def put_state(self, account_id: str, state: Mapping[str, Any]) -> None:
        """Report an account's state."""
        stamped = {**state, "timestamp": time.time_ns() // 1_000_000}
        await self._send("PUT", f"/risk/accounts/{quote(account_id, safe='')}/state", stamped)

    async def check(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Ask whether an order may go, and return the decision."""
        answer = await self._request("POST", "/risk/check", order)
        decision = _decision(answer)
        if decision is None:
            _judge(answer)
            raise Away(f"no decision in the answer: {answer.text[:200]}")
        return decision

    async def release(self, account_id: str, order_id: str) -> None:
        """End an order's reservation; one that has ended already is fine."""
        answer = await self._request(
            "DELETE", f"/risk/reservations/{quote(order_id, safe='')}", params={"account_id": account_id}
        )
        if answer.status_code != httpx.codes.NOT_FOUND:
            _judge(answer)

    async def _send(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        _judge(await self._request(method, path, body))

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


def _decision(answer: httpx.Response) -> dict[str, Any] | None:
    """Return the decision that an answer carries: one that is 503 carries a block."""
    if answer.status_code not in (httpx.codes.OK, httpx.codes.SERVICE_UNAVAILABLE):
        return None
    try:
        content = answer.json()
    except ValueError:
        return None
    return content if isinstance(content, dict) and "approved" in content else None


def _judge(answer: httpx.Response) -> None:
    """Raise what an answer that is no success means."""
    if answer.is_success:
        return
    said = f"{answer.status_code}: {answer.text[:200]}"
    if answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise Away(said)
    raise Refused(said)
