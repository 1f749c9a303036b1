"""Stops that were given up with something left: people are told, since nobody else will do the rest."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.conf import settings

from emergency.models import EmergencyStop
from emergency.words import Status
from riskcore.book import PolicyType
from riskcore.ports import StopScope
from violations.faults import fault, tell_faults
from violations.observations import Observation

PART = "system.stop"

# Accounts that an alert names.
_NAMED = 5


def look_at_stops(now: datetime) -> None:
    """Tell of every stop in force that was given up before it was completed, and when that is over.

    Any number of processes may call it at once. Raises Django's database errors.
    """
    rows = EmergencyStop.objects.filter(lifted_at=None, given_up=True).exclude(status=Status.COMPLETED)
    tell_faults(PART, [_unfinished(row, now) for row in rows], now)


def _unfinished(stop: EmergencyStop, now: datetime) -> Observation:
    age_s = Decimal(round((now - stop.engaged_at).total_seconds()))
    allowed_s = Decimal(round(settings.RISK_UNWIND_TIMEOUT.total_seconds()))
    return fault(
        PART,
        str(stop.pk),
        name="Unfinished stop",
        level=PolicyType.EMERGENCY,
        account_id=stop.scope_id if stop.scope == StopScope.ACCOUNT else "",
        metric="unfinished_seconds",
        value=age_s,
        threshold=allowed_s,
        message=f"The stop of {stop.where} is {stop.status} and was given up: {_left(stop)}."
        " Nobody asks the OMS any more; close what is left by hand, or have it asked again.",
        at=now,
    )


def _left(stop: EmergencyStop) -> str:
    """Return what is left, of the first accounts."""
    left = [f"{each['account_id']}: {each['why']}" for each in stop.residuals if each.get("account_id")]
    more = len(left) - _NAMED
    return "; ".join(left[:_NAMED]) + (f"; and {more} more accounts" if more > 0 else "") or "what is left is not known"
