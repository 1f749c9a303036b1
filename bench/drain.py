"""How fast the journal goes into PostgreSQL.

python -m bench.drain ROWS      (on the servers that the environment names)
python -m bench.drain follow    (every second, until it is ended)
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from typing import NoReturn

import django
import msgspec
from msgspec import Struct

from bench.sample import take_sample
from riskcore.ports import Commit, Committed
from riskportal.precedence import WATCHING, give_way
from state.redis_store import RedisStore

_AT_ONCE = 200


class Drained(Struct, frozen=True):
    """So many decisions in so many seconds, of which so much was CPU time of the draining process."""

    rows: int
    seconds: float
    cpu_s: float

    @property
    def per_second(self) -> float:
        return self.rows / self.seconds


def fill(store: RedisStore, redis_url: str, rows: int) -> None:
    """Journal so many decisions: one real one, each time under another id."""
    sample = take_sample(redis_url)
    entry, decision_id = sample.commit.journal[0], sample.inputs.decision_id.encode()
    reload = sample.load
    for first in range(0, rows, _AT_ONCE):
        entries = tuple(
            entry.replace(decision_id, str(uuid.uuid4()).encode()) for _ in range(min(_AT_ONCE, rows - first))
        )
        written = store.commit(Commit(expect=None, changes=(), journal=entries, reload=reload))
        assert isinstance(written, Committed)


def measure(redis_url: str, rows: int) -> Drained:
    """Fill the journal and drain it as the task does. Raises AssertionError where a row is missing."""
    from audit.drain import drain
    from audit.models import OrderDecision

    store = RedisStore(redis_url, timeout_s=5.0)
    drain(store, batches=1_000_000)
    before = OrderDecision.objects.count()
    fill(store, redis_url, rows)
    waiting = store.journal_length(0)
    started, cpu = time.perf_counter(), time.process_time()
    drain(store, batches=1_000_000)
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    assert OrderDecision.objects.count() - before == waiting, "the drain left rows out"
    return Drained(waiting, seconds, cpu_s)


def follow(redis_url: str) -> NoReturn:
    """Drain every second, as the clock of the tasks does, in a process that gives way to orders as the worker does."""
    from audit.drain import drain

    give_way(WATCHING)
    store = RedisStore(redis_url, timeout_s=5.0)
    while True:
        started = time.monotonic()
        drain(store, steadily=True)
        time.sleep(max(0.0, started + 1.0 - time.monotonic()))


def empty(redis_url: str) -> None:
    """Drain all that there is."""
    from audit.drain import drain

    store = RedisStore(redis_url, timeout_s=5.0)
    while store.journal_length(0):
        drain(store)


def main() -> None:
    """Do what the first argument says; what is measured is written as JSON."""
    django.setup()
    match sys.argv[1]:
        case "follow":
            follow(os.environ["REDIS_URL"])
        case "empty":
            empty(os.environ["REDIS_URL"])
            return
    sys.stdout.write(msgspec.json.encode(measure(os.environ["REDIS_URL"], int(sys.argv[1]))).decode())


if __name__ == "__main__":
    main()
