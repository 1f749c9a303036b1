"""What a change request would change, worked out once for one version of it."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q

from policies.models.change_request import ChangeRequest

# A preview of which nothing was heard for so long is not being worked out any more: its process is gone.
SILENCE = timedelta(seconds=30)


class Progress(models.TextChoices):
    """How far a preview has come."""

    WAITING = "waiting", "waiting"
    RUNNING = "running", "running"
    DONE = "done", "done"
    FAILED = "failed", "failed"
    CANCELLED = "cancelled", "cancelled"


UNFINISHED = (Progress.WAITING, Progress.RUNNING)


class Preview(models.Model):
    """One preview of a change request, by policies.preview.services alone.

    It is of the last `most` decisions, of those between `since` and `until` where they are given. `request_version` is
    the version of the request that it is of, `book_version` the book in force that the proposed one was held against,
    and the hashes are of all that either says. `done` of `total` decisions and accounts were looked at; `alive_at` is
    when that was last said. `result` is `policies.preview.impact.Impact` as JSON, `problem` why there is none.
    """

    request = models.ForeignKey(ChangeRequest, on_delete=models.PROTECT, related_name="previews")
    request_version = models.PositiveIntegerField()
    actor = models.CharField(max_length=200)
    most = models.PositiveIntegerField()
    since = models.DateTimeField(null=True)
    until = models.DateTimeField(null=True)
    state = models.CharField(max_length=10, choices=Progress.choices, default=Progress.WAITING)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    alive_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    book_version = models.PositiveBigIntegerField(null=True)
    book_sha256 = models.CharField(max_length=64, blank=True)
    proposed_sha256 = models.CharField(max_length=64, blank=True)
    result = models.TextField(blank=True)
    problem = models.TextField(blank=True)

    class Meta:
        ordering = ("-id",)
        default_permissions = ()
        constraints = [
            models.CheckConstraint(condition=Q(state__in=Progress.values), name="preview_state_known"),
            models.CheckConstraint(
                condition=~Q(state=Progress.DONE) | (~Q(result="") & Q(book_version__isnull=False)),
                name="preview_done_has_result",
            ),
            models.CheckConstraint(
                condition=~Q(state=Progress.FAILED) | ~Q(problem=""), name="preview_failed_says_why"
            ),
        ]

    def __str__(self) -> str:
        return f"Preview {self.pk} of request {self.request_id}, version {self.request_version}"

    @property
    def is_unfinished(self) -> bool:
        """Whether it is still to come."""
        return self.state in UNFINISHED

    def is_lost(self, now: datetime) -> bool:
        """Return whether it will never come: nothing was heard of its process for too long."""
        return self.state == Progress.RUNNING and now - self.alive_at > SILENCE
