"""Scheduled reports that nobody got: people are told, since whoever waits for one may only notice in an audit."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from reports.models import Schedule
from riskcore.book import PolicyType
from violations.faults import fault, tell_faults
from violations.observations import Observation

PART = "system.report"


def look_at_schedules(now: datetime) -> None:
    """Tell of every schedule whose last report was not made or not sent, and when that is over.

    It is over once the next one is asked for, and where the schedule rests or is removed. Any number of processes may
    call it at once. Raises Django's database errors.
    """
    rows = Schedule.objects.filter(enabled=True).exclude(problem="")
    tell_faults(PART, [_missing(row, now) for row in rows], now)


def _missing(schedule: Schedule, now: datetime) -> Observation:
    what = f"{schedule.cadence} report {schedule.name} ({schedule.format}) of {schedule.owner_name}"
    due = "" if schedule.last_at is None else f", due at {schedule.last_at:%Y-%m-%d %H:%M} UTC,"
    return fault(
        PART,
        str(schedule.pk),
        name="Missing report",
        level=PolicyType.SOFT,
        metric="missing_reports",
        value=Decimal(1),
        threshold=Decimal(0),
        message=f"The {what}{due} was not made or not sent: {schedule.problem}",
        at=now,
    )
