"""What the database says of controls, people and changes: gathered once, for every requirement to draw on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import Max
from msgspec import Struct

from access.evidence import KIND as SIGN_IN
from api.models import ApiKey
from audit.models import AuditEvent
from policies.models import Book, ChangeRequest, Override, Policy, RequestStep, State, Step
from reports.effectiveness.counting import Refused, Span, refusals
from reports.effectiveness.gates import Gate, gates
from reports.standing import Standing, standing_at
from riskcore.book import Mode
from riskcore.limits import profile_limits
from riskcore.reasons import Reason
from violations.models import Alert, Delivery, Kind, Violation

# What says what somebody, or a key, may do; of these the last is the last look at access that left a trace.
_RIGHTS = (
    *("user.create", "user.change", "user.delete", "group.create", "group.change", "group.delete"),
    *("api_key.create", "api_key.rotate", "api_key.revoke"),
)


class Metrics(Struct, frozen=True):
    """Limits by the metric that they are on: how many are in force, and when one was last broken."""

    in_force: Mapping[str, int]
    broken_at: Mapping[str, datetime]


class People(Struct, frozen=True, kw_only=True):
    """Who may come in, and the last traces of it."""

    active: int
    keys: int
    rights_at: datetime | None
    sign_in_at: datetime | None
    locked_at: datetime | None


class Changes(Struct, frozen=True, kw_only=True):
    """How limits are changed: `requests` were published in the period, `seconded` of them with an approval.

    `unasked` changes of limits were made in the period without a request: by the configuration.
    """

    books: int
    requests: int
    seconded: int
    last_at: datetime | None
    unasked: int
    overrides: int
    override_at: datetime | None


class Watch(Struct, frozen=True, kw_only=True):
    """What the monitor found and people were told in the period."""

    violations: int
    violation_at: datetime | None
    alerts: int
    alert_at: datetime | None
    delivered: int
    delivered_at: datetime | None
    faults: int


class Facts(Struct, frozen=True, kw_only=True):
    """All of it, for a period that ends now; `tagged` limits in force bear each tag that officers have given."""

    span: Span
    standing: Standing | None
    metrics: Metrics
    refused: Mapping[str, Refused]
    gates: Mapping[str, Gate]
    people: People
    changes: Changes
    watch: Watch
    tagged: Mapping[str, int]
    reviewed_at: datetime | None


def gather(span: Span, reviewed_at: datetime | None) -> Facts:
    """Return the facts of a period; `reviewed_at` is when a report on effectiveness was last made.

    Raises ValueError where the book of its end is not what was published.
    """
    standing, refused = standing_at(span.until, span.accounts), refusals(span)
    return Facts(
        span=span,
        standing=standing,
        metrics=_metrics(standing, span),
        refused=refused,
        gates={each.name: each for each in gates(span, standing, refused)},
        people=_people(),
        changes=_changes(span),
        watch=_watch(span),
        tagged=_tagged(),
        reviewed_at=reviewed_at,
    )


def last_refusal(facts: Facts, reasons: Iterable[Reason]) -> datetime | None:
    """Return when an order was last refused for one of these reasons in the period."""
    found = [facts.refused[reason].last_at for reason in reasons if reason in facts.refused]
    return max(found, default=None)


def _metrics(standing: Standing | None, span: Span) -> Metrics:
    in_force: dict[str, int] = {}
    if standing is not None:
        limits = [limit for limit in standing.compiled.limits if limit.policy.mode is Mode.ENFORCE]
        used = {account.profile for account in standing.book.accounts}
        bounds = [
            each for profile in standing.book.profiles if profile.name in used for each in profile_limits(profile)
        ]
        for limit in (*limits, *bounds):
            in_force[limit.policy.metric] = in_force.get(limit.policy.metric, 0) + 1
    rows = Violation.objects.exclude(kind=Kind.FAULT).filter(last_at__gte=span.since, last_at__lt=span.until)
    return Metrics(in_force, dict(rows.order_by().values_list("metric").annotate(last=Max("last_at"))))


def _people() -> People:
    events = AuditEvent.objects.order_by()
    return People(
        active=User.objects.filter(is_active=True, is_staff=True).count(),
        keys=ApiKey.objects.filter(revoked_at=None).count(),
        rights_at=events.filter(action__in=_RIGHTS).aggregate(at=Max("at"))["at"],
        sign_in_at=events.filter(action=f"{SIGN_IN}.done").aggregate(at=Max("at"))["at"],
        locked_at=events.filter(action=f"{SIGN_IN}.locked").aggregate(at=Max("at"))["at"],
    )


def _changes(span: Span) -> Changes:
    published = ChangeRequest.objects.filter(
        state=State.PUBLISHED, book__created_at__gte=span.since, book__created_at__lt=span.until
    )
    approved = RequestStep.objects.filter(what=Step.APPROVED, request__in=published).values("request")
    events = AuditEvent.objects.filter(object_type="policy", at__gte=span.since, at__lt=span.until)
    return Changes(
        books=Book.objects.count(),
        requests=published.count(),
        seconded=approved.distinct().count(),
        last_at=published.order_by().aggregate(at=Max("book__created_at"))["at"],
        unasked=events.filter(after__request__isnull=True).count(),
        overrides=Override.objects.count(),
        override_at=AuditEvent.objects.filter(action="override.grant").aggregate(at=Max("at"))["at"],
    )


def _watch(span: Span) -> Watch:
    within = {"gte": span.since, "lt": span.until}
    violations = Violation.objects.filter(**{f"opened_at__{name}": at for name, at in within.items()}).order_by()
    alerts = Alert.objects.filter(**{f"raised_at__{name}": at for name, at in within.items()}).order_by()
    sent = Delivery.objects.filter(**{f"sent_at__{name}": at for name, at in within.items()}).order_by()
    found = violations.exclude(kind=Kind.FAULT)
    return Watch(
        violations=found.count(),
        violation_at=found.aggregate(at=Max("last_at"))["at"],
        alerts=alerts.count(),
        alert_at=alerts.aggregate(at=Max("raised_at"))["at"],
        delivered=sent.count(),
        delivered_at=sent.aggregate(at=Max("sent_at"))["at"],
        faults=violations.filter(kind=Kind.FAULT).count(),
    )


def _tagged() -> dict[str, int]:
    found: dict[str, int] = {}
    for tags in Policy.objects.filter(enabled=True).values_list("regulatory_tags", flat=True):
        for tag in set(tags):
            found[tag] = found.get(tag, 0) + 1
    return found
