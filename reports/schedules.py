"""Schedules: a report each day, week or month, asked for in the name of its owner, with the rights they then have."""

from __future__ import annotations

import logging
from datetime import datetime
from uuid import UUID
from zoneinfo import available_timezones

import msgspec
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from msgspec import Struct

from audit.acting import Acting, NotAllowed
from audit.rights import acting_of
from audit.services import record
from reports import asking, recipients, rights
from reports.errors import NoSuchReport, NotTheirReport, ReportError
from reports.making import ACTOR
from reports.models import Cadence, Schedule, State
from reports.rhythm import Rhythm
from reports.services import Wanted, admit, text_of, write
from reports.table import Asked, Dataset

logger = logging.getLogger(__name__)

# So many may somebody have.
MOST_SCHEDULES = 20

# So many periods that were missed are made up for in one run; the next goes on.
_MOST_AT_ONCE = 31


class Planned(Struct, frozen=True, kw_only=True):
    """A report that somebody wants again and again. What it is about has no period: that follows from the rhythm."""

    wanted: Wanted
    rhythm: Rhythm
    recipients: tuple[str, ...] = ()


@transaction.atomic
def do_add_schedule(*, acting: Acting, planned: Planned) -> Schedule:
    """Have a report asked for by the clock from now on, and return its schedule.

    Only a person can: a machine's key has nobody whose rights could end. Raises NotAllowed (NotTheirAccount),
    NoSuchReport, ReportError where somebody has too many, and ValidationError by field.
    """
    owner = User.objects.filter(username=acting.person).first() if acting.person else None
    if owner is None:
        raise ReportError("Only a person can have reports made by the clock.")
    now, wanted, rhythm = timezone.now(), planned.wanted, planned.rhythm
    _check(acting, planned, now)
    if Schedule.objects.filter(owner=owner).count() >= MOST_SCHEDULES:
        raise ReportError(f"You have {MOST_SCHEDULES} schedules: remove one first.")
    schedule = Schedule.objects.create(
        name=wanted.name,
        format=wanted.format,
        filters=asking.kept(wanted.asked),
        cadence=rhythm.cadence,
        day=rhythm.day,
        minute=rhythm.minute,
        zone=rhythm.zone,
        recipients=list(planned.recipients),
        owner=owner,
        owner_name=owner.get_username(),
        created_at=now,
        next_at=rhythm.next_after(now),
    )
    _note(acting.name, "add", schedule, "Wanted by the clock", None, _evidence(schedule))
    return schedule


@transaction.atomic
def do_switch_schedule(*, acting: Acting, schedule_id: UUID, enabled: bool) -> Schedule:
    """Have a schedule rest, or go on from now: what it missed meanwhile is not made up for. Raises as removing does."""
    schedule = _own(acting, schedule_id)
    before = _evidence(schedule)
    if enabled and not schedule.enabled:
        schedule.next_at, schedule.problem = rhythm_of(schedule).next_after(timezone.now()), ""
    schedule.enabled = enabled
    schedule.save(update_fields=("enabled", "next_at", "problem"))
    _note(acting.name, "switch", schedule, "Goes on" if enabled else "Rests", before, _evidence(schedule))
    return schedule


@transaction.atomic
def do_remove_schedule(*, acting: Acting, schedule_id: UUID) -> None:
    """Remove a schedule; its reports stay. Raises NoSuchReport, and NotAllowed where it is another's."""
    schedule = _own(acting, schedule_id)
    _note(acting.name, "remove", schedule, "Not wanted any more", _evidence(schedule), None)
    schedule.delete()


def of_those(acting: Acting) -> QuerySet[Schedule]:
    """Return the schedules that somebody may see: their own, and those of others with the audit log."""
    rows = Schedule.objects.select_related("owner").filter(name__in=[each.name for each in rights.datasets_for(acting)])
    sees_all = acting.may(rights.SEE_ALL) and not acting.accounts
    return rows if sees_all else rows.filter(owner__username=acting.person)


def rhythm_of(schedule: Schedule) -> Rhythm:
    """Return when a schedule is due."""
    return Rhythm(cadence=Cadence(schedule.cadence), day=schedule.day, minute=schedule.minute, zone=schedule.zone)


def run_due(now: datetime) -> int:
    """Ask for the reports that are due, also those missed while nothing ran, and return how many schedules were.

    Each is asked for once, however many processes do this.
    """
    due = list(Schedule.objects.filter(enabled=True, next_at__lte=now).order_by("next_at").values_list("pk", flat=True))
    for key in due:
        for _ in range(_MOST_AT_ONCE):
            if not _run(key, now):
                break
    return len(due)


@transaction.atomic
def _run(key: UUID, now: datetime) -> bool:
    """Ask for the report that a schedule wants, and return whether it wanted one."""
    locked = Schedule.objects.select_for_update(of=("self",), skip_locked=True)
    schedule = locked.select_related("owner").filter(pk=key, enabled=True, next_at__lte=now).first()
    if schedule is None:
        return False
    due = schedule.next_at
    schedule.last_at, schedule.next_at = due, rhythm_of(schedule).next_after(due)
    schedule.problem = _ask(schedule, due)
    schedule.save(update_fields=("last_at", "next_at", "problem"))
    if schedule.problem:
        logger.error("the report that schedule %s wanted for %s was not made: %s", key, due, schedule.problem)
        _note(ACTOR, "miss", schedule, schedule.problem, None, {"due_at": due})
    return True


def _ask(schedule: Schedule, due: datetime) -> str:
    """Ask for the report that is due in the name of the owner; return why it cannot be, empty where it was."""
    if schedule.owner is None or not schedule.owner.is_active:
        return f"{schedule.owner_name} is not with us any more."
    acting = acting_of(schedule.owner)
    try:
        dataset = asking.find_dataset(schedule.name)
        wanted = Wanted(name=schedule.name, format=schedule.format, asked=_asked(schedule, dataset, due))
        admit(acting, wanted)
        write(acting, wanted, 0, State.WAITING, schedule, due)
    except (NotAllowed, ReportError, ValidationError) as error:
        return text_of(error)
    return ""


def _asked(schedule: Schedule, dataset: Dataset, due: datetime) -> Asked:
    asked = asking.read(schedule.filters)
    if dataset.filters.issuperset(asking.PERIOD):
        since, until = rhythm_of(schedule).period_before(due)
        return msgspec.structs.replace(asked, since=since, until=until)
    return msgspec.structs.replace(asked, at=due) if "at" in dataset.filters else asked


def _check(acting: Acting, planned: Planned, now: datetime) -> None:
    """Raise NotAllowed, NoSuchReport or ValidationError where a schedule cannot be as it is planned."""
    wanted, rhythm = planned.wanted, planned.rhythm
    dataset = asking.find_dataset(wanted.name)
    rights.demand(acting, dataset, wanted.asked)
    if asking.MOMENTS & asking.given_filters(wanted.asked).keys():
        raise ValidationError({"since": "The period follows from when the report is due."})
    if rhythm.zone not in available_timezones():
        raise ValidationError({"zone": "There is no such zone, as Europe/Berlin is one."})
    if not 0 <= rhythm.minute < 24 * 60:
        raise ValidationError({"minute": "This is no time of a day."})
    if not 1 <= rhythm.day <= (7 if rhythm.cadence == Cadence.WEEKLY else 31):
        raise ValidationError({"day": "There is no such day."})
    made_now = Schedule(filters=asking.kept(wanted.asked), cadence=rhythm.cadence, day=rhythm.day, zone=rhythm.zone)
    made_now.minute = rhythm.minute
    asking.check(dataset, wanted.format, _asked(made_now, dataset, now), now)
    recipients.check(planned.recipients, dataset, acting.accounts)


def _own(acting: Acting, schedule_id: UUID) -> Schedule:
    schedule = of_those(acting).filter(pk=schedule_id).first()
    if schedule is None:
        raise NoSuchReport(f"There is no schedule {schedule_id}.")
    is_own = schedule.owner is not None and schedule.owner.get_username() == acting.person
    if not (is_own or acting.permissions is None):
        raise NotTheirReport(acting.name)
    return schedule


def _evidence(schedule: Schedule) -> dict[str, object]:
    names = ("name", "format", "filters", "cadence", "day", "minute", "zone", "recipients", "owner_name", "enabled")
    return {name: getattr(schedule, name) for name in names}


def _note(
    actor: str,
    verb: str,
    schedule: Schedule,
    reason: str,
    before: dict[str, object] | None,
    after: dict[str, object] | None,
) -> None:
    record(
        actor=actor,
        action=f"report_schedule.{verb}",
        object_type="report_schedule",
        object_id=schedule.pk,
        object_label=str(schedule),
        reason=reason,
        before=before,
        after=after,
    )
