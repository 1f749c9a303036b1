"""A self-assessment: what two rules ask of pre-trade controls, what there is here, and the evidence for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import ClassVar

from django.db.models import Max
from django.utils import timezone

from policies.wording_numbers import moment_text
from reports.assessment.facts import Facts, gather
from reports.assessment.probes import Found, Status, status_of
from reports.assessment.requirements import REQUIREMENTS, RTS, SEC, TAGS, Requirement
from reports.effectiveness.counting import Span
from reports.models import Report, State
from reports.table import Asked, Chart, ChartKind, Column, Dataset, Figure, Kind, Row, Summary

# Controls are to be reviewed once a year: so far back evidence is looked for, unless somebody says otherwise.
_YEAR = timedelta(days=365)

_CLAIM = (
    "This is a self-assessment. It shows what this system has on record, and does not say that any rule is complied "
    "with: that is for the firm to judge, which also has to do what is marked as outside this system."
)
_MEANINGS = (
    "Evidenced: a control is armed, and has done what it is there for. Armed, not fired: it is there, and nothing in "
    "the period called for it. Not armed: there is no such control in force here today.",
    "Requirements are in short words of our own; the texts of the rules are what counts.",
)


class SelfAssessment(Dataset):
    """One row a requirement."""

    name = "self_assessment"
    title = "Self-assessment of pre-trade controls"
    meaning = (
        "What SEC Rule 15c3-5 and RTS 6 (EU 2017/589, articles 12 to 18) ask of pre-trade controls, "
        "and the evidence that there is for each part."
    )
    permissions = (
        *("policies.view_policy", "policies.view_capitalprofile", "policies.view_book", "policies.view_changerequest"),
        *("policies.view_restrictedsymbol", "policies.view_override", "audit.view_orderdecision"),
        *("audit.view_auditevent", "violations.view_violation", "violations.view_alert", "violations.view_breakertrip"),
        *("emergency.view_emergencystop", "auth.view_user", "api.view_apikey"),
    )
    of_all = True
    filters = frozenset({"since", "until"})
    columns: ClassVar = (
        Column(name="rule", label="Rule", width=16),
        Column(name="paragraph", label="Paragraph", width=14),
        Column(name="requires", label="What it asks for", width=44),
        Column(name="control", label="What meets it here", width=44),
        Column(name="status", label="Status", width=18),
        Column(name="evidence", label="Evidence", width=60),
        Column(name="last_acted", label="Acted last", kind=Kind.MOMENT, width=20),
        Column(name="tagged", label="Limits tagged with the rule", kind=Kind.NUMBER, width=10),
        Column(name="looked_at", label="As of", kind=Kind.MOMENT, width=20),
    )

    def count(self, asked: Asked, accounts: frozenset[str]) -> int:
        """Return how many requirements there are."""
        return len(REQUIREMENTS)

    def rows(self, asked: Asked, accounts: frozenset[str]) -> Iterator[Row]:
        """Yield the requirements, in the order of the rules."""
        facts = _facts(asked)
        return (_row(requirement, facts) for requirement in REQUIREMENTS)

    def summary(self, asked: Asked, accounts: frozenset[str]) -> Summary:
        """Return how many requirements have which status."""
        facts = _facts(asked)
        statuses = Counter(_assess(each, facts)[0] for each in REQUIREMENTS)
        period = f"Evidence is of the time from {moment_text(facts.span.since)} to {moment_text(facts.span.until)}."
        return Summary(
            figures=(
                Figure("Requirements", f"{len(REQUIREMENTS):,}"),
                *(Figure(status.capitalize(), f"{statuses[status]:,}") for status in Status),
                *(Figure(f"Limits tagged {tag}", f"{_tagged(facts, rule):,}") for rule, tag in TAGS.items()),
            ),
            charts=tuple(_chart(rule, facts) for rule in (SEC, RTS)),
            notes=(_CLAIM, *_MEANINGS, period),
        )

    def books(self, asked: Asked, accounts: frozenset[str]) -> tuple[int, int] | None:
        """Return the version of the book at the end of the period."""
        standing = _facts(asked).standing
        return None if standing is None else (standing.row.version, standing.row.version)


def _facts(asked: Asked) -> Facts:
    now = timezone.now()
    until = min(asked.until or now, now)
    since = min(asked.since or until - _YEAR, until)
    return gather(Span(since=since, until=until, accounts=frozenset()), _reviewed_at(until))


def _reviewed_at(until: datetime) -> datetime | None:
    """Return when a report on the effectiveness of controls was made last."""
    made = Report.objects.filter(name="control_effectiveness", state__in=(State.DONE, State.EXPIRED))
    found: datetime | None = made.filter(finished_at__lte=until).order_by().aggregate(at=Max("finished_at"))["at"]
    return found


def _assess(requirement: Requirement, facts: Facts) -> tuple[Status, tuple[Found, ...]]:
    found = tuple(probe(facts) for probe in requirement.probes)
    return status_of(found), found


def _row(requirement: Requirement, facts: Facts) -> Row:
    status, found = _assess(requirement, facts)
    return (
        requirement.rule,
        requirement.paragraph,
        requirement.requires,
        requirement.control,
        status.value,
        "; ".join(each.said for each in found) or None,
        max((each.acted_at for each in found if each.acted_at is not None), default=None),
        _tagged(facts, requirement.rule),
        facts.span.until,
    )


def _tagged(facts: Facts, rule: str) -> int:
    """Return how many limits bear the tag of a rule, or that of one of its paragraphs."""
    tag = _plain(TAGS[rule])
    return sum(count for name, count in facts.tagged.items() if tag in _plain(name))


def _plain(tag: str) -> str:
    return "".join(tag.casefold().split())


def _chart(rule: str, facts: Facts) -> Chart:
    counts = Counter(_assess(each, facts)[0] for each in REQUIREMENTS if each.rule == rule)
    return Chart(
        title=f"{rule}: requirements by status",
        kind=ChartKind.BARS,
        labels=tuple(status.value for status in Status),
        values=tuple(float(counts[status]) for status in Status),
        unit="requirements",
    )
