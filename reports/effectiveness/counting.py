"""What recorded decisions say of each limit and each gate, counted by the database over all of them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Count, Max
from msgspec import Struct

from audit.models import OrderDecision

# An order that was approved with so much of a limit used was nearly stopped by it.
NEAR = Decimal("0.9")


class Span(Struct, frozen=True, kw_only=True):
    """Whose decisions of when are counted: `until` is not included; no accounts: all."""

    since: datetime
    until: datetime
    accounts: frozenset[str]


class Asked(Struct, frozen=True):
    """How often a limit was held against an order, how often one that was approved came near it, and its most use.

    `highest` is a fraction of the limit, None where it was never held against one or was beyond measure each time.
    """

    orders: int = 0
    near: int = 0
    highest: Decimal | None = None


class Broken(Struct, frozen=True):
    """How many orders a limit stopped, and on how many it warned or was overridden; last when.

    `unknown` of all these broke it because its figure had no value: nobody knew, and so it failed.
    """

    stopped: int = 0
    warned: int = 0
    unknown: int = 0
    last_at: datetime | None = None


class Refused(Struct, frozen=True):
    """How many orders were refused for a reason, and when last."""

    orders: int
    last_at: datetime


def asked_of_limits(span: Span) -> dict[str, Asked]:
    """Return how each limit was used by the orders held against it, by its id. What-ifs count nowhere."""
    where, parameters = _where(span)
    near: Decimal | float = NEAR if connection.vendor == "postgresql" else float(NEAR)
    with connection.cursor() as cursor:
        cursor.execute(_USED[connection.vendor].format(where=where), [near, *parameters])
        return {key: Asked(orders, near, _fraction(highest)) for key, orders, near, highest in cursor.fetchall()}


def broken_limits(span: Span) -> dict[str, Broken]:
    """Return what the breaches in recorded answers amount to, by the ids of the limits."""
    where, parameters = _where(span)
    found: dict[str, Broken] = {}
    twice = 2 if connection.vendor == "sqlite" else 1  # it has no LATERAL
    with connection.cursor() as cursor:
        cursor.execute(_BROKEN[connection.vendor].format(where=where, breaks=_BREAKS), parameters * twice)
        for key, stopped, warned, unknown, last_at in cursor.fetchall():
            found[key] = Broken(int(stopped), int(warned), int(unknown), _moment(last_at))
    return found


def refusals(span: Span) -> dict[str, Refused]:
    """Return how many orders were refused, by the reason code."""
    rows = OrderDecision.objects.filter(approved=False, what_if=False, decided_at__gte=span.since)
    rows = rows.filter(decided_at__lt=span.until)
    if span.accounts:
        rows = rows.filter(account_id__in=span.accounts)
    counted = rows.order_by().values_list("reason").annotate(orders=Count("*"), last_at=Max("decided_at"))
    return {reason: Refused(orders, last_at) for reason, orders, last_at in counted}


def decisions(span: Span) -> int:
    """Return how many decisions there were, what-ifs apart."""
    rows = OrderDecision.objects.filter(what_if=False, decided_at__gte=span.since, decided_at__lt=span.until)
    return (rows.filter(account_id__in=span.accounts) if span.accounts else rows).count()


def _fraction(value: Decimal | float | None) -> Decimal | None:
    """Return a utilisation as answers have it, to six decimals."""
    return None if value is None else Decimal(f"{value:.6f}")


def _moment(value: datetime | str) -> datetime:
    """Return a moment as any database gives it."""
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


# --------------------------------------------------------------------------------------------------- SQL
# Which decisions: the same for each statement, its parameters in this order.
def _where(span: Span) -> tuple[str, list[Any]]:
    adapt = connection.ops.adapt_datetimefield_value
    where = "decided_at >= %s AND decided_at < %s AND NOT what_if"
    parameters: list[Any] = [adapt(span.since), adapt(span.until)]
    if span.accounts:
        where += f" AND account_id IN ({', '.join(['%s'] * len(span.accounts))})"
        parameters += sorted(span.accounts)
    return where, parameters


_USED = {
    "postgresql": """
        SELECT used.key, count(*), count(*) FILTER (WHERE approved AND used.value::numeric >= %s),
               max(used.value::numeric)
        FROM audit_orderdecision, jsonb_each_text(answer::jsonb -> 'limit_utilization') used
        WHERE {where} GROUP BY used.key
    """,
    "sqlite": """
        SELECT used.key, count(*), count(*) FILTER (WHERE approved AND CAST(used.value AS REAL) >= %s),
               max(CAST(used.value AS REAL))
        FROM audit_orderdecision, json_each(answer, '$.limit_utilization') used
        WHERE {where} GROUP BY used.key
    """,
}

# Most answers break nothing, which their text tells without being taken apart: it is JSON without blanks.
_BREAKS = """answer NOT LIKE '%%"violations":[],"warnings":[],%%'"""

_BROKEN = {
    "postgresql": """
        SELECT breach ->> 'policy_id', sum(stopped), sum(1 - stopped),
               count(*) FILTER (WHERE breach ->> 'value' IS NULL), max(decided_at)
        FROM (SELECT answer::jsonb AS said, decided_at FROM audit_orderdecision WHERE {where} AND {breaks}) decision,
             LATERAL (
                 SELECT 1 AS stopped, value AS breach FROM jsonb_array_elements(said -> 'violations')
                 UNION ALL SELECT 0, value FROM jsonb_array_elements(said -> 'warnings')
             ) breaches
        WHERE breach ->> 'policy_id' IS NOT NULL GROUP BY 1
    """,
    "sqlite": """
        SELECT json_extract(breach, '$.policy_id') AS policy, sum(stopped), sum(1 - stopped),
               count(*) FILTER (WHERE json_extract(breach, '$.value') IS NULL), max(decided_at)
        FROM (
            SELECT 1 AS stopped, one.value AS breach, decided_at
            FROM audit_orderdecision, json_each(answer, '$.violations') one WHERE {where} AND {breaks}
            UNION ALL
            SELECT 0, one.value, decided_at
            FROM audit_orderdecision, json_each(answer, '$.warnings') one WHERE {where} AND {breaks}
        )
        WHERE policy IS NOT NULL GROUP BY policy
    """,
}
