"""How long a stop takes until it is in force everywhere, while orders are being checked."""

from __future__ import annotations

import time
from collections.abc import Iterable
from http.client import HTTPConnection
from statistics import median
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from bench import world
from bench.processes import Process
from bench.world import NotWhatWasAsked, World
from riskcore.ports import Stop

_STOP = (Stop(id="bench"),)
_TIMEOUT_S = 10.0


class Stops(Struct, frozen=True, kw_only=True):
    """Milliseconds from the call to its return, by which the stop is in force in every process."""

    stops: int
    middle_ms: float
    longest_ms: float


def measure(doors: Iterable[Process], world_: World, *, stops: int) -> Stops:
    """Stop and lift so many times; after each, every door must answer accordingly. Raises NotWhatWasAsked."""
    lines = [(door, HTTPConnection(urlsplit(door.url).netloc, timeout=_TIMEOUT_S)) for door in doors]
    took = []
    try:
        for number in range(stops):
            started = time.perf_counter()
            world_.store.set_stops(_STOP)
            took.append(time.perf_counter() - started)
            for door, line in lines:
                _expect(door, line, world_.key, f"stopped-{number}-{door.port}", "emergency_stop_active")
            world_.store.set_stops(())
            for door, line in lines:
                _expect(door, line, world_.key, f"lifted-{number}-{door.port}", None)
    finally:
        for _, line in lines:
            line.close()
    return Stops(stops=stops, middle_ms=median(took) * 1e3, longest_ms=max(took) * 1e3)


def _expect(door: Process, line: HTTPConnection, key: str, order_id: str, reason: str | None) -> None:
    order = world.order(order_id, world.account_ids()[0], 0)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    line.request("POST", "/risk/check", msgspec.json.encode(order), headers)
    answer = line.getresponse()
    content = answer.read()
    if answer.status != 200 or msgspec.json.decode(content)["reason"] != reason:
        raise NotWhatWasAsked(f"{door.name}: expected {reason}, not {answer.status}: {content[:300]!r}")
