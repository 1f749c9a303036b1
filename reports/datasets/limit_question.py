"""Which limit applied to an account at a moment, who stands behind it, and all that it did on that trading day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from emergency.models import EmergencyStop
from policies.wording_numbers import moment_text
from reports.blocked import Blocked, blocked_by, let_through
from reports.lineage import Change, approval_in_words, approved_by
from reports.question import PERMISSIONS, Answer, Applied, alerts_of, find_answer, find_limits, stops_of, violations_of
from reports.question_words import headline, sayings
from reports.table import Asked, Chart, ChartKind, Column, Dataset, Figure, Kind, Row, Summary
from riskcore.decimals import tidy
from violations.models import Alert, Violation

_COLUMNS = (
    Column(name="section", label="What it is", width=14),
    Column(name="at", label="When", kind=Kind.MOMENT, width=20),
    Column(name="limit", label="Limit", width=26),
    Column(name="said", label="In words", width=60),
    Column(name="account_id", label="Account", width=14),
    Column(name="symbol", label="Symbol", width=12),
    Column(name="order_id", label="Order", width=20),
    Column(name="side", label="Side", width=6),
    Column(name="quantity", label="Quantity", kind=Kind.NUMBER, width=14),
    Column(name="price", label="Price", kind=Kind.NUMBER, width=14),
    Column(name="value", label="Value", kind=Kind.NUMBER, width=14),
    Column(name="operator", label="Condition", width=9),
    Column(name="threshold", label="Threshold", kind=Kind.NUMBER, width=14),
    Column(name="utilisation", label="Used", kind=Kind.NUMBER, width=10),
    Column(name="who", label="Who", width=14),
    Column(name="approved_by", label="Approved by", width=14),
    Column(name="reason", label="Why", width=40),
    Column(name="request", label="Request", kind=Kind.NUMBER, width=8),
    Column(name="book_version", label="Book", kind=Kind.NUMBER, width=8),
    Column(name="policy_id", label="Id of the limit", width=36),
    Column(name="evidence_id", label="Id of the evidence", width=36),
)


class LimitQuestion(Dataset):
    """The answer to one question, each part of it in rows of its own."""

    name = "limit_question"
    title = "One limit, one account, one moment"
    meaning = (
        "Which limit applied to an account at a moment, who asked for it, approved and published it, "
        "and what it stopped on that trading day."
    )
    permissions = PERMISSIONS
    filters = frozenset({"at", "account_id", "metric"})
    needed = frozenset({"at", "account_id", "metric"})
    columns: ClassVar = _COLUMNS

    def count(self, asked: Asked, accounts: frozenset[str]) -> int:
        """Return how many rows there are."""
        return sum(1 for _ in self.rows(asked, accounts))

    def rows(self, asked: Asked, accounts: frozenset[str]) -> Iterator[Row]:
        """Yield the limits with who stands behind each, what was known of the figure, and what they did that day."""
        for each in _parts(_limits(asked, accounts)):
            yield tuple(each.get(column.name) for column in self.columns)

    def summary(self, asked: Asked, accounts: frozenset[str]) -> Summary:
        """Return the answer in sentences."""
        found = _answer(asked, accounts)
        return Summary(
            figures=_figures(found),
            charts=_charts(found),
            notes=(headline(found), *sayings(found)),
        )

    def books(self, asked: Asked, accounts: frozenset[str]) -> tuple[int, int] | None:
        """Return the version of the book of that moment."""
        standing = _limits(asked, accounts).standing
        return None if standing is None else (standing.row.version, standing.row.version)


def _answer(asked: Asked, accounts: frozenset[str]) -> Answer:
    assert asked.at is not None  # it is needed
    return find_answer(asked.account_id, asked.metric, asked.at, accounts)


def _limits(asked: Asked, accounts: frozenset[str]) -> Answer:
    assert asked.at is not None  # it is needed
    return find_limits(asked.account_id, asked.metric, asked.at, accounts)


def _figures(found: Answer) -> tuple[Figure, ...]:
    if found.day is None:
        return ()
    return (
        Figure("Limits on it", f"{len(found.limits):,}"),
        Figure("Orders stopped that day", f"{found.blocked:,}"),
        Figure("Let through by an override", f"{found.let_through:,}"),
        Figure("Violations", f"{found.violations_in_all:,}"),
        Figure("Alerts", f"{found.alerts_in_all:,}"),
        Figure("Stops", f"{found.stops_in_all:,}"),
        Figure("Trading day", f"{moment_text(found.day.since)} to {moment_text(found.day.until)}"),
    )


def _charts(found: Answer) -> tuple[Chart, ...]:
    if not found.blocked:
        return ()
    return (
        Chart(
            title="Orders stopped that day, by limit",
            kind=ChartKind.BARS,
            labels=tuple(each.held.policy.name for each in found.limits),
            values=tuple(float(each.blocked) for each in found.limits),
            unit="orders",
        ),
    )


# ------------------------------------------------------------------------------------------------- rows
_Part = dict[str, Any]


def _parts(found: Answer) -> Iterator[_Part]:
    """Yield the rows as cells by column. Of what there may be any number of, a few are held at a time."""
    if found.standing is None or found.day is None:
        yield {"section": "nothing", "at": found.at, "said": headline(found), "account_id": found.account_id}
        return
    for limit in found.limits:
        yield from _limit(found, limit, found.standing.row.version)
    yield from _readings(found)
    ids = {each.held.policy.id for each in found.limits}
    period = (found.day.since, found.day.until)
    yield from _orders("order stopped", found, blocked_by(found.account_id, ids, *period))
    yield from _orders("order let through", found, let_through(found.account_id, ids, *period))
    violations = violations_of(found.account_id, ids, found.day)
    yield from map(_violation, violations.iterator())
    yield from map(_alert, alerts_of(found.account_id, ids, found.day).iterator())
    stops = stops_of(found.account_id, (each.held for each in found.limits), found.day)
    yield from map(_stop, stops.iterator())


def _limit(found: Answer, limit: Applied, book: int) -> Iterator[_Part]:
    policy = limit.held.policy
    of_limit: _Part = {
        "limit": policy.name,
        "account_id": found.account_id,
        "operator": policy.operator.value,
        "threshold": tidy(limit.held.threshold),
        "policy_id": policy.id,
    }
    words = limit.held.in_words if limit.counted else f"{limit.held.in_words} (could stop nothing at that moment)"
    yield {"section": "limit", "at": found.at, "said": words, "book_version": book, **of_limit}
    yield from _behind("as it was since", of_limit, limit.change)
    if limit.set_by is not None and limit.set_by != limit.change:
        yield from _behind("its threshold since", of_limit, limit.set_by)
    if limit.placed is not None:
        yield from _behind("account under its profile since", of_limit, limit.placed)


def _behind(section: str, of_limit: _Part, change: Change | None) -> Iterator[_Part]:
    if change is None:
        yield {"section": section, "said": "not in the audit log", **of_limit}
        return
    request = change.request
    yield {
        **of_limit,
        "section": section,
        "at": change.at,
        "said": approval_in_words(change),
        "who": change.actor if request is None else request.author,
        "approved_by": approved_by(change) or None,
        "reason": change.reason,
        "request": None if request is None else request.number,
        "book_version": change.book,
        "evidence_id": str(change.event),
    }


def _readings(found: Answer) -> Iterator[_Part]:
    reading = found.on_order
    for limit in found.limits if reading is not None else ():
        told = reading.limits.get(limit.held.policy.id) if reading is not None else None
        if reading is None or told is None:
            continue
        yield {
            "section": "figure",
            "at": reading.at,
            "limit": limit.held.policy.name,
            "said": "in the last decision by that moment: with its order",
            "account_id": found.account_id,
            "order_id": reading.order_id,
            "value": _finite(told.after),
            "operator": told.policy.operator.value,
            "threshold": told.threshold,
            "utilisation": _finite(told.utilisation),
            "policy_id": told.policy.id,
            "evidence_id": str(reading.decision_id),
        }
    if found.watched is not None:
        yield {
            "section": "figure",
            "at": found.watched.at,
            "said": "the last reading before that moment, as it is kept for the charts",
            "account_id": found.account_id,
            "value": found.watched.value,
        }


def _orders(section: str, found: Answer, rows: Iterable[Blocked]) -> Iterator[_Part]:
    for row in rows:
        breach = row.breach
        yield {
            "section": f"{section} (what-if)" if row.what_if else section,
            "at": row.at,
            "limit": breach.name,
            "said": breach.message,
            "account_id": found.account_id,
            "symbol": row.symbol,
            "order_id": row.order_id,
            "side": row.side,
            "quantity": tidy(row.quantity),
            "price": tidy(row.price) if row.price else None,
            "value": _finite(breach.value),
            "operator": breach.operator,
            "threshold": breach.threshold,
            "utilisation": _finite(breach.utilisation),
            "reason": row.override or None,
            "book_version": row.book_version,
            "policy_id": breach.policy_id,
            "evidence_id": str(row.decision_id),
        }


def _of_limit(row: Violation | Alert, section: str, at: datetime) -> _Part:
    return {
        "section": section,
        "at": at,
        "limit": row.policy_name,
        "said": row.message,
        "account_id": row.account_id,
        "symbol": row.symbol or None,
        "value": row.value,
        "operator": row.operator,
        "threshold": row.threshold,
        "policy_id": row.policy_id,
        "evidence_id": str(row.pk),
    }


def _violation(row: Violation) -> _Part:
    ended = "and goes on" if row.closed_at is None else f"until {moment_text(row.closed_at)}"
    said = f"{row.get_kind_display()}, {row.observations:,} times {ended}: {row.message}"
    worst = {"said": said, "value": row.worst_value, "utilisation": row.worst_utilisation}
    return _of_limit(row, "violation", row.opened_at) | worst | {"order_id": row.order_id or None}


def _alert(row: Alert) -> _Part:
    handled = {"who": row.acknowledged_by or row.silenced_by or None, "reason": row.note or row.silence_reason or None}
    return _of_limit(row, f"alert, {row.level}", row.raised_at) | handled


def _stop(row: EmergencyStop) -> _Part:
    ended = "is in force" if row.lifted_at is None else f"lifted {moment_text(row.lifted_at)} by {row.lifted_by}"
    return {
        "section": "stop",
        "at": row.engaged_at,
        "said": f"{row.state} {row.where}, {ended}",
        "account_id": row.scope_id or None,
        "who": row.triggered_by,
        "reason": row.reason,
        "evidence_id": str(row.pk),
    }


def _finite(value: Decimal | None) -> Decimal | None:
    """Return a number that a cell can hold: what is infinite or not defined is empty, and the words say it."""
    return value if value is not None and value.is_finite() else None
