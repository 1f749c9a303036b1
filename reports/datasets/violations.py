"""Every limit that was broken, from when that was first seen until it held again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum

from api.grants import VIEW_VIOLATION
from reports.datasets.drawing import bars, most_frequent, over_time
from reports.datasets.lasting import seconds
from reports.datasets.limits_broken import (
    LIMIT_COLUMNS,
    LIMIT_FIELDS,
    WHERE_COLUMNS,
    WHERE_FIELDS,
    begun_before,
    limit_cells,
    notes_on_keeping,
    number,
)
from reports.datasets.selecting import books_in_force, of_accounts, of_policy, of_symbol, standing
from reports.table import Asked, Column, Dataset, Figure, Kind, Row, Summary
from riskcore.book import PolicyType
from violations.models import Kind as FoundBy
from violations.models import Violation

# Rows that are in memory at once.
_TOGETHER = 2_000

_FIELDS = (
    *("opened_at", "closed_at", "last_at", "id", "kind", "policy_version"),
    *("value", "worst_value", "worst_utilisation", "worst_at", "observations"),
    *("order_id", "decision_id", "message"),
)


class Violations(Dataset):
    """One row an episode."""

    name = "violations"
    title = "Violations"
    meaning = "Every limit that was broken at some moment of the period, from when that was seen until it held again."
    permissions = (VIEW_VIOLATION,)
    filters = frozenset({"since", "until", "account_id", "symbol", "policy"})
    columns = (
        Column(name="opened_at", label="First seen", kind=Kind.MOMENT, width=26),
        Column(name="closed_at", label="Held again", kind=Kind.MOMENT, width=26),
        Column(name="lasted_s", label="Lasted (s)", kind=Kind.NUMBER),
        Column(name="found_by", label="Found by", width=18),
        *LIMIT_COLUMNS,
        Column(name="policy_version", label="Limit's version", kind=Kind.NUMBER, width=8),
        *WHERE_COLUMNS,
        Column(name="worst_value", label="Worst value", kind=Kind.NUMBER),
        Column(name="worst_utilisation", label="Worst utilisation", kind=Kind.NUMBER),
        Column(name="worst_at", label="Worst at", kind=Kind.MOMENT, width=26),
        Column(name="value", label="Last value", kind=Kind.NUMBER),
        Column(name="last_at", label="Last seen", kind=Kind.MOMENT, width=26),
        Column(name="observations", label="Times seen, or orders stopped", kind=Kind.NUMBER, width=9),
        Column(name="order_id", label="Last order stopped", width=24),
        Column(name="decision_id", label="Decision on it", width=36),
        Column(name="message", label="Message", width=60),
        Column(name="violation_id", label="Violation", width=36),
    )

    def count(self, asked: Asked, accounts: frozenset[str]) -> int:
        return _rows(asked, accounts).count()

    def rows(self, asked: Asked, accounts: frozenset[str]) -> Iterator[Row]:
        ordered = _rows(asked, accounts).order_by("opened_at", "id")
        fields = (*_FIELDS, *LIMIT_FIELDS, *WHERE_FIELDS)
        return map(_row, ordered.values(*fields).iterator(chunk_size=_TOGETHER))

    def summary(self, asked: Asked, accounts: frozenset[str]) -> Summary:
        rows = _rows(asked, accounts)
        over = over_time("Limits first seen broken", rows, "opened_at")
        return Summary(
            figures=_figures(rows, asked),
            charts=(
                bars("Violations by limit", most_frequent(rows, "policy_name")),
                bars("Violations by account", most_frequent(rows, "account_id", blank="firm")),
                *(() if over is None else (over,)),
            ),
            notes=notes_on_keeping("Violations"),
        )

    def books(self, asked: Asked, accounts: frozenset[str]) -> tuple[int, int] | None:
        return books_in_force(_rows(asked, accounts), "opened_at", "last_at")


def _rows(asked: Asked, accounts: frozenset[str]) -> QuerySet[Violation]:
    theirs = of_accounts(asked, accounts) & of_symbol(asked) & of_policy(asked)
    return Violation.objects.order_by().filter(theirs, standing(asked, "opened_at", "closed_at"))


def _row(found: dict[str, Any]) -> Row:
    return (
        *(found["opened_at"], found["closed_at"], seconds(found["opened_at"], found["closed_at"])),
        FoundBy(found["kind"]).label,
        *limit_cells(*(found[name] for name in LIMIT_FIELDS)),
        found["policy_version"] or None,
        *(found[name] or None for name in WHERE_FIELDS),
        *(number(found["worst_value"]), number(found["worst_utilisation"]), found["worst_at"]),
        *(number(found["value"]), found["last_at"], found["observations"], found["order_id"] or None),
        *(None if found["decision_id"] is None else str(found["decision_id"]), found["message"], str(found["id"])),
    )


def _figures(rows: QuerySet[Violation], asked: Asked) -> tuple[Figure, ...]:
    counted = rows.aggregate(
        **{each.value: Count("pk", filter=Q(policy_type=each)) for each in PolicyType},
        total=Count("pk"),
        open=Count("pk", filter=Q(closed_at=None)),
        orders=Sum("observations", filter=Q(kind=FoundBy.BLOCK)),
        accounts=Count("account_id", distinct=True),
    )
    return (
        Figure("Violations", f"{counted['total']:,}"),
        *(Figure(f"Of {each} limits", f"{counted[each.value]:,}") for each in PolicyType),
        *begun_before(rows, asked, "opened_at"),
        Figure("Still open", f"{counted['open']:,}"),
        Figure("Accounts concerned", f"{counted['accounts']:,}"),
        Figure("Times that an order was stopped by a limit", f"{counted['orders'] or 0:,}"),
    )
