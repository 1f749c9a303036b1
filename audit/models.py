"""The evidence: the chained log of changes, every decision, and how far the journal has been drained.

And what of people Django has no table for: the accounts that they are for, what roles were given, and whose password
somebody else knows.
"""

from __future__ import annotations

from typing import ClassVar

from django.contrib.auth.models import User
from django.db import models
from django.db.models import F, Q

from audit.append_only import AppendOnly
from audit.canonical import GENESIS
from audit.fields import ExactDecimalField
from riskcore.reasons import Reason
from riskcore.types import OrderType, Side, Verdict
from state.store import JOURNAL_START

HASH_LENGTH = len(GENESIS)


def reason_choices() -> list[tuple[str, str]]:
    """Return every reason code; there will be more."""
    return [(reason.value, reason.value) for reason in Reason]


class AuditEvent(AppendOnly):
    """One change: who, when, why, before and after; its hash covers all of it and the event before it.

    Rows are numbered from 1 without gaps. Written by `audit.services.record` in the change's transaction.
    """

    sequence = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField(db_index=True)
    actor = models.CharField(max_length=200, help_text="Name of the person, API key or process, as it was then.")
    action = models.CharField(max_length=64, help_text="What was done: policy.change, symbol.restrict ...")
    object_type = models.CharField(max_length=64)
    object_id = models.CharField(max_length=128)
    object_label = models.CharField(max_length=200)
    reason = models.TextField()
    before = models.JSONField(null=True, help_text="The object before the change; null: it did not exist.")
    after = models.JSONField(null=True, help_text="The object after the change.")
    previous_hash = models.CharField(max_length=HASH_LENGTH, unique=True)
    hash = models.CharField(max_length=HASH_LENGTH, unique=True)

    class Meta(AppendOnly.Meta):
        ordering = ("-sequence",)
        indexes = [
            models.Index(fields=("object_type", "object_id", "sequence"), name="audit_event_object"),
            models.Index(fields=("actor", "sequence"), name="audit_event_actor"),
        ]
        constraints = [models.CheckConstraint(condition=Q(sequence__gte=1), name="audit_event_sequence")]

    def __str__(self) -> str:
        return f"{self.sequence}: {self.action} {self.object_label} by {self.actor}"


class ChainEnd(models.Model):
    """The end of a chain, one row: its lock is what makes writers queue up, so that the chain never forks."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    sequence = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=HASH_LENGTH, default=GENESIS)

    class Meta:
        abstract = True
        default_permissions = ()


class AuditHead(ChainEnd):
    """The end of the chain of audit events."""

    class Meta(ChainEnd.Meta):
        constraints = [models.CheckConstraint(condition=Q(id=1), name="audit_head_single")]


class EvidenceBatch(AppendOnly):
    """Rows of evidence that were sealed together: their digests, and the hash of that and of the batch before.

    Batches are numbered from 1 without gaps. `content` is the JSON of `audit.sealing.Content`. Written by
    `audit.sealing` in the transaction that adds the rows.
    """

    sequence = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField(db_index=True)
    rows = models.PositiveIntegerField()
    content = models.TextField()
    previous_hash = models.CharField(max_length=HASH_LENGTH, unique=True)
    hash = models.CharField(max_length=HASH_LENGTH, unique=True)

    class Meta(AppendOnly.Meta):
        ordering = ("-sequence",)
        verbose_name_plural = "evidence batches"
        constraints = [models.CheckConstraint(condition=Q(sequence__gte=1), name="evidence_batch_sequence")]

    def __str__(self) -> str:
        return f"batch {self.sequence}"


class EvidenceHead(ChainEnd):
    """The end of the chain of batches."""

    class Meta(ChainEnd.Meta):
        constraints = [models.CheckConstraint(condition=Q(id=1), name="evidence_head_single")]


class Sealed(AppendOnly):
    """A row that is added by `audit.sealing`, and that says in which batch it is sealed.

    `goes_into_archives`: rows that are old may be taken out of the database, into a file (`audit.archive`).
    """

    goes_into_archives: ClassVar[bool] = False

    batch = models.BigIntegerField(db_index=True, editable=False)

    class Meta(AppendOnly.Meta):
        abstract = True


class OrderDecision(Sealed):
    """One decision on one order, as the journal recorded it.

    `inputs` and `answer` are the journal's JSON to the byte, from which the decision can be worked out again;
    the other columns repeat parts of them for filters.
    """

    goes_into_archives = True

    decision_id = models.UUIDField(primary_key=True)
    account_id = models.CharField(max_length=64)
    order_id = models.CharField(max_length=64)
    symbol = models.CharField(max_length=32)
    side = models.CharField(max_length=4, choices=[(side.value, side.value) for side in Side])
    quantity = ExactDecimalField()
    price = ExactDecimalField(help_text="0: an order without a price.")
    order_type = models.CharField(max_length=10, choices=[(kind.value, kind.value) for kind in OrderType])
    strategy_id = models.CharField(max_length=64, blank=True)
    exchange = models.CharField(max_length=64, blank=True)
    verdict = models.CharField(max_length=10, choices=[(verdict.value, verdict.value) for verdict in Verdict])
    approved = models.BooleanField()
    reason = models.CharField(
        max_length=64, blank=True, choices=reason_choices, help_text="Reason code; empty where there is none."
    )
    what_if = models.BooleanField()
    book_version = models.BigIntegerField()
    account_version = models.BigIntegerField()
    decided_at = models.DateTimeField()
    inputs = models.TextField()
    answer = models.TextField()

    class Meta(Sealed.Meta):
        ordering = ("-decided_at", "-decision_id")
        indexes = [
            models.Index(fields=("account_id", "decided_at", "decision_id"), name="audit_decision_account"),
            models.Index(fields=("decided_at", "decision_id"), name="audit_decision_time"),
            models.Index(fields=("symbol", "decided_at"), name="audit_decision_symbol"),
            models.Index(fields=("order_id",), name="audit_decision_order"),
        ]

    def __str__(self) -> str:
        return f"{self.verdict} {self.side} {self.quantity.normalize():f} {self.symbol} for {self.account_id}"


class ReservationEnd(Sealed):
    """A reservation that was ended before its time, by whom and why. It bears its decision's id."""

    goes_into_archives = True

    decision_id = models.UUIDField(primary_key=True)
    account_id = models.CharField(max_length=64)
    order_id = models.CharField(max_length=64)
    actor = models.CharField(max_length=200)
    reason = models.TextField(blank=True)
    ended_at = models.DateTimeField()

    class Meta(Sealed.Meta):
        permissions = (("release_reservation", "Can end reservations before their time"),)
        ordering = ("-ended_at", "-decision_id")
        indexes = [models.Index(fields=("account_id", "ended_at"), name="audit_reservation_account")]

    def __str__(self) -> str:
        return f"{self.order_id} of {self.account_id} by {self.actor}"


class JournalCursor(models.Model):
    """How far a lane's journal is in the database; moved in the transaction that inserts what was read.

    `generation` is the life of the store that `last_id` belongs to: a new one starts its journal afresh.
    """

    lane = models.PositiveIntegerField(primary_key=True)
    generation = models.CharField(max_length=64, blank=True)
    last_id = models.CharField(max_length=64, default=JOURNAL_START)

    class Meta:
        default_permissions = ()


class JournalReject(Sealed):
    """A journal entry that could not be kept as what it should be, with its bytes and the error."""

    goes_into_archives = True

    lane = models.PositiveIntegerField()
    generation = models.CharField(max_length=64)
    entry_id = models.CharField(max_length=64)
    content = models.BinaryField()
    error = models.TextField()
    rejected_at = models.DateTimeField()

    class Meta(Sealed.Meta):
        ordering = ("-rejected_at", "-id")
        constraints = [
            models.UniqueConstraint(fields=("lane", "generation", "entry_id"), name="audit_reject_entry"),
        ]

    def __str__(self) -> str:
        return f"{self.entry_id} of lane {self.lane}: {self.error}"


class EvidenceArchive(Sealed):
    """A file into which old rows of evidence were taken out of the database; their batches stay.

    It has the rows of batches `first` to `through`, and `sha256` is of the whole file.
    """

    name = models.CharField(max_length=200, unique=True)
    first = models.BigIntegerField()
    through = models.BigIntegerField()
    rows = models.PositiveBigIntegerField()
    bytes = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=HASH_LENGTH)
    actor = models.CharField(max_length=200)
    reason = models.TextField()
    at = models.DateTimeField()

    class Meta(Sealed.Meta):
        ordering = ("-through",)
        constraints = [models.CheckConstraint(condition=Q(through__gte=F("first")), name="evidence_archive_order")]

    def __str__(self) -> str:
        return self.name


class AccountGrant(models.Model):
    """An account that a person is for. One who has none is for all accounts."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="account_grants")
    account_id = models.CharField(max_length=64)

    class Meta:
        default_permissions = ()
        ordering = ("account_id",)
        constraints = [models.UniqueConstraint(fields=("user", "account_id"), name="audit_account_grant_once")]

    def __str__(self) -> str:
        return self.account_id


class GivenPassword(models.Model):
    """The password of somebody was set by somebody else, who knows it: they change it when they sign in."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="given_password")
    actor = models.CharField(max_length=200)
    at = models.DateTimeField(auto_now=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"given to {self.user} by {self.actor}"


class RoleGrant(models.Model):
    """A permission that a role was given once, and is not given again: what people take from it stays taken."""

    role = models.CharField(max_length=64)
    permission = models.CharField(max_length=150)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=("role", "permission"), name="audit_role_grant_once")]

    def __str__(self) -> str:
        return f"{self.role}: {self.permission}"
