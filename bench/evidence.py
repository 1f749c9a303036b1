"""How long it takes to seal very many decisions, and to check all of them again.

python -m bench.evidence DECISIONS      (on the servers that the environment names)
"""

from __future__ import annotations

import os
import resource
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import django
import msgspec
from msgspec import Struct

from bench.sample import take_sample
from bench.world import NotWhatWasAsked

if TYPE_CHECKING:  # Django is set up when the module runs
    from audit.models import OrderDecision

_A_BATCH = 200  # as the drain takes them from Redis
_KILOBYTE = 1024


class Took(Struct, frozen=True, kw_only=True):
    """One step: of so many rows. `peak_mb` is the most memory that the process had until its end."""

    what: str
    rows: int
    seconds: float
    cpu_s: float
    peak_mb: float


class Evidence(Struct, frozen=True, kw_only=True):
    """What was measured, on decisions with so many bytes of inputs and answer each."""

    row_bytes: int
    steps: list[Took]


def measure(redis_url: str, rows: int) -> Evidence:
    """Seal so many decisions, check them in the database, and in a file. Raises NotWhatWasAsked where one is missed."""
    from audit.check_archive import check_archive
    from audit.verify_batches import verify_batches

    entry = take_sample(redis_url).commit.journal[0]
    steps = [_timed("seal and insert", rows, lambda: _seal(entry, rows))]
    checked = []
    steps.append(_timed("check the database", rows, lambda: checked.append(verify_batches())))
    if not checked[0].intact or checked[0].rows < rows:
        raise NotWhatWasAsked(f"of {rows:,} decisions {checked[0]} was found")
    with TemporaryDirectory() as directory:
        path = Path(directory) / "all.evidence.jsonl.gz"
        steps.append(_timed("write them to a file", rows, lambda: _write(path)))
        files = []
        steps.append(_timed("check the file", rows, lambda: files.append(check_archive(path))))
        if not files[0].intact or files[0].rows < rows:
            raise NotWhatWasAsked(f"of {rows:,} decisions {files[0]} was found")
    return Evidence(row_bytes=len(entry), steps=steps)


def _timed(what: str, rows: int, do: Callable[[], object]) -> Took:
    started, cpu = time.perf_counter(), time.process_time()
    do()
    return Took(
        what=what,
        rows=rows,
        seconds=time.perf_counter() - started,
        cpu_s=time.process_time() - cpu,
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KILOBYTE,
    )


def _seal(entry: bytes, rows: int) -> None:
    from django.db import transaction

    from audit.sealing import Sealing

    for first in range(0, rows, _A_BATCH):
        with transaction.atomic():
            sealing = Sealing()
            sealing.add(list(_copies(entry, min(_A_BATCH, rows - first))))
            sealing.close()


def _copies(entry: bytes, count: int) -> Iterator[OrderDecision]:
    """Yield decisions that are all alike but for their ids."""
    from audit.entries import read_row
    from audit.models import OrderDecision

    for _ in range(count):
        row = read_row(entry)
        assert isinstance(row, OrderDecision)
        row.decision_id = uuid.uuid4()
        yield row


def _write(path: Path) -> None:
    from django.utils import timezone

    from audit.archive import write_archive
    from audit.heads import heads

    with path.open("wb") as stream:
        write_archive(stream, made_at=timezone.now(), batches=(1, heads().batches))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "riskportal.settings")
    django.setup()
    sys.stdout.buffer.write(msgspec.json.encode(measure(os.environ["REDIS_URL"], int(sys.argv[1]))))
