"""Reports that were asked for, schedules by which they are asked for, and what of them goes by e-mail."""

from __future__ import annotations

import time
import uuid
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import models
from django.db.models import Q

from state.ids import new_id

# A report of whose making nothing was heard for so long is not being made any more: its process is gone.
SILENCE = timedelta(seconds=30)

NAME_LENGTH = 64
ACTOR_LENGTH = 200


def new_key() -> uuid.UUID:
    """Return the key of a new row; keys sort by the time at which they were made."""
    return uuid.UUID(new_id(time.time_ns() // 1_000))


class State(models.TextChoices):
    """How far a report has come."""

    WAITING = "waiting", "waiting"
    RUNNING = "running", "being made"
    DONE = "done", "done"
    FAILED = "failed", "failed"
    CANCELLED = "cancelled", "cancelled"
    EXPIRED = "expired", "expired"


UNFINISHED = (State.WAITING, State.RUNNING)


class Cadence(models.TextChoices):
    """How often a scheduled report is made: each is about the day, the week or the month before."""

    DAILY = "daily", "every day"
    WEEKLY = "weekly", "every week"
    MONTHLY = "monthly", "every month"


class Schedule(models.Model):
    """A report that is asked for again and again, by its owner and with their rights of that moment.

    `filters` is an `Asked` without a period, which follows from when it is due: at `minute` minutes after midnight on
    the clock of `zone`, each day, on this `day` of the week (1 is Monday) or of the month (where it has none such, on
    its last). `next_at` is when that is next, `last_at` when it last was. `problem` is why the last one was not made or
    not sent.
    """

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    name = models.CharField(max_length=NAME_LENGTH)
    format = models.CharField(max_length=8)
    filters = models.JSONField(default=dict)
    cadence = models.CharField(max_length=8, choices=Cadence.choices)
    day = models.PositiveSmallIntegerField(default=1)
    minute = models.PositiveSmallIntegerField()
    zone = models.CharField(max_length=64)
    recipients = models.JSONField(default=list)
    owner = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="report_schedules")
    owner_name = models.CharField(max_length=ACTOR_LENGTH)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField()
    last_at = models.DateTimeField(null=True)
    next_at = models.DateTimeField()
    problem = models.TextField(blank=True)

    class Meta:
        ordering = ("-created_at", "-id")
        default_permissions = ()
        indexes = [models.Index(fields=("enabled", "next_at"), name="report_schedule_due")]
        constraints = [
            models.CheckConstraint(condition=Q(cadence__in=Cadence.values), name="report_schedule_cadence_known"),
            models.CheckConstraint(condition=Q(minute__lt=24 * 60), name="report_schedule_minute_of_a_day"),
            models.CheckConstraint(condition=Q(day__gte=1, day__lte=31), name="report_schedule_day_of_a_month"),
        ]

    def __str__(self) -> str:
        return f"{self.name} as {self.format} {self.get_cadence_display()}"


class Report(models.Model):
    """One report that somebody asked for, by reports.services alone.

    `filters` is the `Asked` that it is about; `accounts` are those that whoever asked was for (none: all). `done` of
    `total` rows were written, as was last said at `alive_at`, in the attempt of that number: each is made by one
    process, and where that is gone another begins anew. Of one that is done, `stored_as` is its file's name in the
    storage, `manifest` its manifest, and `rows` are in the file. `due_at` is for when a schedule wanted it.
    """

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    name = models.CharField(max_length=NAME_LENGTH)
    format = models.CharField(max_length=8)
    filters = models.JSONField(default=dict)
    accounts = models.JSONField(default=list)
    asked_by = models.CharField(max_length=ACTOR_LENGTH)
    person = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="reports")
    schedule = models.ForeignKey(Schedule, on_delete=models.SET_NULL, null=True, related_name="reports")
    due_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    attempt = models.PositiveSmallIntegerField(default=0)
    done = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField()
    alive_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    file_name = models.CharField(max_length=200, blank=True)
    stored_as = models.CharField(max_length=100, blank=True)
    bytes = models.PositiveBigIntegerField(null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    rows = models.PositiveBigIntegerField(null=True)
    manifest = models.TextField(blank=True)
    problem = models.TextField(blank=True)

    class Meta:
        ordering = ("-created_at", "-id")
        default_permissions = ()
        indexes = [
            models.Index(fields=("created_at", "id"), name="report_time"),
            models.Index(fields=("state", "id"), name="report_state"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=State.values), name="report_state_known"),
            models.CheckConstraint(
                condition=~Q(state=State.DONE)
                | (~Q(sha256="") & ~Q(stored_as="") & ~Q(manifest="") & Q(bytes__isnull=False, rows__isnull=False)),
                name="report_done_is_whole",
            ),
            models.CheckConstraint(condition=~Q(state=State.FAILED) | ~Q(problem=""), name="report_failed_says_why"),
            models.UniqueConstraint(fields=("schedule", "due_at"), name="report_due_once"),
        ]

    def __str__(self) -> str:
        return f"{self.name} as {self.format} for {self.asked_by}"

    @property
    def is_unfinished(self) -> bool:
        """Whether it is still to come."""
        return self.state in UNFINISHED

    def is_lost(self, now: datetime) -> bool:
        """Return whether this attempt will never end: nothing was heard of its process for too long."""
        return self.state == State.RUNNING and now - self.alive_at > SILENCE


class Mail(models.Model):
    """A scheduled report that goes by e-mail once it is made. `next_at` is when it is next tried, until it is taken.

    Whoever tries moves `next_at` on first, so that nobody else does.
    """

    report = models.OneToOneField(Report, on_delete=models.CASCADE, primary_key=True, related_name="mail")
    recipients = models.JSONField(default=list)
    attempts = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    given_up_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=200, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.report_id} to {', '.join(self.recipients)}"
