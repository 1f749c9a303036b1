"""Makes a report that was asked for: from one moment of the database to a file with its manifest."""

from __future__ import annotations

import logging
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from audit.heads import heads
from audit.manifest import Manifest, write_manifest
from audit.services import record
from reports import asking, files
from reports.datasets import DATASETS
from reports.exporters import EXPORTERS
from reports.exporters.form import Head
from reports.manifest import Measured, manifest_of
from reports.models import UNFINISHED, Mail, Report, Schedule, State
from reports.progress import Late, Teller, Unwanted
from reports.snapshot import one_moment

logger = logging.getLogger(__name__)

ACTOR = "riskportal"

# The formats that people read, which may end before the last row.
_EXCERPTS = frozenset({"pdf"})

_STOPPED = "riskportal was stopped while it was being made."


class Incomplete(Exception):
    """What was written is not all that there is."""


def make(report_id: UUID, attempt: int, *, longest_s: float = 0.0) -> None:
    """Make a report whose row says that this attempt is running; where it fails, its row says why.

    Where the process is told to stop, or it takes longer than `longest_s` seconds (0: as long as it does), the report
    waits again.
    """
    report = Report.objects.filter(pk=report_id, attempt=attempt, state=State.RUNNING).first()
    if report is None:
        return
    try:
        with files.unfinished(report) as path:
            _finish(report, path, _write(report, path, longest_s))
    except Unwanted:
        logger.info("report %s is not wanted any more", report_id)
    except Late:
        _mine(report).update(state=State.WAITING)
    except (KeyboardInterrupt, SystemExit):
        _mine(report).update(state=State.WAITING, problem=_STOPPED)
        raise
    except Exception as error:  # whatever it is, whoever waits for it is told
        logger.exception("report %s failed", report_id)
        fail(report, f"It could not be made: {type(error).__name__}: {error}", timezone.now())


def fail(report: Report, problem: str, now: datetime) -> None:
    """Say why there will be no report; one that is over already, or is made by another attempt, stays as it is."""
    ended = Report.objects.filter(pk=report.pk, attempt=report.attempt, state__in=UNFINISHED)
    if ended.update(state=State.FAILED, problem=problem, finished_at=now) and report.schedule_id:
        Schedule.objects.filter(pk=report.schedule_id).update(problem=problem)


def _mine(report: Report) -> Any:
    return Report.objects.filter(pk=report.pk, attempt=report.attempt, state=State.RUNNING)


def _write(report: Report, path: Path, longest_s: float) -> Manifest:
    """Write the file of a report, and return its manifest. Raises Incomplete, Unwanted, Late and what goes wrong."""
    dataset, exporter = DATASETS[report.name], EXPORTERS[report.format]
    asked, accounts = asking.read(report.filters), frozenset(report.accounts)
    with Teller(report, longest_s) as teller, one_moment():
        head = _head(report)
        teller.total = head.rows
        summary = dataset.summary(asked, accounts)
        with path.open("xb") as file:
            os.fchmod(file.fileno(), 0o600)
            measured = Measured(file)
            rows = exporter.write(measured, head, teller.counted(dataset.rows(asked, accounts)), summary)
        if rows != head.rows and not (report.format in _EXCERPTS and rows < head.rows):
            raise Incomplete(f"{rows:,} rows were written of {head.rows:,}")
        return manifest_of(head, report.format, rows, measured)


def _head(report: Report) -> Head:
    """Return what the report says of itself at this moment of the database."""
    dataset = DATASETS[report.name]
    asked, accounts, ends = asking.read(report.filters), frozenset(report.accounts), heads()
    return Head(
        report_id=str(report.pk),
        name=dataset.name,
        title=dataset.title,
        meaning=dataset.meaning,
        filters=asking.in_words(asked, accounts),
        asked_by=report.asked_by,
        made_at=timezone.now(),
        columns=dataset.columns,
        rows=dataset.count(asked, accounts),
        books=dataset.books(asked, accounts),
        events=ends.events,
        events_hash=ends.events_hash,
        batches=ends.batches,
        batches_hash=ends.batches_hash,
    )


def _finish(report: Report, path: Path, manifest: Manifest) -> None:
    """Keep the file and say in the row that it is there. Raises Unwanted where it was cancelled meanwhile."""
    stored_as, now = files.keep(path), timezone.now()
    try:
        with transaction.atomic():
            _mark_done(report, manifest, stored_as, now)
    except BaseException:
        files.remove(stored_as)
        raise


def _mark_done(report: Report, manifest: Manifest, stored_as: str, now: datetime) -> None:
    name = f"{report.name}-{manifest.made_at:%Y%m%dT%H%M%SZ}-{report.pk.hex[-8:]}.{report.format}"
    wanted = _mine(report).update(
        state=State.DONE,
        done=manifest.rows_in_file,
        total=manifest.rows,
        rows=manifest.rows_in_file,
        bytes=manifest.bytes,
        sha256=manifest.sha256,
        manifest=write_manifest(manifest).decode(),
        file_name=name,
        stored_as=stored_as,
        finished_at=now,
        alive_at=now,
        expires_at=now + timedelta(days=settings.RISK_REPORT_DAYS),
        problem="",
    )
    if not wanted:
        raise Unwanted
    if report.schedule is not None and report.schedule.recipients:
        Mail.objects.create(report=report, recipients=report.schedule.recipients, next_at=now)
    record(
        actor=ACTOR,
        action="report.make",
        object_type="report",
        object_id=report.pk,
        object_label=str(report),
        reason=f"Asked for by {report.asked_by}",
        after={"file": name, "rows": manifest.rows, "bytes": manifest.bytes, "sha256": manifest.sha256},
    )
