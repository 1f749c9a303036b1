"""Which recorded decisions a preview is of."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from msgspec import Struct

from audit.models import JournalReject, OrderDecision
from audit.replay import in_chunks

DEFAULT_DECISIONS = 10_000
MOST_DECISIONS = 100_000

_READ = ("decision_id", "decided_at", "inputs", "answer")


class Window(Struct, frozen=True, kw_only=True):
    """The last `most` decisions, of those from `since` to `until` (timezone-aware) where they are given."""

    most: int = DEFAULT_DECISIONS
    since: datetime | None = None
    until: datetime | None = None

    def check(self) -> None:
        """Raise ValidationError, by field, where it can have no decisions, or more than are replayed at once."""
        if not 0 <= self.most <= MOST_DECISIONS:
            raise ValidationError({"most": f"Choose from 0 to {MOST_DECISIONS:,} decisions."})
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValidationError({"until": "This is not after the beginning."})


def count_decisions(window: Window) -> int:
    """Return how many decisions a window has."""
    return _within(window)[: window.most].count() if window.most else 0


def decisions_of(window: Window) -> Iterator[OrderDecision]:
    """Yield the decisions of a window in the order in which they were taken, never holding many of them."""
    if not window.most:
        return
    decisions = _within(window)
    first = decisions.order_by("-decided_at", "-decision_id").values_list("decided_at", "decision_id")
    oldest = next(iter(first[window.most - 1 : window.most]), None)
    if oldest is not None:
        at, decision_id = oldest
        decisions = decisions.filter(Q(decided_at__gt=at) | Q(decided_at=at, decision_id__gte=decision_id))
    yield from in_chunks(decisions.order_by("decided_at", "decision_id").only(*_READ))


def count_rejects(since: datetime | None, until: datetime | None) -> int:
    """Return how many journal entries of a time could not be kept as decisions; None: from the first, to the last."""
    rejects = JournalReject.objects.all()
    if since is not None:
        rejects = rejects.filter(rejected_at__gte=since)
    return rejects.filter(rejected_at__lte=until).count() if until is not None else rejects.count()


def _within(window: Window) -> QuerySet[OrderDecision]:
    decisions = OrderDecision.objects.order_by()
    if window.since is not None:
        decisions = decisions.filter(decided_at__gte=window.since)
    return decisions.filter(decided_at__lte=window.until) if window.until is not None else decisions
