"""Every alert: what it told of, to whom it was sent, who acknowledged or silenced it and how soon."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import timedelta
from itertools import islice, pairwise
from typing import Any
from uuid import UUID

from django.db.models import Avg, Count, DurationField, ExpressionWrapper, F, Max, Q, QuerySet, Sum

from api.grants import VIEW_ALERT
from reports.datasets.drawing import bars, most_frequent, over_time
from reports.datasets.lasting import seconds, spoken
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
from reports.datasets.selecting import books_in_force, by_actor, of_accounts, of_policy, of_symbol, standing
from reports.table import Asked, Chart, Column, Dataset, Figure, Kind, Row, Summary
from violations.models import Alert, ChannelName, Delivery, Level

# Rows that are in memory at once, with what was sent of them.
_TOGETHER = 500

_FIELDS = (
    *("raised_at", "level", "state", "value", "message", "acknowledged_by", "acknowledged_at", "note"),
    *("silenced_by", "silenced_at", "silenced_until", "silence_reason", "resolved_at"),
    *("times_published", "published_at", "violation_id", "id"),
)

# How soon alerts are acknowledged: each part ends where the next one begins.
_PARTS = (
    ("under 1 min", timedelta(minutes=1)),
    ("1 to 5 min", timedelta(minutes=5)),
    ("5 to 15 min", timedelta(minutes=15)),
    ("15 to 60 min", timedelta(hours=1)),
)


class Alerts(Dataset):
    """One row an alert."""

    name = "alerts"
    title = "Alerts"
    meaning = (
        "Every alert that was not resolved at some moment of the period: what it told of, to whom it was sent, and who "
        "acknowledged or silenced it."
    )
    permissions = (VIEW_ALERT,)
    filters = frozenset({"since", "until", "account_id", "symbol", "policy", "actor"})
    columns = (
        Column(name="raised_at", label="Raised", kind=Kind.MOMENT, width=26),
        Column(name="level", label="Level", width=10),
        Column(name="state", label="State", width=12),
        *LIMIT_COLUMNS,
        *WHERE_COLUMNS,
        Column(name="value", label="Value", kind=Kind.NUMBER),
        Column(name="message", label="Message", width=60),
        Column(name="acknowledged_by", label="Acknowledged by", width=18),
        Column(name="acknowledged_at", label="Acknowledged", kind=Kind.MOMENT, width=26),
        Column(name="acknowledged_after_s", label="After (s)", kind=Kind.NUMBER),
        Column(name="note", label="Note", width=40),
        Column(name="silenced_by", label="Silenced by", width=18),
        Column(name="silenced_at", label="Silenced", kind=Kind.MOMENT, width=26),
        Column(name="silenced_until", label="Silent until", kind=Kind.MOMENT, width=26),
        Column(name="silence_reason", label="Why silenced", width=40),
        Column(name="resolved_at", label="Limit held again", kind=Kind.MOMENT, width=26),
        Column(name="lasted_s", label="Lasted (s)", kind=Kind.NUMBER),
        Column(name="times_published", label="Times published", kind=Kind.NUMBER, width=9),
        Column(name="published_at", label="Last published", kind=Kind.MOMENT, width=26),
        Column(name="sent", label="Messages sent", kind=Kind.NUMBER, width=9),
        Column(name="not_sent", label="Messages given up", kind=Kind.NUMBER, width=9),
        Column(name="deliveries", label="By channel", width=40),
        Column(name="violation_id", label="Violation", width=36),
        Column(name="alert_id", label="Alert", width=36),
    )

    def count(self, asked: Asked, accounts: frozenset[str]) -> int:
        return _rows(asked, accounts).count()

    def rows(self, asked: Asked, accounts: frozenset[str]) -> Iterator[Row]:
        ordered = _rows(asked, accounts).order_by("raised_at", "id")
        found = ordered.values(*_FIELDS, *LIMIT_FIELDS, *WHERE_FIELDS).iterator(chunk_size=_TOGETHER)
        while some := list(islice(found, _TOGETHER)):
            sent = _deliveries({alert["id"] for alert in some})
            for alert in some:
                yield _row(alert, sent.get(alert["id"], []))

    def summary(self, asked: Asked, accounts: frozenset[str]) -> Summary:
        rows = _rows(asked, accounts)
        over = over_time("Alerts raised", rows, "raised_at")
        return Summary(
            figures=(*_figures(rows), *begun_before(rows, asked, "raised_at"), *_of_deliveries(rows)),
            charts=(
                bars("Alerts by limit", most_frequent(rows, "policy_name")),
                *(() if over is None else (over,)),
                _how_soon(rows),
            ),
            notes=(
                "Of several silences of one alert the last is told of; each is in the audit log.",
                *notes_on_keeping("Alerts"),
            ),
        )

    def books(self, asked: Asked, accounts: frozenset[str]) -> tuple[int, int] | None:
        return books_in_force(_rows(asked, accounts), "raised_at", "published_at")


def _rows(asked: Asked, accounts: frozenset[str]) -> QuerySet[Alert]:
    theirs = of_accounts(asked, accounts) & of_symbol(asked) & of_policy(asked)
    handled = by_actor(asked, "acknowledged_by", "silenced_by")
    return Alert.objects.order_by().filter(theirs, handled, standing(asked, "raised_at", "resolved_at"))


def _row(found: dict[str, Any], sent: list[dict[str, Any]]) -> Row:
    raised = found["raised_at"]
    return (
        *(raised, found["level"], found["state"]),
        *limit_cells(*(found[name] for name in LIMIT_FIELDS)),
        *(found[name] or None for name in WHERE_FIELDS),
        *(number(found["value"]), found["message"]),
        *(found["acknowledged_by"] or None, found["acknowledged_at"], seconds(raised, found["acknowledged_at"])),
        *(found["note"] or None, found["silenced_by"] or None, found["silenced_at"], found["silenced_until"]),
        *(found["silence_reason"] or None, found["resolved_at"], seconds(raised, found["resolved_at"])),
        *(found["times_published"], found["published_at"]),
        *(sum(each["sent"] for each in sent), sum(each["given_up"] for each in sent)),
        "; ".join(map(_by_channel, sent)) or None,
        *(None if found["violation_id"] is None else str(found["violation_id"]), str(found["id"])),
    )


# --------------------------------------------------------------------------------------- what was sent
def _deliveries(alerts: Collection[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    """Return what was sent of alerts, by alert: a count for each channel."""
    counted = Delivery.objects.order_by().filter(alert__in=alerts).values("alert_id", "channel")
    found: dict[UUID, list[dict[str, Any]]] = {}
    for each in counted.annotate(**_sent(), error=Max("error")).order_by("channel"):
        found.setdefault(each["alert_id"], []).append(dict(each))
    return found


def _sent(of: str = "") -> dict[str, Any]:
    """Return the counts of deliveries by what became of them; `of` leads to them."""
    waits = Q(**{f"{of}sent_at": None, f"{of}given_up_at": None})
    return {
        "sent": Count(f"{of}sent_at"),
        "given_up": Count(f"{of}given_up_at"),
        "waiting": Count(f"{of}pk", filter=waits),
    }


def _by_channel(each: dict[str, Any]) -> str:
    counted = ((each["sent"], "sent"), (each["given_up"], "given up"), (each["waiting"], "waiting"))
    said = ", ".join(f"{number} {what}" for number, what in counted if number)
    failed = each["error"] if each["given_up"] or each["waiting"] else ""
    return f"{ChannelName(each['channel']).label}: {said}{f' ({failed})' if failed else ''}"


# ------------------------------------------------------------------------------------------ the summary
def _figures(rows: QuerySet[Alert]) -> Iterator[Figure]:
    counted = rows.aggregate(
        **{each.value: Count("pk", filter=Q(level=each)) for each in Level},
        total=Count("pk"),
        acknowledged=Count("acknowledged_at"),
        silenced=Count("silenced_at"),
        open=Count("pk", filter=Q(resolved_at=None)),
        published=Sum("times_published"),
        soon=Avg(_time_to_acknowledge()),
        slowest=Max(_time_to_acknowledge()),
    )
    yield Figure("Alerts", f"{counted['total']:,}")
    for level in Level:
        yield Figure(f"Of level {level}", f"{counted[level.value]:,}")
    yield Figure("Not resolved", f"{counted['open']:,}")
    yield Figure("Acknowledged", f"{counted['acknowledged']:,}")
    yield Figure("Time to acknowledge, mean", spoken(counted["soon"]))
    yield Figure("Time to acknowledge, longest", spoken(counted["slowest"]))
    yield Figure("Silenced", f"{counted['silenced']:,}")
    yield Figure("Times published", f"{counted['published'] or 0:,}")


def _of_deliveries(rows: QuerySet[Alert]) -> Iterator[Figure]:
    counted = rows.aggregate(**_sent("deliveries__"))
    yield Figure("Messages sent", f"{counted['sent']:,}")
    yield Figure("Messages given up", f"{counted['given_up']:,}")


def _time_to_acknowledge() -> ExpressionWrapper[Any]:
    return ExpressionWrapper(F("acknowledged_at") - F("raised_at"), output_field=DurationField())


def _how_soon(rows: QuerySet[Alert]) -> Chart:
    """Return a chart of how many alerts were acknowledged how soon."""
    before = [rows.filter(acknowledged_at__lt=F("raised_at") + end).count() for _, end in _PARTS]
    acknowledged = rows.exclude(acknowledged_at=None).count()
    counts = [upper - lower for lower, upper in pairwise([0, *before, acknowledged])]
    labels = [*(label for label, _ in _PARTS), "later", "not yet"]
    return bars("Alerts by time to acknowledge", zip(labels, [*counts, rows.count() - acknowledged], strict=True))
