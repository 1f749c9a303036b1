"""The pictures of a summary: how often what happened, over time and by what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Min, QuerySet

from reports.datasets.buckets import Buckets, buckets
from reports.table import Chart, ChartKind

# More than these nobody tells apart; the most frequent are shown.
MOST_BARS = 12


def bars(title: str, counted: Iterable[tuple[str, float]], unit: str = "") -> Chart:
    """Return a chart of what was counted, in its order."""
    pairs = list(counted)
    return Chart(
        title=title,
        kind=ChartKind.BARS,
        labels=tuple(label for label, _ in pairs),
        values=tuple(float(number) for _, number in pairs),
        unit=unit,
    )


def most_frequent(rows: QuerySet[Any], field: str, blank: str = "none") -> list[tuple[str, int]]:
    """Return the most frequent values of a column with how often they are there, the most frequent first."""
    counted = rows.order_by().values(field).annotate(number=Count("*")).order_by("-number", field)
    return [(value or blank, number) for value, number in counted.values_list(field, "number")[:MOST_BARS]]


def per_part(title: str, counts: Mapping[datetime, int], parts: Buckets, unit: str = "") -> Chart:
    """Return a chart of counts by the beginning of a part of the period."""
    return Chart(
        title=f"{title} per {parts.unit}",
        kind=ChartKind.BARS,
        labels=parts.labels(),
        values=parts.values(counts),
        unit=unit,
    )


def over_time(title: str, rows: QuerySet[Any], field: str, unit: str = "") -> Chart | None:
    """Return a chart of how many rows there were over time; None where there is none."""
    parts = parts_of(rows, field)
    if parts is None:
        return None
    counted = rows.order_by().annotate(part=parts.of(field)).values("part").annotate(number=Count("*"))
    return per_part(title, dict(counted.values_list("part", "number")), parts, unit)


def parts_of(rows: QuerySet[Any], field: str) -> Buckets | None:
    """Return the parts of the period that rows are in, by a moment of them; None where there is no row."""
    ends = rows.order_by().aggregate(first=Min(field), last=Max(field))
    return None if ends["first"] is None else buckets(ends["first"], ends["last"])
