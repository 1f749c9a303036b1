"""What violations and alerts have in common: the limit, what broke it, and how long such rows are kept."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from reports.table import Asked, Cell, Column, Figure, Kind
from riskcore.decimals import tidy
from riskcore.metrics import METRICS

LIMIT_FIELDS = ("policy_name", "policy_id", "policy_type", "metric", "operator", "threshold")

LIMIT_COLUMNS = (
    Column(name="policy", label="Limit", width=26),
    Column(name="policy_id", label="Its id", width=36),
    Column(name="policy_type", label="Type", width=10),
    Column(name="metric", label="Metric", width=18),
    Column(name="unit", label="Unit", width=9),
    Column(name="operator", label="Must be", width=6),
    Column(name="threshold", label="Limit's number", kind=Kind.NUMBER),
)

WHERE_FIELDS = ("account_id", "symbol", "exchange")

WHERE_COLUMNS = (
    Column(name="account_id", label="Account"),
    Column(name="symbol", label="Symbol", width=12),
    Column(name="exchange", label="Exchange", width=12),
)


def limit_cells(name: str, policy_id: str, policy_type: str, metric: str, operator: str, threshold: Any) -> list[Cell]:
    """Return the cells of `LIMIT_COLUMNS`."""
    known = METRICS.get(metric)
    unit = None if known is None else known.unit.value
    return [name, policy_id or None, policy_type, metric, unit, operator, tidy(threshold)]


def number(value: Any) -> Cell:
    """Return a number without the zeros of its column; it may be empty."""
    return None if value is None else tidy(value)


def begun_before(rows: QuerySet[Any], asked: Asked, begun: str) -> tuple[Figure, ...]:
    """Return how many rows are older than the period that they stood in, where there is a beginning of it."""
    if asked.since is None:
        return ()
    return (Figure("Begun before the period", f"{rows.filter(**{f'{begun}__lt': asked.since}).count():,}"),)


def notes_on_keeping(what: str) -> tuple[str, ...]:
    """Return what a reader must know of rows that are not kept for ever."""
    days = settings.RISK_VIOLATION_HISTORY_DAYS
    return (f"{what} that ended more than {days} days ago are not kept, and not told of.",) if days else ()
