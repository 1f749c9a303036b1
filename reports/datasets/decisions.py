"""Every order that was asked about, and what it was told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from django.db.models import Count, Max, Min, QuerySet
from msgspec import UNSET, Struct, UnsetType

from api.grants import VIEW_DECISION
from audit.models import OrderDecision
from reports.datasets.breaking import broken_in
from reports.datasets.buckets import Buckets
from reports.datasets.drawing import bars, most_frequent, parts_of, per_part
from reports.datasets.selecting import of_accounts, of_symbol, within
from reports.table import Asked, Chart, Column, Dataset, Figure, Kind, Row, Summary
from riskcore.decimals import tidy
from riskcore.types import OverrideRef, Verdict

# Rows that are in memory at once.
_TOGETHER = 2_000

_UNREADABLE = "what was answered cannot be read"


class _Named(Struct, frozen=True):
    name: str


class _Answer(Struct, frozen=True):
    """What a report tells of a `riskcore.types.Decision` that has no column of its own."""

    message: str
    violations: tuple[_Named, ...]
    warnings: tuple[_Named, ...]
    max_quantity: Decimal | None
    risk_level: str
    trading_state: str
    shadow_violations: tuple[_Named, ...] = ()
    override: OverrideRef | UnsetType = UNSET


_answers = msgspec.json.Decoder(_Answer)

_FIELDS = (
    *("decided_at", "decision_id", "account_id", "order_id", "symbol", "side", "quantity", "price", "order_type"),
    *("strategy_id", "exchange", "verdict", "approved", "reason", "what_if", "book_version", "account_version"),
    *("answer", "batch"),
)


class Decisions(Dataset):
    """One row a decision."""

    name = "decisions"
    title = "Decisions"
    meaning = "Every order that was asked about, what it was told and by which policy book, what-ifs included."
    permissions = (VIEW_DECISION,)
    filters = frozenset({"since", "until", "account_id", "symbol", "policy"})
    columns = (
        Column(name="decided_at", label="Decided at", kind=Kind.MOMENT, width=26),
        Column(name="decision_id", label="Decision", width=36),
        Column(name="account_id", label="Account"),
        Column(name="order_id", label="Order", width=24),
        Column(name="symbol", label="Symbol", width=12),
        Column(name="side", label="Side", width=6),
        Column(name="quantity", label="Quantity", kind=Kind.NUMBER),
        Column(name="price", label="Price", kind=Kind.NUMBER),
        Column(name="order_type", label="Order type", width=10),
        Column(name="strategy_id", label="Strategy"),
        Column(name="exchange", label="Exchange"),
        Column(name="decision", label="Decision taken", width=12),
        Column(name="approved", label="Approved", kind=Kind.FLAG, width=9),
        Column(name="reason", label="Reason", width=22),
        Column(name="message", label="Message", width=60),
        Column(name="violations", label="Limits broken", width=30),
        Column(name="warnings", label="Limits warned of", width=30),
        Column(name="shadow_violations", label="Limits broken in shadow", width=30),
        Column(name="override", label="Let through by override", width=36),
        Column(name="override_reason", label="Reason of the override", width=30),
        Column(name="max_quantity", label="Largest quantity that would pass", kind=Kind.NUMBER),
        Column(name="risk_level", label="Risk level", width=10),
        Column(name="trading_state", label="Trading state", width=10),
        Column(name="policy_book_version", label="Policy book", kind=Kind.NUMBER, width=10),
        Column(name="account_version", label="Account state version", kind=Kind.NUMBER, width=10),
        Column(name="what_if", label="What-if", kind=Kind.FLAG, width=8),
        Column(name="evidence_batch", label="Batch in the chain of evidence", kind=Kind.NUMBER, width=9),
    )

    def count(self, asked: Asked, accounts: frozenset[str]) -> int:
        return _rows(asked, accounts).count()

    def rows(self, asked: Asked, accounts: frozenset[str]) -> Iterator[Row]:
        ordered = _rows(asked, accounts).order_by("decided_at", "decision_id").values_list(*_FIELDS)
        return map(_cells, ordered.iterator(chunk_size=_TOGETHER))

    def summary(self, asked: Asked, accounts: frozenset[str]) -> Summary:
        rows = _rows(asked, accounts)
        parts = parts_of(rows, "decided_at")
        if parts is None:
            return Summary(figures=_figures(Counter(), 0), notes=("No order was asked about.",))
        told = Counter[tuple[datetime, str, str]]()
        what_ifs = 0
        for at, verdict, reason, what_if, number in _told(rows, parts):
            if what_if:
                what_ifs += number
            else:
                told[at, verdict, reason] += number
        refused = rows.filter(approved=False, what_if=False)
        return Summary(
            figures=_figures(told, what_ifs),
            charts=(
                *_charts(told, parts),
                bars("Orders not approved, by account", most_frequent(refused, "account_id"), "orders"),
            ),
            notes=("What-ifs are among the rows, and counted nowhere else.",) if what_ifs else (),
        )

    def books(self, asked: Asked, accounts: frozenset[str]) -> tuple[int, int] | None:
        found = _rows(asked, accounts).aggregate(first=Min("book_version"), last=Max("book_version"))
        return None if found["first"] is None else (found["first"], found["last"])


def _rows(asked: Asked, accounts: frozenset[str]) -> QuerySet[OrderDecision]:
    rows = OrderDecision.objects.order_by().filter(
        within(asked, "decided_at"), of_accounts(asked, accounts), of_symbol(asked)
    )
    return rows.filter(broken_in("answer", asked.policy)) if asked.policy else rows


def _cells(found: tuple[Any, ...]) -> Row:
    *order, kind, strategy_id, exchange, verdict, approved, reason, what_if, book, version, text, batch = found
    at, decision_id, account_id, order_id, symbol, side, quantity, price = order
    return (
        *(at, str(decision_id), account_id, order_id, symbol, side, tidy(quantity), tidy(price) if price else None),
        *(kind, strategy_id or None, exchange or None, verdict, approved, reason or None),
        *_of_answer(text),
        *(book, version, what_if, batch),
    )


def _of_answer(text: str) -> Row:
    """Return the cells that only the recorded answer has; where it is none, as after a forgery, one says so."""
    try:
        said = _answers.decode(text)
    except msgspec.MsgspecError:
        return (_UNREADABLE, *(None,) * 8)
    override = said.override
    return (
        said.message,
        _names(said.violations),
        _names(said.warnings),
        _names(said.shadow_violations),
        *((None, None) if override is UNSET else (override.id, override.reason)),
        *(said.max_quantity, said.risk_level, said.trading_state),
    )


def _names(limits: tuple[_Named, ...]) -> str | None:
    return "; ".join([limit.name for limit in limits]) if limits else None


def _told(rows: QuerySet[OrderDecision], parts: Buckets) -> Iterator[tuple[datetime, str, str, bool, int]]:
    """Yield how many orders were told what for which reason in each part of the period."""
    counted = rows.annotate(part=parts.of("decided_at")).values("part", "verdict", "reason", "what_if")
    found = counted.annotate(number=Count("*")).values_list("part", "verdict", "reason", "what_if", "number")
    yield from found.iterator()


def _figures(told: Counter[tuple[datetime, str, str]], what_ifs: int) -> tuple[Figure, ...]:
    by_verdict = Counter[str]()
    for (_, verdict, _), number in told.items():
        by_verdict[verdict] += number
    orders, approved = by_verdict.total(), by_verdict[Verdict.ALLOW]
    return (
        Figure("Orders asked about", f"{orders:,}"),
        Figure("Approved", f"{approved:,}"),
        Figure("Blocked", f"{by_verdict[Verdict.BLOCK]:,}"),
        Figure("Offered a smaller quantity", f"{by_verdict[Verdict.SCALE_DOWN]:,}"),
        Figure("Approved, of all", f"{approved / orders:.2%}" if orders else "none"),
        Figure("What-ifs", f"{what_ifs:,}"),
    )


def _charts(told: Counter[tuple[datetime, str, str]], parts: Buckets) -> Iterator[Chart]:
    approved, blocked, reasons = Counter[datetime](), Counter[datetime](), Counter[str]()
    for (at, verdict, reason), number in told.items():
        if verdict == Verdict.ALLOW:
            approved[at] += number
        else:
            blocked[at] += number
            reasons[reason] += number
    yield per_part("Orders approved", approved, parts, "orders")
    yield per_part("Orders not approved", blocked, parts, "orders")
    yield bars("Orders not approved, by reason", reasons.most_common(), "orders")
