"""API keys, as the database keeps them: never the key itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q

from api.grants import Word
from policies.fields import NameListField
from policies.validation import validate_id

MOST_PER_SECOND = 1_000_000


class ApiKey(models.Model):
    """A key for a machine. Rows are never deleted: the audit log names them."""

    id = models.CharField(max_length=16, primary_key=True, editable=False)
    name = models.CharField(
        max_length=64,
        unique=True,
        validators=[validate_id],
        help_text="Who uses it; the audit log calls it key:NAME. A name is used once.",
    )
    digest = models.CharField(max_length=64, editable=False, help_text="SHA-256 of the secret, in hexadecimal.")
    permissions = NameListField(blank=False, help_text=f"Of {', '.join(Word)}, separated by commas.")
    accounts = NameListField(help_text="The accounts it is for, separated by commas; empty: all.")
    holder = models.ForeignKey(
        User,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="api_keys",
        help_text="The person who uses it, and nobody else: it may never do more than they may. Empty: a machine.",
    )
    per_second = models.PositiveIntegerField(
        verbose_name="requests per second",
        null=True,
        blank=True,
        validators=[MaxValueValidator(MOST_PER_SECOND)],
        help_text="In each server process. 0: as often as it likes; empty: what RISK_KEY_RATE says.",
    )
    created_at = models.DateTimeField(editable=False)
    created_by = models.CharField(max_length=200, editable=False)
    rotated_at = models.DateTimeField(null=True, editable=False, help_text="When it was last given a new secret.")
    expires_at = models.DateTimeField(null=True, blank=True, help_text="UTC; empty: it does not expire.")
    revoked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        default_permissions = ("view",)
        permissions = (
            ("manage_keys", "Can make API keys, give them a new secret and revoke them"),
            ("check_orders", "Can ask whether orders may go, and take leases"),
            ("report_state", "Can report accounts' states and prices"),
        )
        verbose_name = "API key"
        ordering = ("-created_at", "id")
        constraints = [
            models.CheckConstraint(
                condition=Q(per_second__isnull=True) | Q(per_second__lte=MOST_PER_SECOND), name="api_key_rate_range"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Check the permissions. Raises ValidationError by field."""
        unknown = sorted(set(self.permissions or ()) - set(Word))
        if unknown:
            raise ValidationError(
                {"permissions": f"There is no permission {', '.join(unknown)}; there are {', '.join(Word)}."}
            )

    def status(self, now: datetime) -> str:
        """Return `active`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if kwargs.pop("by_service", False):
            super().save(*args, **kwargs)
            return
        raise TypeError("API keys are written by api.keys, which audits and publishes them")


class KeyLock(models.Model):
    """One row, locked by whoever publishes the keys: what was read last is also what was written last."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=Q(id=1), name="api_key_lock_single")]


class KeyUse(models.Model):
    """How often a key was used in an hour, by api.key_use_records alone, until that is put on record.

    Requests with it that were let in, those with another secret or after its end, and those that came too often.
    """

    key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, related_name="uses")
    hour = models.DateTimeField(help_text="When it began.")
    admitted = models.PositiveBigIntegerField(default=0)
    refused = models.PositiveBigIntegerField(default=0)
    limited = models.PositiveBigIntegerField(default=0)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=("key", "hour"), name="api_key_use_once_an_hour")]

    def __str__(self) -> str:
        return f"{self.key_id} in the hour from {self.hour:%Y-%m-%d %H:%M}"
