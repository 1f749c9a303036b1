"""Change requests: what is to be changed, who wrote and approved it, and how far it has come."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from django.db import models
from django.db.models import Q

from audit.append_only import AppendOnlyError, AppendOnlyManager
from audit.models import Sealed
from policies.models.book import Book

CHANGE_LIMITS = "policies.change_limits"
APPROVE_LIMITS = "policies.approve_limits"


class State(models.TextChoices):
    """How far a request has come."""

    DRAFT = "draft", "draft"
    SUBMITTED = "submitted", "waits for approval"
    APPROVED = "approved", "ready to publish"
    SCHEDULED = "scheduled", "scheduled"
    PUBLISHED = "published", "published"
    REJECTED = "rejected", "rejected"
    WITHDRAWN = "withdrawn", "withdrawn"


class Step(models.TextChoices):
    """What was done with a request, as its time line has it."""

    DRAFTED = "drafted", "written"
    EDITED = "edited", "edited"
    SUBMITTED = "submitted", "submitted"
    APPROVED = "approved", "approved"
    REJECTED = "rejected", "rejected"
    WITHDRAWN = "withdrawn", "withdrawn"
    SCHEDULED = "scheduled", "scheduled"
    UNSCHEDULED = "unscheduled", "taken off the schedule"
    PUBLISHED = "published", "published"
    RETURNED = "returned", "became a draft again"


class ChangeRequest(models.Model):
    """A set of edits that go live together or not at all. Written by policies.requests.services alone.

    `edits` are `policies.edits.Edit` as JSON. `version` counts how often they were written: an approval is of one
    version. `direction` is how it was judged when it was submitted, empty before. `problem` says why it became a
    draft again.
    """

    is_kept = True  # the database deletes none (audit.protection)

    title = models.CharField(max_length=200)
    reason = models.TextField()
    edits = models.JSONField()
    version = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=10, choices=State.choices, default=State.DRAFT)
    direction = models.CharField(max_length=10, blank=True)
    problem = models.TextField(blank=True)
    author = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    publish_at = models.DateTimeField(null=True, blank=True)
    book = models.OneToOneField(Book, on_delete=models.PROTECT, null=True, blank=True, related_name="change_request")
    reverses = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="reversed_by")

    steps: ClassVar[Any]

    objects = AppendOnlyManager()

    class Meta:
        ordering = ("-id",)
        default_permissions = ("view",)
        permissions = [
            (CHANGE_LIMITS.partition(".")[2], "Can write change requests, and publish those that may be"),
            (APPROVE_LIMITS.partition(".")[2], "Can approve and reject change requests of others"),
        ]
        indexes = [models.Index(fields=("state", "publish_at"), name="change_request_due")]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=State.values), name="change_request_state_known"),
            models.CheckConstraint(
                condition=Q(state=State.PUBLISHED) ^ Q(book__isnull=True), name="change_request_published_has_book"
            ),
            models.CheckConstraint(
                condition=~Q(state=State.SCHEDULED) | Q(publish_at__isnull=False), name="change_request_scheduled_at"
            ),
        ]

    def __str__(self) -> str:
        return f"Request {self.pk}: {self.title}"

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError("a change request is never deleted; withdraw it instead")


class RequestStep(Sealed):
    """One step of a request's way: its approvals and its time line. `version` is the request's at that moment."""

    request = models.ForeignKey(ChangeRequest, on_delete=models.PROTECT, related_name="steps")
    at = models.DateTimeField()
    actor = models.CharField(max_length=200)
    what = models.CharField(max_length=12, choices=Step.choices)
    version = models.PositiveIntegerField()
    note = models.TextField(blank=True)

    class Meta(Sealed.Meta):
        ordering = ("id",)
        indexes = [models.Index(fields=("request", "what", "actor"), name="request_step_who")]

    def __str__(self) -> str:
        return f"{self.get_what_display()} by {self.actor}"
