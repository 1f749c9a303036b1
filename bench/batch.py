"""How long a batch of 1,000 orders takes over HTTP, one batch after the other."""

from __future__ import annotations

import time
from http.client import HTTPConnection
from statistics import median
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from bench import world
from bench.processes import Process
from bench.world import NotWhatWasAsked, World

ORDERS = 1000
_TIMEOUT_S = 30.0


class Batches(Struct, frozen=True, kw_only=True):
    """Milliseconds that a batch took, as the client saw it, and as CPU time of the server."""

    accounts: int
    middle_ms: float
    longest_ms: float
    cpu_ms: float


def measure(server: Process, world_: World, *, accounts: int, batches: int) -> Batches:
    """Send so many batches over so many accounts. Raises NotWhatWasAsked where an order was not approved."""
    world_.reset()
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=_TIMEOUT_S)
    took = []
    used = server.used().cpu_s
    try:
        for number in range(batches):
            body = _body(number, accounts)
            started = time.perf_counter()
            connection.request("POST", "/risk/check/batch", body, _headers(world_.key))
            answer = connection.getresponse()
            content = answer.read()
            took.append(time.perf_counter() - started)
            approved = content.count(b'"approved":true')
            if answer.status != 200 or approved != ORDERS:
                raise NotWhatWasAsked(f"{server.name}: {answer.status}, {approved} approved: {content[:300]!r}")
    finally:
        connection.close()
    return Batches(
        accounts=accounts,
        middle_ms=median(took) * 1e3,
        longest_ms=max(took) * 1e3,
        cpu_ms=(server.used().cpu_s - used) / batches * 1e3,
    )


def _body(number: int, accounts: int) -> bytes:
    ids = world.account_ids(accounts)
    orders = [
        world.order(f"batch-{number}-{place}", ids[place % accounts], place // accounts) for place in range(ORDERS)
    ]
    return msgspec.json.encode({"orders": orders})


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
