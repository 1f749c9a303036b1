"""Which rows a report is about: what was asked for, as conditions that the database understands."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Max, Min, Q, QuerySet
from msgspec import Struct

from policies.models import Book, Policy
from reports.table import Asked


class PolicyMeant(Struct, frozen=True):
    """The policies that somebody means: rows bear the id, or only the name that a policy had then."""

    ids: frozenset[str]
    names: frozenset[str]


def within(asked: Asked, field: str) -> Q:
    """Return the condition that a moment is within the period."""
    found = Q()
    if asked.since is not None:
        found &= Q(**{f"{field}__gte": asked.since})
    if asked.until is not None:
        found &= Q(**{f"{field}__lt": asked.until})
    return found


def standing(asked: Asked, begun: str, ended: str) -> Q:
    """Return the condition that what began and ended (empty: it did not) stood at some moment of the period."""
    found = Q()
    if asked.since is not None:
        found &= Q(**{f"{ended}__isnull": True}) | Q(**{f"{ended}__gte": asked.since})
    if asked.until is not None:
        found &= Q(**{f"{begun}__lt": asked.until})
    return found


def of_accounts(asked: Asked, accounts: frozenset[str], field: str = "account_id") -> Q:
    """Return the condition of being a row of the account asked for, and of one of `accounts` (none: of any)."""
    found = Q(**{f"{field}__in": sorted(accounts)}) if accounts else Q()
    return found & Q(**{field: asked.account_id}) if asked.account_id else found


def of_symbol(asked: Asked, field: str = "symbol") -> Q:
    """Return the condition of being a row of the symbol asked for; symbols are upper-case."""
    return Q(**{field: asked.symbol.upper()}) if asked.symbol else Q()


def by_actor(asked: Asked, *fields: str) -> Q:
    """Return the condition that somebody did it: a person, with a key of theirs too, or a key, whoever holds it."""
    found = Q()
    for field in fields if asked.actor else ():
        found |= Q(**{field: asked.actor}) | Q(**{f"{field}__startswith": f"{asked.actor} (key:"})
        if asked.actor.startswith("key:"):
            found |= Q(**{f"{field}__endswith": f" ({asked.actor})"})
    return found


def policy_meant(text: str) -> PolicyMeant:
    """Return whom an id or a name stands for; also a name that a policy had once, or a rule that is no policy."""
    try:
        return PolicyMeant(frozenset([str(UUID(text))]), frozenset())
    except ValueError:
        known = Policy.history.filter(name__iexact=text).values_list("id", "name").order_by().distinct()
        return PolicyMeant(frozenset(str(key) for key, _ in known), frozenset([text, *(name for _, name in known)]))


def of_policy(asked: Asked) -> Q:
    """Return the condition of being a row of the policy asked for, where rows have `policy_id` and `policy_name`."""
    if not asked.policy:
        return Q()
    meant = policy_meant(asked.policy)
    ids = sorted({*meant.ids, asked.policy})  # what is no limit of officers has an id of another form
    return Q(policy_id__in=ids) | Q(policy_name__in=sorted(meant.names))


def books_in_force(rows: QuerySet[Any], begun: str, last: str) -> tuple[int, int] | None:
    """Return the versions of the books that were in force at the first and at the last moment of rows."""
    ends = rows.order_by().aggregate(first=Min(begun), last=Max(last))
    if ends["first"] is None:
        return None
    books = Book.objects.order_by("version").values_list("version", flat=True)
    oldest, newest = (books.filter(created_at__lte=ends[each]).last() for each in ("first", "last"))
    if newest is None:
        return None  # there was no book yet
    return oldest or 1, newest
