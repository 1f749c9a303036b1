"""Violations, alerts and what is sent of them, and the circuit breaker's counts and trips."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from decimal import Decimal

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from audit.fields import ExactDecimalField
from audit.models import Sealed
from policies.validation import one_of
from riskcore.book import Operator, PolicyType
from riskcore.decimals import EXACT, tidy
from riskcore.types import TradingState
from violations.fields import OptionalDecimalField
from violations.observations import AlertKey, EpisodeKey

ID_LENGTH = 64
NAME_LENGTH = 200
NOTE_LENGTH = 500

_FINEST = Decimal(1).scaleb(-ExactDecimalField.PLACES)
_LARGEST = Decimal("9" * ExactDecimalField.INTEGER_DIGITS + "." + "9" * ExactDecimalField.PLACES)


def kept(value: Decimal | None) -> Decimal | None:
    """Return a value as a column holds it, None for an infinite one."""
    return None if value is None or not value.is_finite() else fitted(value)


def fitted(value: Decimal) -> Decimal:
    """Return a finite number as a column holds it: at 12 decimals, and at most 20 digits before the point."""
    return tidy(max(_LARGEST.copy_negate(), min(_LARGEST, value)).quantize(_FINEST, context=EXACT))


class Kind(models.TextChoices):
    """What found the limit broken: the monitor, looking at the account, or the check of an order.

    A fault is of no limit that officers have set: a part of the system, or a program beside it, is silent.
    """

    EPISODE = "episode", "seen by the monitor"
    BLOCK = "block", "orders blocked"
    FAULT = "fault", "the system itself"


class Level(models.TextChoices):
    """How urgent an alert is."""

    WARNING = "warning"
    CRITICAL = "critical"
    EMERGENCY = "emergency"


LEVELS = {
    PolicyType.SOFT: Level.WARNING,
    PolicyType.HARD: Level.CRITICAL,
    PolicyType.EMERGENCY: Level.EMERGENCY,
}


class OverRecord(Sealed):
    """A violation or an alert as it was when it was over: `content` is the JSON of its columns (`violations.sealing`).

    `table` is the model of the row, as `violations.violation`.
    """

    table = models.CharField(max_length=40)
    row_id = models.UUIDField()
    over_at = models.DateTimeField()
    content = models.TextField()

    class Meta(Sealed.Meta):
        ordering = ("-over_at", "-id")
        constraints = [models.UniqueConstraint(fields=("table", "row_id"), name="over_record_once")]

    def __str__(self) -> str:
        return f"{self.table} {self.row_id}"


class AlertState(models.TextChoices):
    """Where an alert is in its life."""

    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    SILENCED = "silenced"
    RESOLVED = "resolved"


def _choices(values: Sequence[str]) -> list[tuple[str, str]]:
    return [(each, each) for each in values]


class _OfLimit(models.Model):
    """The limit and what it was broken by, as they were then: names are text, since policies are renamed."""

    policy_id = models.CharField(
        max_length=NAME_LENGTH, blank=True, help_text="Empty: a rule of the check itself, such as the available margin."
    )
    policy_name = models.CharField(max_length=NAME_LENGTH)
    policy_type = models.CharField(max_length=10, choices=_choices([each.value for each in PolicyType]))
    metric = models.CharField(max_length=ID_LENGTH)
    account_id = models.CharField(max_length=ID_LENGTH, blank=True, help_text="Empty: the whole firm.")
    symbol = models.CharField(max_length=ID_LENGTH, blank=True)
    exchange = models.CharField(max_length=ID_LENGTH, blank=True)
    operator = models.CharField(max_length=2, choices=_choices([each.value for each in Operator]))
    threshold = ExactDecimalField()
    value = OptionalDecimalField(
        null=True, help_text="In the metric's unit; empty: not defined, which breaks every limit."
    )
    message = models.TextField()

    class Meta:
        abstract = True
        default_permissions = ("view",)

    @property
    def alert_key(self) -> AlertKey:
        return AlertKey(self.policy_id, self.metric, self.account_id, self.symbol)

    @property
    def where(self) -> str:
        """The account and symbol, for people."""
        return " ".join(each for each in (self.account_id or "firm", self.symbol, self.exchange) if each)


class Violation(_OfLimit):
    """A limit that was broken, from when that was first observed until it held again.

    `value` and `utilisation` (a fraction; empty: beyond measure) are the last that were observed. Of kind block, the
    observations are orders that were not approved because of it, and it ends when there was none for a while.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.EPISODE)
    policy_version = models.PositiveIntegerField(
        null=True, help_text="Empty for blocks: their decisions name the book."
    )
    utilisation = OptionalDecimalField(null=True)
    worst_value = OptionalDecimalField(null=True)
    worst_utilisation = OptionalDecimalField(null=True)
    worst_at = models.DateTimeField()
    opened_at = models.DateTimeField()
    last_at = models.DateTimeField(help_text="When it was last observed.")
    observations = models.PositiveBigIntegerField(default=1)
    closed_at = models.DateTimeField(null=True, help_text="When it was first seen to hold again; empty: it does not.")
    order_id = models.CharField(max_length=ID_LENGTH, blank=True, help_text="Of blocks: the order blocked last.")
    decision_id = models.UUIDField(null=True, help_text="Of blocks: the decision on it.")

    class Meta(_OfLimit.Meta):
        ordering = ("-opened_at", "-id")
        indexes = [
            models.Index(fields=("opened_at", "id"), name="violation_opened"),
            models.Index(fields=("account_id", "opened_at", "id"), name="violation_account"),
            models.Index(fields=("closed_at",), name="violation_closed"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=("kind", "policy_id", "account_id", "symbol", "exchange"),
                condition=Q(closed_at__isnull=True),
                name="violation_open_once",
            ),
            one_of("kind", Kind, "violation_kind_known"),
            one_of("policy_type", PolicyType, "violation_type_known"),
            one_of("operator", Operator, "violation_operator_known"),
            models.CheckConstraint(condition=Q(observations__gte=1), name="violation_observed"),
            models.CheckConstraint(condition=Q(last_at__gte=F("opened_at")), name="violation_last_after_opened"),
            models.CheckConstraint(
                condition=Q(closed_at__isnull=True) | Q(closed_at__gte=F("last_at")), name="violation_closed_after_last"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.policy_name} on {self.where}"

    @property
    def key(self) -> EpisodeKey:
        return EpisodeKey(self.policy_id, self.account_id, self.symbol, self.exchange)

    @property
    def level(self) -> Level:
        return LEVELS[PolicyType(self.policy_type)]


class Alert(_OfLimit):
    """What people are told of violations of one limit by one account in one symbol, and what they did about it.

    `published_at` is when that was last done: again every RISK_ALERT_WINDOW while it fires, and at once when it comes
    back after longer than that. `violation` is the episode that raised it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    level = models.CharField(max_length=10, choices=Level.choices)
    state = models.CharField(max_length=12, choices=AlertState.choices, default=AlertState.FIRING)
    violation = models.ForeignKey(Violation, on_delete=models.SET_NULL, null=True, related_name="alerts")
    raised_at = models.DateTimeField()
    published_at = models.DateTimeField(help_text="When it was last published.")
    times_published = models.PositiveIntegerField(default=1)
    acknowledged_by = models.CharField(max_length=NAME_LENGTH, blank=True)
    acknowledged_at = models.DateTimeField(null=True)
    note = models.CharField(max_length=NOTE_LENGTH, blank=True)
    silenced_by = models.CharField(max_length=NAME_LENGTH, blank=True)
    silenced_at = models.DateTimeField(null=True)
    silenced_until = models.DateTimeField(null=True)
    silence_reason = models.CharField(max_length=NOTE_LENGTH, blank=True)
    resolved_at = models.DateTimeField(null=True, help_text="When the limit held again.")

    class Meta(_OfLimit.Meta):
        permissions = (("handle_alert", "Can acknowledge and silence alerts"),)
        ordering = ("-raised_at", "-id")
        indexes = [
            models.Index(fields=("raised_at", "id"), name="alert_raised"),
            models.Index(fields=("account_id", "raised_at", "id"), name="alert_account"),
            models.Index(fields=("resolved_at",), name="alert_resolved"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=("policy_id", "metric", "account_id", "symbol"),
                condition=Q(resolved_at__isnull=True),
                name="alert_unresolved_once",
            ),
            one_of("level", Level, "alert_level_known"),
            one_of("state", AlertState, "alert_state_known"),
            models.CheckConstraint(
                condition=Q(state=AlertState.RESOLVED, resolved_at__isnull=False)
                | (~Q(state=AlertState.RESOLVED) & Q(resolved_at__isnull=True)),
                name="alert_resolved_when",
            ),
            models.CheckConstraint(
                condition=~Q(state=AlertState.ACKNOWLEDGED)
                | (Q(acknowledged_at__isnull=False) & ~Q(acknowledged_by="")),
                name="alert_acknowledged_by_whom",
            ),
            models.CheckConstraint(
                condition=~Q(state=AlertState.SILENCED) | (Q(silenced_until__isnull=False) & ~Q(silenced_by="")),
                name="alert_silenced_by_whom",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.level}: {self.policy_name} on {self.where}"


class ChannelName(models.TextChoices):
    """A way by which alerts leave."""

    NATS = "nats", "NATS"
    WEBHOOK = "webhook"
    EMAIL = "email", "e-mail"


class Delivery(models.Model):
    """One publication of an alert on one channel: written with the alert, sent afterwards, kept as evidence of it.

    `content` is the JSON of bus.events.AlertRaised, as it was when it was published.
    """

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="deliveries")
    channel = models.CharField(max_length=10, choices=ChannelName.choices)
    content = models.TextField()
    created_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=NAME_LENGTH, blank=True)
    sent_at = models.DateTimeField(null=True)
    given_up_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        ordering = ("id",)
        indexes = [
            models.Index(
                fields=("channel", "attempts", "id"),
                condition=Q(sent_at__isnull=True, given_up_at__isnull=True),
                name="delivery_waiting",
            ),
        ]
        constraints = [
            one_of("channel", ChannelName, "delivery_channel_known"),
            models.CheckConstraint(
                condition=Q(sent_at__isnull=True) | Q(given_up_at__isnull=True), name="delivery_one_end"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel} at {self.created_at:%Y-%m-%d %H:%M:%S} UTC"


class Channel(models.Model):
    """Who sends on a channel, one process at a time: nobody before `free_at`. `failures` in a row make it later."""

    name = models.CharField(max_length=10, primary_key=True, choices=ChannelName.choices)
    free_at = models.DateTimeField(default=timezone.now)
    failures = models.PositiveIntegerField(default=0)

    class Meta:
        default_permissions = ()


class BreakerCount(models.Model):
    """The newest hard violations of an account, which the circuit breaker counts: `hits` in us since 1970."""

    account_id = models.CharField(max_length=ID_LENGTH, primary_key=True)
    hits = models.JSONField(default=list)
    last_at = models.DateTimeField(null=True, db_index=True)

    class Meta:
        default_permissions = ()


class BreakerTrip(models.Model):
    """One trip of the circuit breaker, and the stop that it has led to.

    Written with the violation that tripped it. `engaged_at` empty: the stop is still to be engaged, which nobody else
    tries before `retry_at`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account_id = models.CharField(max_length=ID_LENGTH)
    at = models.DateTimeField()
    violations = models.PositiveIntegerField(help_text="Hard violations within the window.")
    window_s = models.PositiveIntegerField(verbose_name="window (s)")
    scope = models.CharField(max_length=10)
    scope_id = models.CharField(max_length=ID_LENGTH, blank=True)
    state = models.CharField(max_length=10)
    reason = models.TextField()
    retry_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    engaged_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ("view",)
        verbose_name = "circuit breaker trip"
        ordering = ("-at", "-id")
        constraints = [
            models.UniqueConstraint(
                fields=("scope", "scope_id"), condition=Q(engaged_at__isnull=True), name="breaker_trip_pending_once"
            ),
            models.CheckConstraint(
                condition=Q(state__in=[TradingState.HALTED.value, TradingState.REDUCING.value]), name="trip_state"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} at {self.at:%Y-%m-%d %H:%M:%S} UTC"


class BlockedOrder(models.Model):
    """A decision that blocked an order for a limit, not yet recorded as a violation. `inbox` has it written."""

    decision_id = models.UUIDField(primary_key=True)

    class Meta:
        default_permissions = ()


class BlockLock(models.Model):
    """One row, locked by whoever records blocks: one process at a time."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=Q(id=1), name="block_lock_single")]
