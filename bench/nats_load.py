"""Load over NATS, on one connection, in a process of its own:

    python -m bench.nats_load closed URL IN_FLIGHT ACCOUNTS SECONDS TAG     (the API key on standard input)
    python -m bench.nats_load open   URL RATE SECONDS

`closed` keeps so many requests under way, as wrk does with connections; `open` sends at a constant rate, each timed
from when it was due, as `bench.open_loop` does. Both look into every answer.
"""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from bench import world
from bench.nats_line import Line
from bench.open_loop import DRAIN_S, Latencies, percentile_us


class Closed(Struct, frozen=True, kw_only=True):
    """What a closed-loop run found: answers within its time, latencies in microseconds, and what was no approval."""

    requests: int
    duration_us: int
    p50_us: int
    p99_us: int
    p999_us: int
    wrong: int
    example: str = ""


class _Tally:
    """The requests that are under way, and how those that are answered went."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.since: dict[int, float] = {}
        self.took: list[float] = []
        self.wrong = 0
        self.example = ""

    def read(self) -> Iterator[int]:
        """Read what is there, and yield the number of each answer."""
        for number, status, body in self.line.receive():
            self.took.append(time.perf_counter() - self.since.pop(number))
            if status != 200 or b'"approved":true' not in body:
                self.wrong += 1
                self.example = self.example or f"{status} {body[:300].decode(errors='replace')}"
            yield number


def _body(order_id: str, account: int, accounts: tuple[str, ...], number: int) -> bytes:
    return msgspec.json.encode(world.order(order_id, accounts[account], number))


def closed(url: str, key: str, in_flight: int, accounts: int, seconds: float, tag: str) -> Closed:
    """Keep `in_flight` requests under way for so many seconds; those under way at the end are waited for."""
    line, names = Line(url, key), world.account_ids(accounts)
    tally = _Tally(line)
    sent = 0

    def more(count: int) -> None:
        nonlocal sent
        requests = []
        for number in range(sent, sent + count):
            requests.append((number, _body(f"{tag}-{number}", number % accounts, names, number // accounts)))
        now = time.perf_counter()
        tally.since.update((number, now) for number, _ in requests)
        sent += count
        line.send(requests)

    started = time.perf_counter()
    ends, last = started + seconds, started + seconds + DRAIN_S
    more(in_flight)
    counted, ended = 0, 0.0
    while tally.since and time.perf_counter() < last:
        ready, _, _ = select.select((line,), (), (), 1.0)
        answered = len(list(tally.read())) if ready else 0
        now = time.perf_counter()
        if now < ends:
            counted, ended = len(tally.took), now
            more(answered)
    took = sorted(tally.took)
    return Closed(
        requests=sent,
        duration_us=round((ended - started) * sent / max(1, counted) * 1e6),
        p50_us=percentile_us(took, 0.5),
        p99_us=percentile_us(took, 0.99),
        p999_us=percentile_us(took, 0.999),
        wrong=tally.wrong + len(tally.since),
        example=tally.example or ("" if not tally.since else f"{len(tally.since)} were not answered"),
    )


def opened(url: str, key: str, rate: float, seconds: float) -> Latencies:
    """Send at a constant rate, and return what was found when all is answered, or nobody waits any longer."""
    line, names, total = Line(url, key), world.account_ids(), int(rate * seconds)
    tag = f"open-{time.time_ns():x}"
    bodies = [_body(f"{tag}-{each}", each % len(names), names, each // len(names)) for each in range(total)]
    tally, late = _Tally(line), list[float]()
    started = time.perf_counter() + 0.05
    sent = 0
    while len(tally.took) < total:
        now = time.perf_counter()
        if now > started + seconds + DRAIN_S:
            break
        while sent < total and (due := started + sent / rate) <= now:
            tally.since[sent] = due
            line.send([(sent, bodies[sent])])
            now = time.perf_counter()
            late.append(now - due)
            sent += 1
        pause = started + sent / rate - time.perf_counter() if sent < total else 0.1
        ready, _, _ = select.select((line,), (), (), max(0.0, pause))
        if ready:
            list(tally.read())
    now = time.perf_counter()
    took = sorted(tally.took + [now - due for due in tally.since.values()])
    return Latencies(
        answered=len(tally.took),
        unanswered=len(tally.since),
        approved=len(tally.took) - tally.wrong,
        seconds=now - started,
        p50_us=percentile_us(took, 0.5),
        p99_us=percentile_us(took, 0.99),
        p999_us=percentile_us(took, 0.999),
        longest_us=percentile_us(took, 1.0),
        sent_late_p99_us=percentile_us(sorted(late), 0.99),
        queued=0,
        example=tally.example,
    )


def main() -> None:
    """Run what the arguments say and write the result as JSON."""
    what, url, *rest = sys.argv[1:]
    key = sys.stdin.readline().strip()
    if what == "closed":
        in_flight, accounts, seconds, tag = rest
        result: Closed | Latencies = closed(url, key, int(in_flight), int(accounts), float(seconds), tag)
    else:
        rate, seconds = rest
        result = opened(url, key, float(rate), float(seconds))
    sys.stdout.write(msgspec.json.encode(result).decode())


if __name__ == "__main__":
    main()
