"""How long an emergency stop takes, called over both HTTP doors in turn while clients of every door check all the time.

Three moments of a call count: before its first byte is sent; when Redis ran the script that wrote the flag, which is
`engaged_at` in the answer; and after the last byte of the answer, when all is on record. Redis goes by the clock of the
machine that it shares with the caller, and so do decisions.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from bench.open_loop import percentile_us
from bench.processes import Process
from bench.world import NotWhatWasAsked, World
from riskcore.calendar import microseconds
from state.store import JOURNAL_START

_PATH = "/risk/emergency-stop"
_TIMEOUT_S = 10.0
# How long each stop, and the trading after it, goes on.
_BETWEEN_S = 0.05
_ENTRIES = 5_000


class Stops(Struct, frozen=True, kw_only=True):
    """Milliseconds from the call until no process could approve any more, and until the call had returned.

    `checks` were decided meanwhile, `stopped` of them between a call's return and the one that lifted the stop: none
    of these was approved.
    """

    stops: int
    in_force_p50_ms: float
    in_force_p99_ms: float
    returned_p50_ms: float
    returned_p99_ms: float
    longest_ms: float
    checks: int
    stopped: int


class Call(Struct, frozen=True, kw_only=True):
    """A stop by the times that matter, in microseconds since the epoch."""

    called_us: int
    in_force_us: int
    returned_us: int
    lifted_us: int


def call(doors: Sequence[Process], world: World, *, stops: int) -> list[Call]:
    """Stop everything and lift it, so often, over the doors in turn. Raises NotWhatWasAsked where that is refused."""
    lines = [HTTPConnection(urlsplit(door.url).netloc, timeout=_TIMEOUT_S) for door in doors]
    try:
        return [_stop(lines[number % len(lines)], world.key, number) for number in range(stops)]
    finally:
        for line in lines:
            line.close()


def _stop(line: HTTPConnection, key: str, number: int) -> Call:
    called_us = _now_us()
    stop = _post(line, key, _PATH, 201, {"reason": f"bench {number}", "triggered_by": "bench"})
    returned_us = _now_us()
    time.sleep(_BETWEEN_S)
    lifted_us = _now_us()
    lift = {"stop_id": stop["stop_id"], "authorized_by": "officer", "reason": "it goes on"}
    _post(line, key, f"{_PATH}/re-enable", 200, lift)
    time.sleep(_BETWEEN_S)
    in_force_us = microseconds(datetime.fromisoformat(stop["engaged_at"]))
    return Call(called_us=called_us, in_force_us=in_force_us, returned_us=returned_us, lifted_us=lifted_us)


def judge(calls: list[Call], world: World) -> Stops:
    """Return what the calls took. Raises NotWhatWasAsked if the journal has an approval made while one was in force."""
    checks = stopped = 0
    for decided_us, approved in _decisions(world):
        checks += 1
        if any(call.returned_us < decided_us < call.lifted_us for call in calls):
            stopped += 1
            if approved:
                raise NotWhatWasAsked(f"an order was approved at {decided_us}, while trading was stopped")
    if not stopped:
        raise NotWhatWasAsked("not one order was decided while trading was stopped")
    in_force = sorted((call.in_force_us - call.called_us) / 1e6 for call in calls)
    returned = sorted((call.returned_us - call.called_us) / 1e6 for call in calls)
    return Stops(
        stops=len(calls),
        in_force_p50_ms=percentile_us(in_force, 0.5) / 1e3,
        in_force_p99_ms=percentile_us(in_force, 0.99) / 1e3,
        returned_p50_ms=percentile_us(returned, 0.5) / 1e3,
        returned_p99_ms=percentile_us(returned, 0.99) / 1e3,
        longest_ms=returned[-1] * 1e3,
        checks=checks,
        stopped=stopped,
    )


def _decisions(world: World) -> Iterator[tuple[int, bool]]:
    """Yield when each decision in the journal was made, and whether it approved."""
    after = JOURNAL_START
    while entries := world.store.read_journal(0, after, _ENTRIES):
        after = entries[-1][0]
        for _, content in entries:
            decision = msgspec.json.decode(content).get("decision")
            if decision is not None:
                yield microseconds(datetime.fromisoformat(decision["timestamp"])), decision["approved"]


def _post(line: HTTPConnection, key: str, path: str, status: int, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    line.request("POST", path, msgspec.json.encode(body), headers)
    answer = line.getresponse()
    content = answer.read()
    if answer.status != status:
        raise NotWhatWasAsked(f"{path}: expected {status}, not {answer.status}: {content[:300]!r}")
    found: dict[str, Any] = msgspec.json.decode(content)
    return found


def _now_us() -> int:
    return time.time_ns() // 1000
