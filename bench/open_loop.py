"""Open-loop load: so many checks a second whatever the server does, each timed from when it was due.

    python -m bench.open_loop HOST PORT RATE SECONDS CONNECTIONS ACCOUNTS      (the API key on standard input)

A client that waits for its answer before it asks again stops asking while the server is slow, and so leaves out
of its figures just what it should measure (coordinated omission). Here an order that is due while all connections
wait is late, and its lateness counts. One thread on `select`, whose time-outs are exact to microseconds: those of
an event loop are rounded up to milliseconds, which is a whole order at 1,000 a second.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections import deque

import msgspec
from msgspec import Struct

from bench import world

DRAIN_S = 5.0
_HEAD_END = b"\r\n\r\n"


class Latencies(Struct, frozen=True, kw_only=True):
    """What an open-loop run found, in microseconds from when an order was due; `sent_late_p99_us` is our own part.

    `queued` is how many orders found every connection waiting; `unanswered` ones had no answer five seconds after
    the last was due, and count as having waited until then. `example` is the first answer that was no approval.
    """

    answered: int
    unanswered: int
    approved: int
    seconds: float
    p50_us: int
    p99_us: int
    p999_us: int
    longest_us: int
    sent_late_p99_us: int
    queued: int
    example: str = ""


class _Line:
    """One connection: idle, or waiting for the answer to the order that was due at `due`."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), 5.0)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self._received = b""

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, request: bytes, due: float) -> None:
        self.due = due
        self._received = b""
        self.socket.sendall(request)

    def receive(self) -> tuple[int, bytes] | None:
        """Read what is there and return status and body once the answer is whole."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server hung up")
        self._received += data
        return whole_answer(self._received)


def whole_answer(received: bytes) -> tuple[int, bytes] | None:
    """Return status and body of an HTTP answer, None where it is not whole yet. Raises ValueError without a length."""
    head, found, body = received.partition(_HEAD_END)
    if not found or len(body) < _length(head):
        return None
    return int(head[9:12]), body


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise ValueError(f"an answer without a length: {head!r}")


class Run:
    """One run against a server."""

    def __init__(self, host: str, port: int, key: str, connections: int, accounts: int) -> None:
        self._lines = [_Line(host, port) for _ in range(connections)]
        self._head = (
            f"POST /risk/check HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()
        self._accounts = world.account_ids(accounts)
        self._idle = deque(self._lines)
        self._busy: set[_Line] = set()
        self._waiting: deque[tuple[bytes, float]] = deque()
        self._took: list[float] = []
        self._sent_late: list[float] = []
        self._queued = self._approved = 0
        self._example = ""

    def run(self, rate: float, seconds: float) -> Latencies:
        """Send at a constant rate and return what was found when all is answered, or nobody waits any longer."""
        total = int(rate * seconds)
        requests = [self._request(number) for number in range(total)]
        started = time.perf_counter() + 0.05
        sent = 0
        while len(self._took) < total:
            now = time.perf_counter()
            while sent < total and started + sent / rate <= now:
                self._due(requests[sent], started + sent / rate)
                sent += 1
                now = time.perf_counter()
            if now > started + seconds + DRAIN_S:
                break
            pause = started + sent / rate - now if sent < total else 0.1
            ready, _, _ = select.select(self._busy, (), (), max(0.0, pause))
            for line in ready:
                self._read(line)
        return self._result(time.perf_counter() - started)

    def _request(self, number: int) -> bytes:
        account_id = self._accounts[number % len(self._accounts)]
        order = world.order(f"open-{time.time_ns():x}-{number}", account_id, number // len(self._accounts))
        body = msgspec.json.encode(order)
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)

    def _due(self, request: bytes, due: float) -> None:
        if not self._idle:
            self._queued += 1
            self._waiting.append((request, due))
            return
        self._sent_late.append(time.perf_counter() - due)
        self._send(self._idle.popleft(), request, due)

    def _send(self, line: _Line, request: bytes, due: float) -> None:
        line.send(request, due)
        self._busy.add(line)

    def _read(self, line: _Line) -> None:
        answer = line.receive()
        if answer is None:
            return
        self._took.append(time.perf_counter() - line.due)
        self._busy.discard(line)
        status, body = answer
        if status == 200 and b'"approved":true' in body:
            self._approved += 1
        elif not self._example:
            self._example = f"{status} {body[:300].decode(errors='replace')}"
        if self._waiting:
            self._send(line, *self._waiting.popleft())
        else:
            self._idle.append(line)

    def _result(self, seconds: float) -> Latencies:
        now = time.perf_counter()
        unanswered = [now - line.due for line in self._busy] + [now - due for _, due in self._waiting]
        took = sorted(self._took + unanswered)
        return Latencies(
            answered=len(self._took),
            unanswered=len(unanswered),
            approved=self._approved,
            seconds=seconds,
            p50_us=percentile_us(took, 0.5),
            p99_us=percentile_us(took, 0.99),
            p999_us=percentile_us(took, 0.999),
            longest_us=percentile_us(took, 1.0),
            sent_late_p99_us=percentile_us(sorted(self._sent_late), 0.99),
            queued=self._queued,
            example=self._example,
        )


def percentile_us(ordered: list[float], share: float) -> int:
    """Return a percentile in microseconds of durations in seconds, shortest first."""
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e6)


def main() -> None:
    """Run what the arguments say and write the result as JSON."""
    host, port, rate, seconds, connections, accounts = sys.argv[1:7]
    run = Run(host, int(port), sys.stdin.readline().strip(), int(connections), int(accounts))
    sys.stdout.write(msgspec.json.encode(run.run(float(rate), float(seconds))).decode())


if __name__ == "__main__":
    main()
