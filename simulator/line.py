"""What lies between the simulated world and riskportal: what is told, what is asked, and how that may fail."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Protocol

from simulator.amounts import text
from simulator.desks import Statement
from simulator.market import Quote
from simulator.orders import Event

# How long an answer is waited for, in seconds.
TIMEOUT_S = 2.0

# How often an account is reported, in seconds.
STATE_EVERY_S = 1.0


class Away(Exception):
    """riskportal could not be reached, or cannot answer for now; try again later."""


class Refused(Exception):
    """riskportal does not take this, now or later: a wrong key, or a body that it does not understand."""


class Checks(Protocol):
    """Where orders are asked about."""

    async def check(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Ask whether an order may go, and return the decision. Raises Away or Refused."""
        ...


class Line(Protocol):
    """Where riskportal is told what happens. Every method raises Away or Refused.

    `quote_every_s`: how often it takes prices.
    """

    quote_every_s: float

    async def quotes(self, quotes: Sequence[Quote], now_us: int) -> None:
        """Tell prices, the oldest first."""
        ...

    async def state(self, statement: Statement, now_us: int) -> None:
        """Tell an account as it stands, with all that has happened before."""
        ...

    async def events(self, events: Sequence[Event], statement: Statement, now_us: int) -> None:
        """Tell what happened to an account's orders, and how it stands after that. It may be told twice."""
        ...

    async def progress(self, progress: Mapping[str, Any]) -> None:
        """Tell how far an order from riskportal's emergency stop has come, where there is anybody to tell."""
        ...


class Clock:
    """The time in microseconds since the epoch; no two moments are the same.

    Fills and snapshots are told apart by their stamps: a snapshot has in it whatever has an earlier one.
    """

    def __init__(self) -> None:
        self._last_us = 0

    def __call__(self) -> int:
        self._last_us = max(self._last_us + 1, time.time_ns() // 1000)
        return self._last_us


def decision_of(status: int, body: bytes) -> dict[str, Any]:
    """Return the decision that an answer carries: one with 503 carries a block. Raises Away or Refused."""
    content: object = None
    if status in (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE):
        try:
            content = json.loads(body)
        except ValueError:
            content = None
    if isinstance(content, dict) and "approved" in content:
        return content
    judge(status, body)
    raise Away(f"no decision in the answer: {body[:200].decode(errors='replace')}")


def judge(status: int, body: bytes) -> None:
    """Raise what an answer that is no success means."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    said = f"{status}: {body[:200].decode(errors='replace')}"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
        raise Away(said)
    raise Refused(said)


def positions(statement: Statement) -> list[dict[str, str]]:
    """Return the positions as they travel, over HTTP and NATS."""
    return [
        {
            "symbol": held.symbol,
            "quantity": text(held.quantity),
            "entry_price": text(held.entry),
            "mark_price": text(held.mark),
            "margin": text(held.margin),
        }
        for held in statement.positions
    ]
