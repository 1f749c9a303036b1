"""Asks for reports, cancels them, and lets people take them away. Each of it is in the audit log."""

from __future__ import annotations

import threading
from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import OperationalError, transaction
from django.utils import timezone
from msgspec import Struct

from audit.acting import Acting, NotAllowed
from audit.services import record
from reports import asking, rights
from reports.errors import NotTheirReport, NotThere, ReportError
from reports.making import make
from reports.models import UNFINISHED, Report, Schedule, State
from reports.snapshot import one_moment
from reports.table import Asked, Dataset

# What is not more than this is made while whoever asks waits, who does so no longer than that: and so many at once in
# this process.
SMALL_ROWS = 2_000
_LONGEST_S = 5
_INLINE = threading.BoundedSemaphore(2)

# So many may somebody have that are still to come.
MOST_UNFINISHED = 20

_NOT_THERE = {
    State.WAITING: "The report is still to be made.",
    State.RUNNING: "The report is being made.",
    State.CANCELLED: "The report was cancelled.",
    State.EXPIRED: "The report was removed for its age: ask for it again.",
}


class Wanted(Struct, frozen=True, kw_only=True):
    """A report that somebody wants: which, as what, about what."""

    name: str
    format: str
    asked: Asked = Asked()


def do_ask_report(*, acting: Acting, wanted: Wanted) -> Report:
    """Ask for a report, and return it: done where it is a small one, or waiting.

    Raises NotAllowed (NotTheirAccount), NoSuchReport, ReportError where somebody has too many that are still to come or
    what it is about cannot be read, and ValidationError by field.
    """
    dataset = admit(acting, wanted)
    if Report.objects.filter(asked_by=acting.name, state__in=UNFINISHED).count() >= MOST_UNFINISHED:
        raise ReportError(f"{MOST_UNFINISHED} reports of yours are still to come: cancel one, or wait.")
    total = _count(dataset, acting, wanted.asked)
    if total is None or total > SMALL_ROWS or not _INLINE.acquire(blocking=False):
        return write(acting, wanted, total or 0, State.WAITING)
    try:
        report = write(acting, wanted, total, State.RUNNING)
        make(report.pk, report.attempt, longest_s=_LONGEST_S)
    finally:
        _INLINE.release()
    report.refresh_from_db()
    return report


def admit(acting: Acting, wanted: Wanted) -> Dataset:
    """Return the report that somebody wants, where they may have it as they want it.

    Raises NotAllowed (NotTheirAccount), NoSuchReport, and ValidationError by field.
    """
    dataset = asking.find_dataset(wanted.name)
    rights.demand(acting, dataset, wanted.asked)
    asking.check(dataset, wanted.format, wanted.asked, timezone.now())
    return dataset


def _count(dataset: Dataset, acting: Acting, asked: Asked) -> int | None:
    """Return how many rows a report would have now; None where counting them takes long. Raises ReportError."""
    try:
        with one_moment(longest_s=_LONGEST_S):
            return dataset.count(asked, acting.accounts)
    except OperationalError:
        return None
    except ValueError as error:  # what is on record cannot be read
        raise ReportError(str(error)) from error


@transaction.atomic
def write(
    acting: Acting,
    wanted: Wanted,
    total: int,
    state: State,
    schedule: Schedule | None = None,
    due_at: datetime | None = None,
) -> Report:
    """Write that somebody asks for a report, which they may have, and return its row."""
    now = timezone.now()
    report = Report.objects.create(
        name=wanted.name,
        format=wanted.format,
        filters=asking.kept(wanted.asked),
        accounts=sorted(acting.accounts),
        asked_by=acting.name,
        person=User.objects.filter(username=acting.person).first() if acting.person else None,
        schedule=schedule,
        due_at=due_at,
        state=state,
        attempt=1 if state == State.RUNNING else 0,
        total=total,
        created_at=now,
        alive_at=now,
    )
    about = {"report": report.name, "format": report.format, "filters": report.filters, "accounts": report.accounts}
    why = "To take it away" if schedule is None else f"Scheduled {schedule.get_cadence_display()}"
    _note(acting, "ask", report, why, after=about)
    return report


@transaction.atomic
def do_cancel_report(*, acting: Acting, report_id: UUID) -> Report:
    """Cancel a report that is still to come, and return it. Only whoever asked for it may, or a superuser.

    Raises NoSuchReport, NotAllowed, and ReportError where it is over already.
    """
    report = rights.find(acting, report_id)
    if not (rights.is_own(acting, report) or acting.permissions is None):
        raise NotTheirReport(acting.name)
    unfinished = Report.objects.filter(pk=report_id, state__in=UNFINISHED)
    if not unfinished.update(state=State.CANCELLED, finished_at=timezone.now()):
        raise ReportError("There is nothing to cancel: the report is over already.")
    _note(acting, "cancel", report, "Not wanted any more")
    report.refresh_from_db()
    return report


@transaction.atomic
def do_take_report(*, acting: Acting, report_id: UUID, what: str) -> Report:
    """Note that somebody takes away `what` of a report (its file, its manifest, both), and return it.

    What they may is asked anew. Raises NoSuchReport, and NotThere where there is none to take away.
    """
    report = rights.find(acting, report_id)
    if report.state != State.DONE:
        raise NotThere(_NOT_THERE.get(State(report.state), report.problem))
    _note(acting, "download", report, "To take it away", after={"what": what, "sha256": report.sha256})
    return report


def _note(acting: Acting, verb: str, report: Report, reason: str, after: dict[str, object] | None = None) -> None:
    record(
        actor=acting.name,
        action=f"report.{verb}",
        object_type="report",
        object_id=report.pk,
        object_label=str(report),
        reason=reason,
        after=after,
    )


def text_of(error: ReportError | NotAllowed | ValidationError) -> str:
    """Return why something was refused, for people."""
    return " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
