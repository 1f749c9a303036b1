"""Every emergency stop: who stopped what and why, how soon it held, what the OMS did, and who lifted it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db.models import (
    Avg,
    Count,
    DateTimeField,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    Max,
    OuterRef,
    Q,
    QuerySet,
    Value,
)
from django.db.models.functions import Coalesce
from django.utils import timezone

from api.grants import VIEW_STOP
from emergency.models import EmergencyStop, StopAccount
from emergency.words import Status, Trigger
from policies.models import Policy
from reports.datasets.drawing import bars, most_frequent, over_time
from reports.datasets.lasting import seconds, spoken
from reports.datasets.limits_broken import begun_before
from reports.datasets.selecting import books_in_force, by_actor, policy_meant, standing
from reports.datasets.stop_stories import Story, left, stories
from reports.table import Asked, Chart, Column, Dataset, Figure, Kind, Row, Summary
from riskcore.ports import StopScope

# Rows that are in memory at once, with their timelines.
_TOGETHER = 100
_MOST_BARS = 12

_FIELDS = (
    *("id", "scope", "scope_id", "state", "reason", "triggered_by", "trigger", "unwind", "asked_at", "engaged_at"),
    *("in_force_known", "recorded_at", "status", "residuals", "given_up", "given_up_at", "given_up_by"),
    *("given_up_reason", "force_asked_at", "force_asked_by", "force_reason", "lifted_at", "lifted_by"),
    *("lifted_reason", "forced", "approved_by"),
)


class EmergencyStops(Dataset):
    """One row a stop."""

    name = "emergency_stops"
    title = "Emergency stops"
    meaning = "Every stop that stood at some moment of the period, from when it was asked for until it was lifted."
    permissions = (VIEW_STOP,)
    filters = frozenset({"since", "until", "account_id", "symbol", "policy", "actor"})
    columns = (
        Column(name="asked_at", label="Asked for", kind=Kind.MOMENT, width=26),
        Column(name="in_force_at", label="In force", kind=Kind.MOMENT, width=26),
        Column(name="in_force_after_s", label="In force after (s)", kind=Kind.NUMBER),
        Column(name="scope", label="Scope", width=10),
        Column(name="scope_id", label="Where"),
        Column(name="state", label="State", width=10),
        Column(name="trigger", label="Set off by", width=10),
        Column(name="triggered_by", label="Who", width=20),
        Column(name="reason", label="Why", width=40),
        Column(name="unwind", label="Positions closed too", kind=Kind.FLAG, width=9),
        Column(name="status", label="How far it came", width=12),
        Column(name="cancelled_after_s", label="Orders cancelled after (s)", kind=Kind.NUMBER),
        Column(name="flat_after_s", label="Nothing held after (s)", kind=Kind.NUMBER),
        Column(name="completed_after_s", label="Completed after (s)", kind=Kind.NUMBER),
        Column(name="accounts", label="Accounts recorded", kind=Kind.NUMBER, width=9),
        Column(name="residuals", label="What was left", width=40),
        Column(name="given_up", label="OMS asked no more", kind=Kind.FLAG, width=9),
        Column(name="given_up_by", label="Said by", width=18),
        Column(name="given_up_at", label="Said at", kind=Kind.MOMENT, width=26),
        Column(name="given_up_reason", label="Why so", width=40),
        Column(name="lifted_at", label="Lifted", kind=Kind.MOMENT, width=26),
        Column(name="in_force_s", label="In force for (s)", kind=Kind.NUMBER),
        Column(name="lifted_by", label="Lifted by", width=18),
        Column(name="lifted_reason", label="Why lifted", width=40),
        Column(name="force_asked_by", label="Asked to lift it in spite of a breach", width=18),
        Column(name="force_asked_at", label="Asked at", kind=Kind.MOMENT, width=26),
        Column(name="force_reason", label="Why in spite of it", width=40),
        Column(name="forced", label="Lifted in spite of a breach", kind=Kind.FLAG, width=9),
        Column(name="approved_by", label="Approved by", width=18),
        Column(name="timeline", label="Timeline", width=80),
        Column(name="stop_id", label="Stop", width=36),
    )

    def count(self, asked: Asked, accounts: frozenset[str]) -> int:
        return _rows(asked, accounts).count()

    def rows(self, asked: Asked, accounts: frozenset[str]) -> Iterator[Row]:
        found = _rows(asked, accounts).order_by("asked_at", "id").values(*_FIELDS).iterator(chunk_size=_TOGETHER)
        while some := list(islice(found, _TOGETHER)):
            told = stories([stop["id"] for stop in some])
            for stop in some:
                is_theirs = not accounts or stop["scope"] == StopScope.ACCOUNT
                yield _row(stop, told[stop["id"]], is_theirs=is_theirs)

    def summary(self, asked: Asked, accounts: frozenset[str]) -> Summary:
        rows = _rows(asked, accounts)
        over = over_time("Stops asked for", rows, "asked_at")
        return Summary(
            figures=(*_figures(rows), *begun_before(rows, asked, "asked_at")),
            charts=(
                *(() if over is None else (over,)),
                _longest(rows, timezone.now()),
                bars("Stops by what set them off", most_frequent(rows, "trigger")),
            ),
            notes=_notes(asked, accounts),
        )

    def books(self, asked: Asked, accounts: frozenset[str]) -> tuple[int, int] | None:
        return books_in_force(_rows(asked, accounts), "asked_at", "engaged_at")


# ------------------------------------------------------------------------------------------------ which
def _rows(asked: Asked, accounts: frozenset[str]) -> QuerySet[EmergencyStop]:
    named = by_actor(asked, "triggered_by", "lifted_by", "approved_by", "given_up_by", "force_asked_by")
    wanted = standing(asked, "asked_at", "lifted_at") & named & _of_policy(asked)
    if asked.symbol:
        wanted &= Q(scope=StopScope.GLOBAL) | Q(scope=StopScope.SYMBOL, scope_id=asked.symbol.upper())
    return EmergencyStop.objects.order_by().filter(wanted, _concerning(asked, accounts))


def _concerning(asked: Asked, accounts: frozenset[str]) -> Q:
    """Return the condition of concerning the account asked for, and `accounts`: a stop of no account concerns all.

    Which accounts a stop has met is nobody's business who is not for them.
    """
    found = ~Q(scope=StopScope.ACCOUNT) | Q(scope_id__in=sorted(accounts)) if accounts else Q()
    if not asked.account_id:
        return found
    if accounts and asked.account_id not in accounts:
        return Q(pk__in=[])
    met = StopAccount.objects.filter(stop=OuterRef("pk"), account_id=asked.account_id)
    return found & (
        Q(scope=StopScope.GLOBAL)
        | Q(scope=StopScope.ACCOUNT, scope_id=asked.account_id)
        | (~Q(scope=StopScope.ACCOUNT) & Q(Exists(met)))
    )


def _of_policy(asked: Asked) -> Q:
    """Return the condition that a policy set a stop off, by a name that it has or had."""
    if not asked.policy:
        return Q()
    meant = policy_meant(asked.policy)
    names = {*meant.names, *Policy.history.filter(id__in=meant.ids).values_list("name", flat=True)}
    return Q(trigger=Trigger.POLICY, triggered_by__in=[f"policy {name}" for name in sorted(names)])


# ----------------------------------------------------------------------------------------------- a row
def _row(stop: dict[str, Any], story: Story, *, is_theirs: bool) -> Row:
    """Return the cells of a stop; what it found in accounts only for whom all of it is their business."""
    asked_at, lifted_at = stop["asked_at"], stop["lifted_at"]
    in_force_at = stop["engaged_at"] if stop["in_force_known"] else None
    return (
        *(asked_at, in_force_at, seconds(asked_at, in_force_at)),
        *(stop["scope"], stop["scope_id"] or None, stop["state"], stop["trigger"], stop["triggered_by"]),
        *(stop["reason"], stop["unwind"], stop["status"]),
        *(seconds(asked_at, story.reached(each)) for each in (Status.CANCELLED, Status.FLAT, Status.COMPLETED)),
        *(story.accounts if is_theirs else None, left(stop["residuals"]) if is_theirs else None),
        *(stop["given_up"], stop["given_up_by"] or None, stop["given_up_at"]),
        (stop["given_up_reason"] or None) if is_theirs else None,
        *(lifted_at, seconds(stop["engaged_at"], lifted_at), stop["lifted_by"] or None, stop["lifted_reason"] or None),
        *(stop["force_asked_by"] or None, stop["force_asked_at"], stop["force_reason"] or None),
        *(stop["forced"], stop["approved_by"] or None, story.timeline(details=is_theirs), str(stop["id"])),
    )


# ------------------------------------------------------------------------------------------ the summary
def _figures(rows: QuerySet[EmergencyStop]) -> tuple[Figure, ...]:
    took = ExpressionWrapper(F("engaged_at") - F("asked_at"), output_field=DurationField())
    stood = ExpressionWrapper(F("lifted_at") - F("engaged_at"), output_field=DurationField())
    known = Q(in_force_known=True)
    counted = rows.aggregate(
        total=Count("pk"),
        standing=Count("pk", filter=Q(lifted_at=None)),
        completed=Count("pk", filter=Q(status=Status.COMPLETED)),
        given_up=Count("pk", filter=Q(given_up=True)),
        forced=Count("pk", filter=Q(forced=True)),
        took=Avg(took, filter=known),
        slowest=Max(took, filter=known),
        stood=Avg(stood),
        longest=Max(stood),
    )
    return (
        Figure("Stops", f"{counted['total']:,}"),
        Figure("Not lifted", f"{counted['standing']:,}"),
        Figure("From asking to in force, mean", spoken(counted["took"])),
        Figure("From asking to in force, longest", spoken(counted["slowest"])),
        Figure("In force until lifted, mean", spoken(counted["stood"])),
        Figure("In force until lifted, longest", spoken(counted["longest"])),
        Figure("Completed", f"{counted['completed']:,}"),
        Figure("Given up by people", f"{counted['given_up']:,}"),
        Figure("Lifted in spite of a breach", f"{counted['forced']:,}"),
    )


def _longest(rows: QuerySet[EmergencyStop], now: datetime) -> Chart:
    """Return a chart of the stops that were in force for longest, up to now those that are."""
    end = Coalesce("lifted_at", Value(now, DateTimeField()))
    stood = ExpressionWrapper(end - F("engaged_at"), output_field=DurationField())
    most = rows.annotate(stood=stood).order_by("-stood", "id").values_list("asked_at", "scope", "scope_id", "stood")
    stops = ((_called(at, scope, name), lasted / timedelta(minutes=1)) for at, scope, name, lasted in most[:_MOST_BARS])
    return bars("Longest in force", stops, "minutes")


def _called(asked_at: datetime, scope: str, scope_id: str) -> str:
    return f"{asked_at:%Y-%m-%d %H:%M} {scope} {scope_id}".strip()


def _notes(asked: Asked, accounts: frozenset[str]) -> tuple[str, ...]:
    notes = []
    if accounts:
        notes.append("What stops of no one account have found in accounts is left out: it may be of others.")
    if asked.symbol:
        notes.append("Stops of the symbol and of everything are told of, not those of accounts that trade it.")
    return tuple(notes)
