"""The record of stops: each with its timeline and the accounts as they were, and how well all that is kept."""

from __future__ import annotations

from typing import Any, NoReturn

from django.db import models
from django.db.models import Q

from audit.append_only import AppendOnlyError, AppendOnlyManager
from audit.models import Sealed
from emergency.words import Status, Trigger
from policies.validation import one_of
from riskcore.ports import StopScope
from riskcore.types import TradingState

ENGAGE_STOP = "emergency.engage_stop"
LIFT_STOP = "emergency.lift_stop"

STOPPING = (TradingState.REDUCING, TradingState.HALTED)


class EmergencyStop(models.Model):
    """One stop, from its call until somebody lifts it. Orders are blocked by the flag in the live state, not by this.

    `status` and `residuals` tell of what was asked of the OMS. Written by `emergency.records` and
    `emergency.services` alone.
    """

    is_kept = True  # the database deletes none (audit.protection)

    id = models.UUIDField(primary_key=True, editable=False)
    scope = models.CharField(max_length=16, choices=[(each.value, each.value) for each in StopScope])
    scope_id = models.CharField(max_length=64, blank=True, help_text="Empty for global scope.")
    state = models.CharField(max_length=16, choices=[(each.value, each.value) for each in STOPPING])
    reason = models.TextField()
    triggered_by = models.CharField(max_length=200, help_text="The person, policy or part that asked for it.")
    trigger = models.CharField(max_length=16, choices=[(each.value, each.value) for each in Trigger])
    unwind = models.BooleanField(default=False, help_text="Positions are closed as well.")
    asked_at = models.DateTimeField(help_text="When it was asked for, on the live state's clock.")
    engaged_at = models.DateTimeField(help_text="When it was in force everywhere, on the live state's clock.")
    in_force_known = models.BooleanField(
        default=False, help_text="No: whoever called it ended too early, and engaged_at is when it was asked for."
    )
    recorded_at = models.DateTimeField(help_text="When this row was written.")
    status = models.CharField(
        max_length=16, default=Status.BLOCKED, choices=[(each.value, each.value) for each in Status]
    )
    residuals = models.JSONField(default=list, blank=True, help_text="What is left that should have been closed.")
    given_up = models.BooleanField(default=False, help_text="The OMS is asked no more for what is left.")
    given_up_at = models.DateTimeField(
        null=True, help_text="When somebody said so, or that it is asked again, on the live state's clock."
    )
    given_up_by = models.CharField(max_length=200, blank=True, help_text="Who said so.")
    given_up_reason = models.TextField(blank=True)
    force_asked_at = models.DateTimeField(null=True, help_text="When somebody asked to lift it in spite of a breach.")
    force_asked_by = models.CharField(max_length=200, blank=True)
    force_reason = models.TextField(blank=True)
    lifted_at = models.DateTimeField(null=True, help_text="Empty: it is in force.")
    lifted_by = models.CharField(max_length=200, blank=True)
    lifted_reason = models.TextField(blank=True)
    forced = models.BooleanField(default=False, help_text="It was lifted although an emergency policy was breached.")
    approved_by = models.CharField(max_length=200, blank=True, help_text="Who approved that.")

    objects = AppendOnlyManager()

    class Meta:
        default_permissions = ("view",)
        permissions = (
            ("engage_stop", "Can stop trading, and have the OMS asked again for what is left"),
            ("lift_stop", "Can re-enable trading, give up what a stop asks of the OMS, and end leases"),
        )
        verbose_name = "emergency stop"
        ordering = ("-engaged_at", "-id")
        indexes = [
            models.Index(fields=("engaged_at", "id"), name="emergency_stop_time"),
            models.Index(fields=("scope", "scope_id"), condition=Q(lifted_at=None), name="emergency_stop_in_force"),
        ]
        constraints = [
            one_of("scope", StopScope, "emergency_stop_scope"),
            one_of("trigger", Trigger, "emergency_stop_trigger"),
            one_of("status", Status, "emergency_stop_status"),
            models.CheckConstraint(
                condition=Q(state__in=[each.value for each in STOPPING]), name="emergency_stop_state"
            ),
            models.CheckConstraint(
                condition=Q(scope="global", scope_id="") | (~Q(scope="global") & ~Q(scope_id="")),
                name="emergency_stop_scope_id",
            ),
            models.CheckConstraint(
                condition=Q(lifted_at=None) | (~Q(lifted_by="") & ~Q(lifted_reason="")), name="emergency_stop_lifted"
            ),
            models.CheckConstraint(
                condition=Q(forced=False, approved_by="") | (Q(forced=True) & ~Q(approved_by="")),
                name="emergency_stop_forced",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.state} {self.where}"

    @property
    def where(self) -> str:
        """Return the scope in words."""
        return f"{self.scope} {self.scope_id}" if self.scope_id else "everywhere"

    @property
    def in_force(self) -> bool:
        """Whether it was not lifted."""
        return self.lifted_at is None

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, for the services of this package. Raises AppendOnlyError otherwise."""
        if not kwargs.pop("by_service", False):
            raise AppendOnlyError("emergency stops are written by emergency.services, which say who and why")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError("an emergency stop is evidence: it is lifted, never deleted")


class StopStep(Sealed):
    """One thing that happened to a stop."""

    id = models.UUIDField(primary_key=True, editable=False)
    stop = models.ForeignKey(EmergencyStop, on_delete=models.PROTECT, related_name="steps")
    at = models.DateTimeField(help_text="On the live state's clock.")
    what = models.CharField(max_length=32)
    detail = models.TextField(blank=True)

    class Meta(Sealed.Meta):
        ordering = ("at", "id")
        indexes = [models.Index(fields=("stop", "at", "id"), name="emergency_step_time")]

    def __str__(self) -> str:
        return f"{self.what}: {self.detail}" if self.detail else self.what


class StopAccount(Sealed):
    """An account in the scope of a stop as it was at that moment: its state to the byte, JSON with exact decimals."""

    stop = models.ForeignKey(EmergencyStop, on_delete=models.PROTECT, related_name="accounts")
    account_id = models.CharField(max_length=64)
    account_version = models.BigIntegerField()
    state = models.TextField(blank=True, help_text="Empty: none was ever reported.")

    class Meta(Sealed.Meta):
        ordering = ("stop", "account_id")
        constraints = [models.UniqueConstraint(fields=("stop", "account_id"), name="emergency_account_once")]

    def __str__(self) -> str:
        return self.account_id


class RecordKeeping(models.Model):
    """One row: whether every stop that there ever was is on record (decision 0014).

    `life` names the life of the notes in the live state. `beat_at` is when the database was last seen to be there;
    `doubt_since` is set where it was not for a while, until every stop in the live state is on record again.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    life = models.CharField(max_length=64, blank=True)
    beat_at = models.DateTimeField(null=True)
    doubt_since = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=Q(id=1), name="emergency_keeping_single")]
