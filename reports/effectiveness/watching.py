"""What the monitor found of each limit, what people were told of it, and what it stopped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, FloatField, Max, Q, Sum
from django.db.models.functions import Cast
from msgspec import Struct

from api.rest.stops import recorded_stops
from emergency.words import Trigger
from reports.effectiveness.counting import Span
from violations.models import Alert, Kind, Violation


class Found(Struct, frozen=True, kw_only=True):
    """Violations of a limit that the monitor found: episodes, and how often it saw them broken in all.

    `unknown` of the episodes had no value last: nobody knew the figure. `highest` is the most use, a fraction of the
    limit; None where all were beyond measure.
    """

    episodes: int
    observations: int
    unknown: int
    highest: Decimal | None
    last_at: datetime


def found_violations(span: Span) -> dict[str, Found]:
    """Return the episodes that stood at some moment of the period, by the id of the limit."""
    rows = Violation.objects.filter(_standing(span), kind=Kind.EPISODE)
    counted = (
        _of(rows, span)
        .order_by()
        .values("policy_id")
        .annotate(
            episodes=Count("*"),
            seen=Sum("observations"),
            unknown=Count("pk", filter=Q(value__isnull=True)),
            # SQLite keeps exact numbers as text, which has another order.
            highest=Max(Cast("worst_utilisation", FloatField())),
            last=Max("last_at"),
        )
    )
    return {each["policy_id"]: _found(each) for each in counted}


def _standing(span: Span) -> Q:
    return Q(opened_at__lt=span.until) & (Q(closed_at__isnull=True) | Q(closed_at__gte=span.since))


def _found(row: Mapping[str, Any]) -> Found:
    highest = row["highest"]
    return Found(
        episodes=row["episodes"],
        observations=row["seen"],
        unknown=row["unknown"],
        highest=None if highest is None else Decimal(f"{highest:.6f}"),
        last_at=row["last"],
    )


def raised_alerts(span: Span) -> dict[str, int]:
    """Return how many alerts were raised in the period, by the id of the limit."""
    rows = _of(Alert.objects.filter(raised_at__gte=span.since, raised_at__lt=span.until), span)
    return dict(rows.order_by().values_list("policy_id").annotate(count=Count("*")))


def stops_by_limits(span: Span) -> dict[str, int]:
    """Return how many stops limits set off in the period, by the name that a limit had then."""
    rows = recorded_stops(span.accounts).filter(
        trigger=Trigger.POLICY, engaged_at__gte=span.since, engaged_at__lt=span.until
    )
    counted = rows.order_by().values_list("triggered_by").annotate(count=Count("*"))
    return {by.removeprefix("policy "): count for by, count in counted}


def _of(rows: Any, span: Span) -> Any:
    return rows.filter(account_id__in=span.accounts) if span.accounts else rows
