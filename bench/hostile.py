"""What a hostile client does to a door and to the others there: bodies that must be refused, one after the other."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from statistics import median

import msgspec
from msgspec import Struct

from bench import world
from bench.hostile_bodies import Hostile, hostile_bodies
from bench.open_loop import Latencies, whole_answer
from bench.processes import Process
from bench.world import NotWhatWasAsked, World
from devtools.ports import HOST

# The hostile client's orders are of an account that would pass; the others' are not of this one.
ACCOUNT = world.account_ids()[-1]

_TIMEOUT_S = 10.0
_AT_ONCE = 65_536


class Refusals(Struct, frozen=True, kw_only=True):
    """How a body was refused each time it was sent: the status, and the field or code that the answer names.

    Milliseconds are from the first byte that was sent to the last of the answer.
    """

    name: str
    status: int
    named: str
    times: int
    middle_ms: float
    longest_ms: float


class Others(Struct, frozen=True, kw_only=True):
    """The checks of the other clients, without the hostile one and beside it."""

    alone: Latencies
    beside: Latencies


def refuses_all(server: Process, world_: World) -> None:
    """Send each body once while nobody else asks. Raises NotWhatWasAsked if a byte of the live state changes."""
    world_.reset()
    before = world_.content()
    for body in _bodies():
        _refused(server, world_.key, body)
        after = world_.content()
        changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
        if changed:
            raise NotWhatWasAsked(f"{server.name}: {body.name} has changed {', '.join(changed)}")


def refusals(server: Process, world_: World, *, while_: Callable[[], bool]) -> list[Refusals]:
    """Send all bodies over and over as long as it is said. Raises NotWhatWasAsked where one is not refused."""
    bodies = _bodies()
    took: dict[str, list[float]] = {body.name: [] for body in bodies}
    said: dict[str, tuple[int, str]] = {}
    while while_():
        for body in bodies:
            status, named, seconds = _refused(server, world_.key, body)
            if said.setdefault(body.name, (status, named)) != (status, named):
                raise NotWhatWasAsked(f"{server.name}: {body.name}: {said[body.name]} once, then {status}, {named}")
            took[body.name].append(seconds)
    if not said:
        raise NotWhatWasAsked(f"{server.name}: the other clients had ended before the hostile one began")
    return [_row(name, said[name], seconds) for name, seconds in took.items()]


def _bodies() -> tuple[Hostile, ...]:
    return hostile_bodies(world.order("hostile", ACCOUNT, 0))


def _row(name: str, said: tuple[int, str], took: list[float]) -> Refusals:
    return Refusals(
        name=name,
        status=said[0],
        named=said[1],
        times=len(took),
        middle_ms=median(took) * 1e3,
        longest_ms=max(took) * 1e3,
    )


def _refused(server: Process, key: str, body: Hostile) -> tuple[int, str, float]:
    """Send a body; return the status, the field or else the code that is named, and the seconds that it took."""
    status, content, took = _sent(server.port, _request(key, body))
    wrong = f"{server.name}: {body.name}: {status}: {content[:300].decode(errors='replace')}"
    if not 400 <= status < 500:
        raise NotWhatWasAsked(f"not refused: {wrong}")
    problem = msgspec.json.decode(content)
    # `price[0][0]` is in the price.
    if not any(error["field"].startswith(body.field) for error in problem.get("errors", ())) and body.field:
        raise NotWhatWasAsked(f"{body.field} is not named: {wrong}")
    return status, body.field or problem["code"], took


def _request(key: str, body: Hostile) -> bytes:
    head = (
        f"POST {body.path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {key}\r\n"
        "Content-Type: application/json\r\n"
    ).encode()
    if not body.chunked:
        return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body.body), body.body)
    parts = (body.body[at : at + _AT_ONCE] for at in range(0, len(body.body), _AT_ONCE))
    return b"%bTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % (head, _chunks(parts))


def _chunks(parts: Iterable[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


def _sent(port: int, request: bytes) -> tuple[int, bytes, float]:
    """Send all of a request on a connection of its own, also when it is answered before its end.

    Returns the status, the body and the seconds until the answer was whole. Raises NotWhatWasAsked without one.
    """
    left, received, took = memoryview(request), b"", 0.0
    answer: tuple[int, bytes] | None = None
    with socket.create_connection((HOST, port), _TIMEOUT_S) as line:
        line.setblocking(False)
        started = time.perf_counter()
        while answer is None or left:
            readable, writable, _ = select.select([line], [line] if left else [], [], _TIMEOUT_S)
            if not readable and not writable:
                break
            if readable:
                data = _there(line)
                if not data:
                    break
                if answer is None:
                    received += data
                    answer = whole_answer(received)
                    took = time.perf_counter() - started
            if writable:
                with suppress(ConnectionError):  # hung up on, but the answer may be there
                    left = left[line.send(left[:_AT_ONCE]) :]
    if answer is None:
        raise NotWhatWasAsked(f"no answer to {request[:200]!r}...: {received[:300]!r}")
    return *answer, took


def _there(line: socket.socket) -> bytes:
    """Return what has come, empty at the end of the connection."""
    try:
        return line.recv(_AT_ONCE)
    except ConnectionError:
        return b""
