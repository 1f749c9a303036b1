"""What a limit's figure was at a moment, as far as anything that is kept says so."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from uuid import UUID

from django.conf import settings
from msgspec import Struct

from audit.models import OrderDecision
from dashboard.deciding import work_out_again
from feeds.models import EquityPoint
from policies.models import Book
from riskcore.decimals import EXACT, shown_ratio
from riskcore.explain import LimitReport

# The latest decisions that are looked at: those that were stopped before their limits were have no figures.
_MOST = 20


class OnOrder(Struct, frozen=True, kw_only=True):
    """The figures of limits in the last decision by a moment: `limits` by the ids of their policies.

    Worked out again from what the decision was taken on; see `riskcore.explain.LimitReport`.
    """

    decision_id: UUID
    order_id: str
    at: datetime
    approved: bool
    limits: Mapping[str, LimitReport]


class Watched(Struct, frozen=True):
    """The figure that was kept for charts last by a moment."""

    at: datetime
    value: Decimal


def on_order(account_id: str, policies: Collection[str], since: datetime, at: datetime) -> OnOrder | None:
    """Return what the last decision since a moment, by another one, says of some limits; None where none does."""
    rows = OrderDecision.objects.filter(account_id=account_id, decided_at__gte=since, decided_at__lte=at)
    for row in rows.order_by("-decided_at", "-decision_id")[:_MOST]:
        book = Book.objects.defer("content").filter(version=row.book_version).first()
        told = work_out_again(row, book).told
        limits = {} if told is None else {each.policy.id: each for each in told.limits if each.policy.id in policies}
        if limits:
            return OnOrder(
                decision_id=row.decision_id,
                order_id=row.order_id,
                at=row.decided_at,
                approved=row.approved,
                limits=limits,
            )
    return None


def watched(account_id: str, metric: str, at: datetime) -> Watched | None:
    """Return the figure of an account that was kept last by a moment; None where none was kept just before it."""
    # A point that came late is still of then; one that is older says nothing of it.
    earliest: timedelta = 2 * settings.RISK_EQUITY_INTERVAL
    points = EquityPoint.objects.filter(account_id=account_id, at__lte=at, at__gt=at - earliest)
    point = points.order_by("-at").first()
    value = None if point is None else _value(point, metric)
    return None if point is None or value is None else Watched(point.at, value)


def _value(point: EquityPoint, metric: str) -> Decimal | None:
    match metric:
        case "gross_exposure":
            return point.gross_exposure
        case "drawdown_daily" | "daily_loss":
            return point.drawdown_daily
        case "var_95":
            return point.var_95
        case "leverage" if point.gross_exposure is not None and point.equity > 0:
            with localcontext(EXACT):
                return shown_ratio(point.gross_exposure / point.equity)
        case _:
            return None
