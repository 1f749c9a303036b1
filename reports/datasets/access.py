"""Who came in, who could not, what was changed of people, groups and API keys, and how often each key was used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import BigIntegerField, Count, F, Q, QuerySet, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from django.utils import timezone

from access.evidence import KIND as SIGN_IN
from api.key_use_records import ACTION as USE
from api.key_uses import KeyOutcome
from api.models import ApiKey
from audit.models import AuditEvent
from reports.datasets.differences import Evidence, difference
from reports.datasets.drawing import MOST_BARS, bars, most_frequent, over_time
from reports.datasets.selecting import by_actor, within
from reports.table import Asked, Column, Dataset, Figure, Kind, Row, Summary

# Events that are in memory at once.
_TOGETHER = 1_000

_OBJECTS = (SIGN_IN, "user", "group", "api_key")

# What happened, as people say it.
_WORDS = {
    f"{SIGN_IN}.done": "signed in",
    f"{SIGN_IN}.ended": "signed out",
    f"{SIGN_IN}.failed": "failed to sign in",
    f"{SIGN_IN}.locked": "locked out",
    f"{SIGN_IN}.unlocked": "let in again after a lock-out",
    "user.create": "person made",
    "user.change": "person changed",
    "user.delete": "person deleted",
    "user.password": "password changed",
    "user.second_factor_on": "second factor set up",
    "user.second_factor_off": "second factor taken away",
    "user.recovery_code": "recovery code given",
    "user.recovery_codes": "recovery codes made anew",
    "group.create": "group made",
    "group.change": "group changed",
    "group.delete": "group deleted",
    "api_key.create": "API key made",
    "api_key.rotate": "API key given a new secret",
    "api_key.revoke": "API key revoked",
    USE: "API key used in an hour",
}

# What says what somebody, or a key, may do.
_RIGHTS = (
    *("permissions", "groups", "members", "accounts", "is_active", "is_staff", "is_superuser"),
    *("holder", "expires_at", "revoked_at"),
)

# What has columns of its own.
_APART = ("address", "second_factor")
_FIELDS = (
    *("sequence", "at", "actor", "action", "object_type", "object_id", "object_label", "reason"),
    *("before", "after", "hash"),
)


class Access(Dataset):
    """One row an audit event."""

    name = "access"
    title = "Access"
    meaning = (
        "Every sign-in and sign-out, failure and lock-out, every change of people, second factors, groups, "
        "permissions and API keys, and how often each key was used, by the hour."
    )
    permissions = ("audit.view_auditevent", "auth.view_user", "auth.view_group", "api.view_apikey")
    of_all = True
    filters = frozenset({"since", "until", "actor"})
    columns = (
        Column(name="sequence", label="Event", kind=Kind.NUMBER, width=8),
        Column(name="at", label="At", kind=Kind.MOMENT, width=26),
        Column(name="what", label="What", width=24),
        Column(name="whom", label="Whom or which", width=20),
        Column(name="actor", label="Who did it", width=20),
        Column(name="address", label="From", width=18),
        Column(name="second_factor", label="Second factor", width=14),
        Column(name="changes_rights", label="Changes rights", kind=Kind.FLAG, width=8),
        Column(name="difference", label="Before and after", width=60),
        Column(name="reason", label="Why", width=40),
        Column(name="action", label="Action", width=22),
        Column(name="object_type", label="Kind", width=10),
        Column(name="object_id", label="Its id", width=14),
        Column(name="hash", label="Hash in the audit log", width=64),
    )

    def count(self, asked: Asked, accounts: frozenset[str]) -> int:
        return _events(asked).count()

    def rows(self, asked: Asked, accounts: frozenset[str]) -> Iterator[Row]:
        ordered = _events(asked).order_by("sequence").values(*_FIELDS)
        return map(_row, ordered.iterator(chunk_size=_TOGETHER))

    def summary(self, asked: Asked, accounts: frozenset[str]) -> Summary:
        events = _events(asked)
        done, failed = (events.filter(action=f"{SIGN_IN}.{verb}") for verb in ("done", "failed"))
        over = (over_time("Sign-ins", done, "at"), over_time("Failures to sign in", failed, "at"))
        return Summary(
            figures=(*_of_sign_ins(events), *_of_changes(events), *_of_keys(), *_of_uses(events)),
            charts=(
                *(chart for chart in over if chart is not None),
                bars("Failures to sign in, by name", most_frequent(failed, "object_label")),
                bars("Changes made with API keys, by who made them", most_frequent(_with_keys(asked), "actor")),
                bars("Requests let in with API keys, by key", _most_used(events)),
            ),
            notes=(
                "The keys that are good are those of the moment of this report.",
                "What a key was used for in an hour is an event of some minutes after that hour. It counts requests "
                "that were admitted, refused (another secret, or after the key's end) and limited (too often). "
                "Requests with keys that there are not, or that were revoked, are nobody's and not counted.",
            ),
        )

    def books(self, asked: Asked, accounts: frozenset[str]) -> tuple[int, int] | None:
        return None


def _events(asked: Asked) -> QuerySet[AuditEvent]:
    return AuditEvent.objects.order_by().filter(within(asked, "at"), _about(asked), object_type__in=_OBJECTS)


def _about(asked: Asked) -> Q:
    """Return the condition that somebody did it, or that it was done to them or to their key."""
    if not asked.actor:
        return Q()
    of_person = Q(object_type__in=(SIGN_IN, "user"), object_label=asked.actor)
    of_key = Q(object_type="api_key", object_label=asked.actor.removeprefix("key:"))
    return by_actor(asked, "actor") | (of_key if asked.actor.startswith("key:") else of_person)


def _with_keys(asked: Asked) -> QuerySet[AuditEvent]:
    """Return all that was changed with API keys, of whatever kind."""
    of_keys = Q(actor__startswith="key:") | Q(actor__contains=" (key:")
    return AuditEvent.objects.order_by().filter(within(asked, "at"), by_actor(asked, "actor"), of_keys)


def _row(event: dict[str, Any]) -> Row:
    before, after = event["before"], event["after"]
    said = after or {}
    return (
        *(event["sequence"], event["at"], _WORDS.get(event["action"], event["action"]), event["object_label"]),
        *(event["actor"], said.get("address") or None, said.get("second_factor")),
        _changes_rights(event["object_type"], before, after),
        difference(before, after, leave_out=_APART) or None,
        *(event["reason"], event["action"], event["object_type"], event["object_id"] or None, event["hash"]),
    )


def _changes_rights(kind: str, before: Evidence, after: Evidence) -> bool:
    if kind == SIGN_IN or not (before or after):
        return False
    old, new = before or {}, after or {}
    return any(old.get(name) != new.get(name) for name in _RIGHTS)


def _of_sign_ins(events: QuerySet[AuditEvent]) -> tuple[Figure, ...]:
    done = Q(action=f"{SIGN_IN}.done")
    counted = events.aggregate(
        done=Count("pk", filter=done),
        people=Count("object_id", filter=done, distinct=True),
        without=Count("pk", filter=done & Q(after__second_factor="none")),
        failed=Count("pk", filter=Q(action=f"{SIGN_IN}.failed")),
        locked=Count("pk", filter=Q(action=f"{SIGN_IN}.locked")),
    )
    return (
        Figure("Sign-ins", f"{counted['done']:,}"),
        Figure("People who signed in", f"{counted['people']:,}"),
        Figure("Sign-ins without a second factor", f"{counted['without']:,}"),
        Figure("Failures to sign in", f"{counted['failed']:,}"),
        Figure("Lock-outs", f"{counted['locked']:,}"),
    )


def _of_changes(events: QuerySet[AuditEvent]) -> tuple[Figure, ...]:
    changes = events.exclude(action=USE).values("object_type").annotate(number=Count("pk"))
    counted = dict(changes.values_list("object_type", "number"))
    return (
        Figure("Changes of people", f"{counted.get('user', 0):,}"),
        Figure("Changes of groups", f"{counted.get('group', 0):,}"),
        Figure("Changes of API keys", f"{counted.get('api_key', 0):,}"),
    )


def _of_keys() -> tuple[Figure, ...]:
    now = timezone.now()
    good = ApiKey.objects.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)
    return (
        Figure("API keys that are good", f"{good.count():,}"),
        Figure("Of these without an end", f"{good.filter(expires_at=None).count():,}"),
        Figure("Of these a machine's", f"{good.filter(holder=None).count():,}"),
    )


def _of_uses(events: QuerySet[AuditEvent]) -> tuple[Figure, ...]:
    uses = events.filter(action=USE)
    counted = uses.aggregate(
        keys=Count("object_id", distinct=True), **{each.value: _sum_of(each) for each in KeyOutcome}
    )
    return (
        Figure("API keys that were used", f"{counted['keys']:,}"),
        Figure("Requests let in with API keys", f"{counted[KeyOutcome.ADMITTED] or 0:,}"),
        Figure("Requests refused with API keys", f"{counted[KeyOutcome.REFUSED] or 0:,}"),
        Figure("Requests limited with API keys", f"{counted[KeyOutcome.LIMITED] or 0:,}"),
    )


def _most_used(events: QuerySet[AuditEvent]) -> list[tuple[str, float]]:
    counted = events.filter(action=USE).values("object_label").annotate(number=_sum_of(KeyOutcome.ADMITTED))
    return [(each["object_label"], each["number"]) for each in counted.order_by("-number", "object_label")[:MOST_BARS]]


def _sum_of(outcome: KeyOutcome) -> Sum:
    return Sum(Cast(KeyTextTransform(outcome.value, F("after")), BigIntegerField()))
