"""Every change of what orders are checked against: what it was and is, who wanted, approved and made it, and why."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

from django.db.models import BigIntegerField, Max, Min, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from api.grants import VIEW_REQUEST
from audit.models import AuditEvent
from reports.asked_by import Asking, askings
from reports.datasets.differences import Evidence, difference
from reports.datasets.drawing import bars, most_frequent, over_time
from reports.datasets.naming import KINDS, REQUEST, changes_naming, changes_of_policy
from reports.datasets.selecting import by_actor, within
from reports.table import Asked, Column, Dataset, Figure, Kind, Row, Summary

# Events that are in memory at once.
_TOGETHER = 500

# What has columns of its own, or says nothing of the object itself.
_APART = ("version", "book", "request")
_FIELDS = (
    *("sequence", "at", "actor", "action", "object_type", "object_id", "object_label", "reason"),
    *("before", "after", "hash"),
)


class PolicyChanges(Dataset):
    """One row an audit event."""

    name = "policy_changes"
    title = "Policy changes"
    meaning = (
        "Every change of limits, capital profiles, accounts, restricted symbols, instruments, overrides and settings, "
        "and every step of the requests for them."
    )
    permissions = ("audit.view_auditevent", VIEW_REQUEST)
    of_all = True
    filters = frozenset({"since", "until", "account_id", "symbol", "policy", "actor"})
    columns = (
        Column(name="sequence", label="Event", kind=Kind.NUMBER, width=8),
        Column(name="at", label="At", kind=Kind.MOMENT, width=26),
        Column(name="actor", label="Who", width=18),
        Column(name="action", label="Action", width=18),
        Column(name="kind", label="Of what", width=16),
        Column(name="object", label="Which", width=28),
        Column(name="object_id", label="Its id", width=36),
        Column(name="difference", label="Before and after", width=60),
        Column(name="metric", label="Metric", width=18),
        Column(name="applies_to", label="Applies to", width=20),
        Column(name="limit_before", label="Limit before", kind=Kind.NUMBER),
        Column(name="limit_after", label="Limit after", kind=Kind.NUMBER),
        Column(name="reason", label="Why", width=40),
        Column(name="request", label="Change request", kind=Kind.NUMBER, width=9),
        Column(name="direction", label="Direction", width=11),
        Column(name="asked_by", label="Asked for by", width=18),
        Column(name="approved_by", label="Approved by", width=18),
        Column(name="approved_at", label="Approved at", kind=Kind.MOMENT, width=26),
        Column(name="policy_book_version", label="Policy book", kind=Kind.NUMBER, width=8),
        Column(name="hash", label="Hash in the audit log", width=64),
    )

    def count(self, asked: Asked, accounts: frozenset[str]) -> int:
        return _events(asked).count()

    def rows(self, asked: Asked, accounts: frozenset[str]) -> Iterator[Row]:
        found = _events(asked).order_by("sequence").values(*_FIELDS).iterator(chunk_size=_TOGETHER)
        while some := list(islice(found, _TOGETHER)):
            asking = askings({key for event in some if (key := _request(event)) is not None})
            for event in some:
                yield _row(event, asking)

    def summary(self, asked: Asked, accounts: frozenset[str]) -> Summary:
        events = _events(asked)
        by_kind = [(KINDS[kind], number) for kind, number in most_frequent(events, "object_type")]
        changes = sum(number for kind, number in by_kind if kind != KINDS[REQUEST])
        over = over_time("Changes, and steps of requests", events, "at")
        return Summary(
            figures=(
                Figure("Changes of what orders are checked against", f"{changes:,}"),
                Figure("Changes that no request asked for", f"{_unasked(events).count():,}"),
                *_of_requests(events),
            ),
            charts=(
                *(() if over is None else (over,)),
                bars("By what was changed", by_kind),
                bars("By who did it", most_frequent(events, "actor")),
            ),
            notes=_notes(asked),
        )

    def books(self, asked: Asked, accounts: frozenset[str]) -> tuple[int, int] | None:
        version = Cast(KeyTextTransform("version", KeyTextTransform("book", "after")), BigIntegerField())
        made = _events(asked).exclude(object_type=REQUEST).annotate(book=version)
        found = made.aggregate(first=Min("book"), last=Max("book"))
        return None if found["first"] is None else (found["first"], found["last"])


def _events(asked: Asked) -> QuerySet[AuditEvent]:
    of_them = within(asked, "at") & by_actor(asked, "actor") & Q(object_type__in=KINDS)
    found: QuerySet[AuditEvent] = AuditEvent.objects.order_by().filter(of_them)
    if asked.policy:
        found = changes_of_policy(found, asked.policy)
    for name in (asked.account_id, asked.symbol.upper()):
        if name:
            found = changes_naming(found, name)
    return found


def _row(event: dict[str, Any], asking: dict[int, Asking]) -> Row:
    before, after = event["before"], event["after"]
    request = _request(event)
    asked = None if request is None else asking.get(request)
    is_step = event["object_type"] == REQUEST
    approved = [] if asked is None else asked.approvals(after["version"] if is_step else asked.version, event["at"])
    return (
        *(event["sequence"], event["at"], event["actor"], event["action"], KINDS[event["object_type"]]),
        *(event["object_label"], event["object_id"], difference(before, after, leave_out=_APART)),
        *_of_limit(event["object_type"], before, after),
        event["reason"],
        *(request, None if asked is None else asked.direction or None, None if asked is None else asked.author),
        "; ".join(step.actor for step in approved) or None,
        approved[-1].at if approved else None,
        *(_book(after), event["hash"]),
    )


def _request(event: dict[str, Any]) -> int | None:
    """Return the request that an event is a step of, or that it came of; None: nobody asked."""
    if event["object_type"] == REQUEST:
        return int(event["object_id"])
    found: int | None = (event["after"] or {}).get("request")
    return found


def _of_limit(kind: str, before: Evidence, after: Evidence) -> Row:
    """Return a limit's metric, whom it is for, and its number before and after."""
    if kind != "policy":
        return (None,) * 4
    now = after or before or {}
    scope = " ".join(each for each in (now.get("scope", ""), ", ".join(now.get("scope_ids") or ())) if each)
    return (now.get("metric"), scope or None, _threshold(before), _threshold(after))


def _threshold(said: Evidence) -> Decimal | None:
    return None if said is None or said.get("threshold") is None else Decimal(said["threshold"])


def _book(after: Evidence) -> int | None:
    """Return the version of the book that a change has made; a request names its book, others what is in it."""
    made = (after or {}).get("book")
    found: int | None = made.get("version") if isinstance(made, dict) else made
    return found


def _unasked(events: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
    """Return the changes that came of no request: of the configuration, and of the command line."""
    return events.exclude(object_type=REQUEST).filter(after__request__isnull=True)


def _of_requests(events: QuerySet[AuditEvent]) -> Iterator[Figure]:
    steps = events.filter(object_type=REQUEST)
    published = steps.filter(action="request.publish")
    yield Figure("Requests published", f"{published.count():,}")
    for direction, number in most_frequent(published, "after__direction"):
        yield Figure(f"Published, {direction}", f"{number:,}")
    for what, action in (("approved", "request.approve"), ("rejected", "request.reject")):
        yield Figure(f"Requests {what}", f"{steps.filter(action=action).count():,}")


def _notes(asked: Asked) -> tuple[str, ...]:
    if not (asked.account_id or asked.symbol):
        return ()
    return ("Only what names the account or symbol is told of: limits of wider scope hold for it as well.",)
