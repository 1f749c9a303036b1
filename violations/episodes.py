"""Violations as episodes: opened when a limit is first seen broken, continued, closed when it is seen to hold again.

Safe for any number of processes at once, also for two that look at the same moment: rows are locked, only what is newer
than the last observation counts, and of two that open the same episode the database lets one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import QuerySet

from violations import bulk
from violations.models import NAME_LENGTH, Kind, Violation, fitted, kept
from violations.observations import Observation, is_worse

_CONTINUED = (
    *("policy_name", "policy_version", "threshold", "value", "utilisation", "message", "last_at", "observations"),
    *("worst_value", "worst_utilisation", "worst_at", "order_id", "decision_id", "closed_at"),
)


@dataclass
class Episodes:
    """What became of some observations: episodes opened, continued and closed, and those open that stay as they are."""

    opened: list[Violation] = field(default_factory=list)
    continued: list[Violation] = field(default_factory=list)
    closed: list[Violation] = field(default_factory=list)
    untouched: list[Violation] = field(default_factory=list)

    @property
    def observed(self) -> list[Violation]:
        """The episodes that have one observation more than before."""
        return [*self.opened, *self.continued]


def follow(observations: Sequence[Observation], accounts_seen: Collection[str], now: datetime) -> Episodes:
    """Open, continue and close the monitor's episodes. Call it in a transaction, at whose end its locks go.

    An episode is closed where its account was looked at, at `now`, and its limit is not among the observations. What is
    not newer than what is known changes nothing.
    """
    accounts = {each.account_id for each in observations} | (_accounts_with_open() & set(accounts_seen))
    if not accounts:
        return Episodes()
    known = lock_open(Kind.EPISODE, accounts)
    return _follow(observations, known, Kind.EPISODE, now, lambda row: row.account_id in accounts_seen)


def follow_faults(observations: Sequence[Observation], part: str, now: datetime) -> Episodes:
    """Open, continue and close the faults of a part of the system, of which these are all. Call it likewise."""
    known = Violation.objects.filter(kind=Kind.FAULT, closed_at__isnull=True, policy_id__startswith=f"{part}:")
    return _follow(observations, known.select_for_update().order_by("pk"), Kind.FAULT, now, lambda _row: True)


def _follow(
    observations: Sequence[Observation],
    open_rows: Iterable[Violation],
    kind: Kind,
    now: datetime,
    was_seen: Callable[[Violation], bool],
) -> Episodes:
    """Open, continue and close episodes of one kind: what was seen, and is not among the observations, is over."""
    known = {row.key: row for row in open_rows}
    found, opening = Episodes(), list[Observation]()
    for key, each in {each.key: each for each in observations}.items():
        row = known.pop(key, None)
        if row is None:
            opening.append(each)
        elif each.at <= row.last_at:
            found.untouched.append(row)
        elif is_same(row, each):
            take(row, each)
            found.continued.append(row)
        else:
            found.closed.append(row)
            opening.append(each)
    for row in known.values():
        over = was_seen(row) and now > row.last_at
        (found.closed if over else found.untouched).append(row)
    opening = _not_over(opening, kind)
    close(found.closed, now)
    found.opened = insert([begin(each, kind) for each in opening])
    save(found.continued)
    return found


def begin(each: Observation, kind: Kind = Kind.EPISODE) -> Violation:
    """Return a new episode, not saved, that begins with an observation."""
    value, used = kept(each.value), kept(each.utilisation)
    return Violation(
        kind=kind,
        policy_id=each.policy_id,
        policy_name=each.policy_name[:NAME_LENGTH],
        policy_type=each.policy_type,
        policy_version=each.policy_version or None,
        metric=each.metric,
        account_id=each.account_id,
        symbol=each.symbol,
        exchange=each.exchange,
        operator=each.operator,
        threshold=fitted(each.threshold),
        value=value,
        utilisation=used,
        message=each.message,
        worst_value=value,
        worst_utilisation=used,
        worst_at=each.at,
        opened_at=each.at,
        last_at=each.at,
    )


def take(row: Violation, each: Observation) -> None:
    """Count one more observation; one that is older than the last changes only the count and the worst."""
    value, used = kept(each.value), kept(each.utilisation)
    row.observations += 1
    if each.at >= row.last_at:
        row.policy_name, row.policy_version = each.policy_name[:NAME_LENGTH], each.policy_version or None
        row.threshold = fitted(each.threshold)
        row.value, row.utilisation, row.message, row.last_at = value, used, each.message, each.at
    if is_worse(row.operator, row.threshold, value, row.worst_value):
        row.worst_value, row.worst_utilisation, row.worst_at = value, used, each.at


def is_same(row: Violation, each: Observation) -> bool:
    """Return whether the policy is about the same still; otherwise what was broken and what is are two things."""
    return (row.metric, row.operator, row.policy_type) == (each.metric, each.operator, each.policy_type)


def _not_over(opening: Iterable[Observation], kind: Kind) -> list[Observation]:
    """Leave out what somebody, who looked later, has seen begin and end already."""
    found = {each.key: each for each in opening}
    if not found:
        return []
    ended = Violation.objects.filter(
        kind=kind,
        closed_at__gte=min(each.at for each in found.values()),
        account_id__in={key.account_id for key in found},
    )
    for row in ended:
        each = found.get(row.key)
        if each is not None and row.closed_at is not None and each.at <= row.closed_at:
            del found[row.key]
    return list(found.values())


# ------------------------------------------------------------------------------------------------ the rows
def lock_open(kind: Kind, accounts: Collection[str]) -> QuerySet[Violation]:
    """Return the open episodes of accounts, locked, in the order in which everybody locks them."""
    rows = Violation.objects.filter(kind=kind, closed_at__isnull=True, account_id__in=accounts)
    return rows.select_for_update().order_by("pk")


def insert(rows: list[Violation]) -> list[Violation]:
    """Insert new episodes, and return those that nobody else has opened meanwhile."""
    # In one order, so that two processes wait for each other in one direction only.
    return bulk.insert(sorted(rows, key=lambda row: row.key))


def save(rows: Sequence[Violation]) -> None:
    """Write what a further observation has changed, of rows that are locked."""
    bulk.update(rows, _CONTINUED)


def close(rows: Sequence[Violation], now: datetime) -> None:
    """Close episodes that are locked."""
    if rows:
        Violation.objects.filter(pk__in=[row.pk for row in rows]).update(closed_at=now)
    for row in rows:
        row.closed_at = now


def _accounts_with_open() -> set[str]:
    rows = Violation.objects.filter(kind=Kind.EPISODE, closed_at__isnull=True)
    return set(rows.order_by().values_list("account_id", flat=True).distinct())
