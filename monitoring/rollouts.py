"""Rollouts that regress are paused, and people are told."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.conf import settings

from policies.arms.services import WATCH, watch_rollouts
from policies.models import Policy
from riskcore.book import Mode, PolicyType
from violations.faults import fault, tell_faults
from violations.observations import Observation

PART = "system.rollout"


def look_at_rollouts(now: datetime) -> None:
    """Pause what regresses, and tell of it until somebody has changed the limit again.

    Any number of processes may call it at once. Raises Django's database errors.
    """
    watch_rollouts()
    paused = Policy.objects.filter(enabled=True, mode=Mode.SHADOW.value)
    tell_faults(PART, [_observation(row, now) for row in paused if _paused_by_us(row)], now)


def _paused_by_us(row: Policy) -> bool:
    return bool(row.history.filter(version=row.version).latest().history_user == WATCH)


def _observation(row: Policy, now: datetime) -> Observation:
    tolerated: Decimal = settings.RISK_ROLLOUT_TOLERANCE
    return fault(
        PART,
        str(row.pk),
        name="Paused rollout",
        level=PolicyType.HARD,
        version=row.version,
        metric="blocked_checks",
        value=None,
        threshold=tolerated,
        message=f"{row.name} is in shadow again. {row.history.latest().history_change_reason}",
        at=now,
    )
