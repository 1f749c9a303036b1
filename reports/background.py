"""Has the reports made that wait: one at a time, each by a process of its own, so that nothing else waits for it.

Making a large one is a minute of arithmetic: within a worker it would hold up the look at every account each second.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import transaction

from reports import files
from reports.making import fail
from reports.models import UNFINISHED, Report, State

logger = logging.getLogger(__name__)

# So often a report is begun whose processes end.
MOST_ATTEMPTS = 3

_LOST = "The processes that made it have ended every time: ask for it again."

Begin = Callable[[UUID, int], None]

# Those that this process has started, so that what is left of them is taken away.
_children: list[subprocess.Popen[bytes]] = []


def spawn(report_id: UUID, attempt: int) -> None:
    """Start a process that makes a report, and do not wait for it."""
    # It writes no metrics: what each process leaves of them is kept as long as the installation runs.
    env = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    command = [sys.executable, "-m", "django", "make_report", str(report_id), str(attempt)]
    _children.append(subprocess.Popen(command, cwd=settings.BASE_DIR, env=env, stdin=subprocess.DEVNULL))


def run_next(now: datetime, begin: Begin = spawn) -> bool:
    """Begin the report that has waited longest, unless one is being made; return whether there was one."""
    _children[:] = [child for child in _children if child.poll() is None]
    report = _take_next(now)
    if report is None:
        return False
    begin(report.pk, report.attempt)
    return True


@transaction.atomic
def _take_next(now: datetime) -> Report | None:
    unfinished = list(Report.objects.select_for_update(of=("self",)).filter(state__in=UNFINISHED).order_by("id"))
    for report in unfinished:
        if report.is_lost(now):
            _give_back(report, now)
    if any(report.state == State.RUNNING for report in unfinished):
        return None
    waiting = next((report for report in unfinished if report.state == State.WAITING), None)
    if waiting is not None:
        waiting.attempt += 1
        mine = Report.objects.filter(pk=waiting.pk)
        mine.update(state=State.RUNNING, attempt=waiting.attempt, done=0, alive_at=now)
    return waiting


def _give_back(report: Report, now: datetime) -> None:
    """Have a report that was lost wait again, unless it was lost too often."""
    logger.warning("nothing was heard of report %s for too long (attempt %d)", report.pk, report.attempt)
    if report.attempt >= MOST_ATTEMPTS:
        fail(report, _LOST, now)
        report.state = State.FAILED
        return
    Report.objects.filter(pk=report.pk).update(state=State.WAITING)
    report.state = State.WAITING


def expire(now: datetime) -> int:
    """Remove the files of reports that are over their time, and what killed processes left; return how many."""
    gone = 0
    for report in Report.objects.filter(state=State.DONE, expires_at__lte=now).iterator():
        files.remove(report.stored_as)
        Report.objects.filter(pk=report.pk).update(state=State.EXPIRED, stored_as="")
        gone += 1
    return gone + files.sweep()
