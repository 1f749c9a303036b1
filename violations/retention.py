"""How long violations and alerts are kept once they are over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from audit.services import record
from violations.models import Alert, BreakerCount, Violation
from violations.sealing import TRIMMED, seal_what_is_over

# Rows of one transaction.
_TOGETHER = 10_000

# A count says nothing any more once its newest violation is out of every window that may be set.
_COUNTS_KEPT = timedelta(days=2)


@dataclass(frozen=True, kw_only=True)
class Trimmed:
    """How many rows were removed; `alerts` with their deliveries."""

    violations: int = 0
    alerts: int = 0


def trim(now: datetime, *, days: int) -> Trimmed:
    """Remove alerts resolved and violations closed more than so many days before `now`; 0 keeps them for ever.

    What is still open, and an alert that is still silenced, stays.
    """
    BreakerCount.objects.filter(last_at__lt=now - _COUNTS_KEPT).delete()
    if not days:
        return Trimmed()
    before = now - timedelta(days=days)
    seal_what_is_over(now)
    alerts = Alert.objects.filter(resolved_at__lt=before).exclude(silenced_until__gt=now)
    violations = Violation.objects.filter(closed_at__lt=before)
    if not (alerts.exists() or violations.exists()):
        return Trimmed()
    _say(before, days)
    return Trimmed(alerts=_remove(alerts), violations=_remove(violations))


@transaction.atomic
def _say(before: datetime, days: int) -> None:
    """Write down that what is missing from before a moment was removed by us."""
    record(
        actor="configuration",
        action=TRIMMED,
        object_type="violation",
        object_id="",
        object_label=f"Violations and alerts that were over before {before:%Y-%m-%d %H:%M:%S} UTC",
        reason=f"RISK_VIOLATION_HISTORY_DAYS is {days}",
        after={"before": before},
    )


def _remove(rows: QuerySet[Any]) -> int:
    """Remove rows, some at a time, and return how many."""
    removed = 0
    while keys := list(rows.order_by().values_list("pk", flat=True)[:_TOGETHER]):
        rows.model._default_manager.filter(pk__in=keys).delete()
        removed += len(keys)
    return removed
