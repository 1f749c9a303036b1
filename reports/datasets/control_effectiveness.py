"""Whether each control was armed in a period, what it did, and what it had to go by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar

from django.conf import settings
from django.utils import timezone

from policies.books.finding import book_at
from policies.models import Book
from policies.wording_numbers import moment_text
from reports.datasets.selecting import policy_meant
from reports.effectiveness.controls import NEAR, Control, Verdict, controls, named_controls
from reports.effectiveness.counting import Span, decisions
from reports.table import Asked, Chart, ChartKind, Column, Dataset, Figure, Kind, Row, Summary

_MOST_BARS = 12
_HUNDRED = Decimal(100)

_HONEST = (
    f"A near miss is an order that was approved with at least {100 * NEAR:.0f} % of the limit used.",
    "The monitor looks at every account each second, but only violations are kept of what it sees: a figure that came "
    "near a limit between two orders is no near miss here.",
    "Armed goes by the dates of a limit, not by its hours. Since when a profile's bound is armed is not kept.",
    "Orders only asked about (what-if) count nowhere, nor do those that were refused while the live state was "
    "away: they leave no decision.",
    "Starved: the figure had no value, or no order came as far as the limit; such orders were refused (fail closed).",
)


class ControlEffectiveness(Dataset):
    """One row a control, over a period."""

    name = "control_effectiveness"
    title = "Effectiveness of controls"
    meaning = (
        "Of every control: whether it was armed, how often it fired or nearly did, what it lacked, and its last drill."
    )
    permissions = (
        *(
            "policies.view_policy",
            "policies.view_capitalprofile",
            "policies.view_book",
            "policies.view_restrictedsymbol",
        ),
        *("audit.view_orderdecision", "violations.view_violation", "violations.view_alert"),
        *("violations.view_breakertrip", "emergency.view_emergencystop"),
    )
    filters = frozenset({"since", "until", "account_id", "policy"})
    needed = frozenset({"since", "until"})
    columns: ClassVar = (
        Column(name="control", label="Control", width=26),
        Column(name="verdict", label="Verdict", width=10),
        Column(name="kind", label="Kind", width=10),
        Column(name="does", label="What it does", width=56),
        Column(name="armed", label="Armed at the end", kind=Kind.FLAG, width=8),
        Column(name="armed_since", label="Armed since", kind=Kind.MOMENT, width=20),
        Column(name="armed_percent", label="Armed (% of the period)", kind=Kind.NUMBER, width=10),
        Column(name="shadow_percent", label="In shadow (%)", kind=Kind.NUMBER, width=10),
        Column(name="orders", label="Orders held against it", kind=Kind.NUMBER, width=10),
        Column(name="stopped", label="Orders stopped", kind=Kind.NUMBER, width=10),
        Column(name="warned", label="Orders warned of", kind=Kind.NUMBER, width=10),
        Column(name="near_misses", label="Near misses", kind=Kind.NUMBER, width=10),
        Column(name="highest_used", label="Most used (1 is all)", kind=Kind.NUMBER, width=10),
        Column(name="violations", label="Violations", kind=Kind.NUMBER, width=10),
        Column(name="observations", label="Times seen broken", kind=Kind.NUMBER, width=10),
        Column(name="alerts", label="Alerts", kind=Kind.NUMBER, width=8),
        Column(name="stops", label="Stops", kind=Kind.NUMBER, width=8),
        Column(name="without_value", label="Without a value", kind=Kind.NUMBER, width=10),
        Column(name="last_fired", label="Fired last", kind=Kind.MOMENT, width=20),
        Column(name="last_drill", label="Last drill", kind=Kind.MOMENT, width=20),
        Column(name="note", label="Note", width=40),
        Column(name="regulatory_tags", label="Rules it serves", width=16),
        Column(name="policy_id", label="Id", width=36),
    )

    def count(self, asked: Asked, accounts: frozenset[str]) -> int:
        """Return how many controls there are."""
        span, is_meant = _span(asked, accounts), _meant(asked)
        return 0 if span is None else sum(is_meant(*each) for each in named_controls(span))

    def rows(self, asked: Asked, accounts: frozenset[str]) -> Iterator[Row]:
        """Yield the limits as they were first made, the bounds of capital profiles, and the gates."""
        return map(_row, _found(asked, accounts))

    def summary(self, asked: Asked, accounts: frozenset[str]) -> Summary:
        """Return how many controls came to which verdict, and which stopped most."""
        found, span = _found(asked, accounts), _span(asked, accounts)
        verdicts = Counter(each.verdict for each in found)
        return Summary(
            figures=(
                Figure("Controls", f"{len(found):,}"),
                *(Figure(verdict.capitalize(), f"{verdicts[verdict]:,}") for verdict in Verdict),
                Figure("Decisions", "0" if span is None else f"{decisions(span):,}"),
            ),
            charts=tuple(_charts(found, verdicts)),
            notes=(*_HONEST, *_notes(asked, span)),
        )

    def books(self, asked: Asked, accounts: frozenset[str]) -> tuple[int, int] | None:
        """Return the versions of the books that were in force at the ends of the period."""
        span = _span(asked, accounts)
        last = None if span is None else book_at(span.until)
        if span is None or last is None:
            return None
        first = book_at(span.since) or Book.objects.order_by("version")[0]
        return first.version, last.version


def _span(asked: Asked, accounts: frozenset[str]) -> Span | None:
    """Return the period as far as it has passed, for the accounts that are meant; None where there is nothing of it."""
    assert asked.since is not None  # both are needed
    assert asked.until is not None
    if asked.account_id and accounts and asked.account_id not in accounts:
        return None
    until = min(asked.until, timezone.now())
    meant = frozenset({asked.account_id}) if asked.account_id else accounts
    return Span(since=asked.since, until=until, accounts=meant) if asked.since < until else None


def _found(asked: Asked, accounts: frozenset[str]) -> list[Control]:
    span, is_meant = _span(asked, accounts), _meant(asked)
    return [] if span is None else [each for each in controls(span) if is_meant(each.policy_id, each.name)]


def _meant(asked: Asked) -> Callable[[str, str], bool]:
    """Return what says of a control, by its id and its name, whether it was asked for."""
    if not asked.policy:
        return lambda _policy_id, _name: True
    text, ids = asked.policy.casefold(), policy_meant(asked.policy).ids
    return lambda policy_id, name: policy_id in ids or text in (policy_id.casefold(), name.casefold())


def _row(control: Control) -> Row:
    return (
        control.name,
        control.verdict.value,
        control.kind,
        control.does,
        control.armed,
        control.armed_since,
        _percent(control.share),
        _percent(control.shadow_share),
        control.orders,
        control.stopped,
        control.warned,
        control.near,
        control.highest,
        control.violations,
        control.observations,
        control.alerts,
        control.stops,
        control.without_value,
        control.last_at,
        control.last_drill,
        control.note or None,
        ", ".join(control.tags) or None,
        control.policy_id or None,
    )


def _percent(share: float | None) -> Decimal | None:
    return None if share is None else (_HUNDRED * Decimal(share)).quantize(Decimal("0.01"))


def _charts(found: Sequence[Control], verdicts: Counter[Verdict]) -> Iterator[Chart]:
    if found:
        yield Chart(
            title="Controls by verdict",
            kind=ChartKind.BARS,
            labels=tuple(verdict.value for verdict in Verdict),
            values=tuple(float(verdicts[verdict]) for verdict in Verdict),
            unit="controls",
        )
    busiest = sorted((each for each in found if each.stopped), key=lambda each: -each.stopped)[:_MOST_BARS]
    if busiest:
        yield Chart(
            title=f"Orders stopped, by control{' (the first 12)' if len(busiest) == _MOST_BARS else ''}",
            kind=ChartKind.BARS,
            labels=tuple(each.name for each in busiest),
            values=tuple(float(each.stopped) for each in busiest),
            unit="orders",
        )


def _notes(asked: Asked, span: Span | None) -> Iterator[str]:
    if span is None:
        yield "There is nothing to tell: the period has not begun, or the account is not theirs who asked."
        return
    if asked.until is not None and span.until < asked.until:
        yield f"The period is not over: this is of what happened until {moment_text(span.until.astimezone(UTC))}."
    days = settings.RISK_VIOLATION_HISTORY_DAYS
    if days and (_age(span.since)) > days:
        yield f"Violations and alerts are kept for {days} days after they are over: earlier ones may be missing."


def _age(at: datetime) -> float:
    return (timezone.now() - at).total_seconds() / 86_400
