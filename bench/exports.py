"""How long reports of very many decisions take to make, and how much memory: each as the worker makes it.

python -m bench.exports DECISIONS FEWER      (on the servers that the environment names)
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import django
import msgspec
from msgspec import Struct

from api.ids import new_decision_id
from api.wire import read_order
from bench import world
from bench.machine import ROOT
from bench.world import NotWhatWasAsked
from feeds.books import CompiledBooks
from riskcore.engine import check_steps
from state.driver import run_sync
from state.redis_store import RedisStore

_SEEDS = 1_000  # decisions that are taken for real, of which the others are copies
_TOO_MANY = "20000"  # of an order that breaks the limits on its value
_SINCE, _PERIOD = datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=30)
_KILOBYTE, _MEGABYTE = 1024, 1e6

# Of a copy: an id of its moment as decisions have it (UUIDv7), an order of its own. No report reads the inputs.
_COPY = """
    INSERT INTO audit_orderdecision ({names})
    SELECT {values}
    FROM generate_series(0, %(count)s - 1) AS number
    JOIN (SELECT *, row_number() OVER (ORDER BY decision_id) - 1 AS place FROM audit_orderdecision) AS seed
      ON seed.place = number %% %(seeds)s
    CROSS JOIN LATERAL (SELECT %(since)s::timestamptz + number * %(step)s::interval AS at) AS moment
    CROSS JOIN LATERAL (SELECT md5(number::text) AS random) AS chance
"""
_OF_A_COPY = {
    "decision_id": (
        "(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')"
        " || '7' || substr(random, 1, 3) || '8' || substr(random, 4, 15))::uuid"
    ),
    "order_id": "'order-' || number",
    "decided_at": "at",
    "inputs": "''",
}


class Exported(Struct, frozen=True, kw_only=True):
    """A report, and what it took: of so many rows so many are in its file.

    `peak_mb` is the most memory that its process had, the libraries included.
    """

    what: str
    rows: int
    rows_in_file: int
    file_mb: float
    seconds: float
    cpu_s: float
    peak_mb: float


class Exports(Struct, frozen=True, kw_only=True):
    """What was measured, on so many decisions with so many bytes of an answer each; `checked_s`: the CSV's manifest."""

    decisions: int
    answer_bytes: int
    reports: list[Exported]
    checked_s: float


def measure(store: RedisStore, decisions: int, fewer: int) -> Exports:
    """Record so many decisions, and have reports of all and of fewer of them made."""
    answer_bytes = _record(store, decisions)
    until = _SINCE + _PERIOD * (fewer / decisions)
    everything: list[tuple[str, datetime | None, int]] = [("csv", None, decisions), ("pdf", None, decisions)]
    part = [(suffix, until, fewer) for suffix in ("csv", "jsonl", "xlsx")]
    made = [_make(*each) for each in [*everything, *part]]
    return Exports(
        decisions=decisions,
        answer_bytes=answer_bytes,
        reports=[exported for exported, _ in made],
        checked_s=_check(made[0][1]),
    )


def _record(store: RedisStore, count: int) -> int:
    """Have orders checked and their decisions copied; return how many bytes an answer has on average."""
    from django.db import connection

    from audit.drain import drain
    from audit.models import OrderDecision

    for answered in _checked(store):
        assert answered, "nothing was answered"
    drain(store, batches=1_000_000)
    fields = [str(field.column) for field in OrderDecision._meta.concrete_fields]
    statement = _COPY.format(
        names=", ".join(fields), values=", ".join(_OF_A_COPY.get(name, f"seed.{name}") for name in fields)
    )
    step = _PERIOD / count
    values: dict[str, Any] = {"count": count, "seeds": _SEEDS, "since": _SINCE, "step": step}
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        cursor.execute("VACUUM ANALYZE audit_orderdecision")
        cursor.execute("SELECT count(*), avg(octet_length(answer))::int FROM audit_orderdecision WHERE inputs = ''")
        found = cursor.fetchone()
    assert found is not None
    if found[0] != count:
        raise NotWhatWasAsked(f"{found[0]:,} decisions were recorded, not {count:,}")
    return int(found[1])


def _checked(store: RedisStore) -> Iterator[Any]:
    """Have orders of all accounts checked: a fifth of them break limits, a tenth are what-ifs."""
    books, tag, ids = CompiledBooks(), uuid.uuid4().hex[:8], world.account_ids()
    for number in range(_SEEDS):
        order = world.order(f"{tag}-{number}", ids[number % len(ids)], number)
        if number % 5 == 0:
            order["quantity"] = _TOO_MANY
        if number % 10 == 3:
            order["what_if"] = True
        steps = check_steps((read_order(msgspec.json.encode(order)),), new_id=new_decision_id, known=books.last)
        (answered,) = run_sync(steps, store, books)
        assert answered.approved == bool(number % 5), answered.decision
        yield answered


def _make(suffix: str, until: datetime | None, rows: int) -> tuple[Exported, Any]:
    """Have a report made by a process of its own, and return what it took, and its row."""
    from audit.acting import Acting
    from reports import services
    from reports.models import State
    from reports.table import Asked

    # The seeds were decided today, and are no part of it.
    asked = Asked(until=until or _SINCE + _PERIOD)
    wanted = services.Wanted(name="decisions", format=suffix, asked=asked)
    report = services.write(Acting("bench", None), wanted, rows, State.RUNNING)
    started = time.perf_counter()
    process = os.posix_spawn(
        sys.executable,
        [sys.executable, str(ROOT / "manage.py"), "make_report", str(report.pk), str(report.attempt)],
        os.environ,
    )
    _, _, used = os.wait4(process, 0)
    seconds = time.perf_counter() - started
    report.refresh_from_db()
    if report.state != State.DONE or report.total != rows or report.rows is None or report.bytes is None:
        raise NotWhatWasAsked(f"{suffix}: {report.state}, {report.total:,} of {rows:,} rows: {report.problem}")
    exported = Exported(
        what=suffix,
        rows=rows,
        rows_in_file=report.rows,
        file_mb=report.bytes / _MEGABYTE,
        seconds=seconds,
        cpu_s=used.ru_utime + used.ru_stime,
        peak_mb=used.ru_maxrss * _KILOBYTE / _MEGABYTE,
    )
    return exported, report


def _check(report: Any) -> float:
    """Check the file of a report against its manifest, and return how many seconds that takes."""
    from django.core.files.storage import storages

    from audit.exports import check_file
    from audit.manifest import decode_manifest

    manifest = decode_manifest(report.manifest.encode())
    started = time.perf_counter()
    problems = check_file(Path(storages["reports"].path(report.stored_as)), manifest)
    seconds = time.perf_counter() - started
    if problems:
        raise NotWhatWasAsked(" ".join(problems))
    return seconds


def main() -> None:
    """Measure what the arguments say, and write it as JSON."""
    django.setup()
    decisions, fewer = map(int, sys.argv[1:3])
    store = RedisStore(os.environ["REDIS_URL"], timeout_s=5.0)
    sys.stdout.write(msgspec.json.encode(measure(store, decisions, fewer)).decode())


if __name__ == "__main__":
    main()
