"""How long a session is good: not beyond its age, not while idle, and not once its person's rights have changed."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Set
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.models import Session
from django.db.models import CharField, Model, QuerySet, Value
from django.db.models.functions import Cast
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from msgspec import Struct

from access.models import SecondFactor
from audit.models import AccountGrant, GivenPassword

_STAMP, _SINCE, _SEEN = "access.stamp", "access.since", "access.seen"

# A session is written this often at most for being used: every page would be a write otherwise.
_SEEN_EVERY = timedelta(minutes=1)
_LOOKS = ".view_"

# Kinds of facts that are looked for by name.
_FACTOR, _GIVEN = "factor", "given password"

AGED = "This sign-in has reached its age: sign in again."
IDLE = "You were signed out, since nothing was done for a while."
CHANGED = "What you may do, or how you sign in, was changed: sign in again."


class Standing(Struct, frozen=True):
    """What there is about a person that sessions depend on.

    Attributes
    ----------
    stamp
        Another one whenever their roles, rights, accounts or second factor are.
    has_factor
        Whether a second factor is asked of them.
    given_password
        Whether somebody else knows their password, having set it.
    """

    stamp: str
    has_factor: bool
    given_password: bool


def standing_of(user: User) -> Standing:
    """Return how a person stands as the database has it now, in one query."""
    return standings_of([user])[user.pk]


def standings_of(users: Collection[User]) -> dict[int, Standing]:
    """Return how people stand, by their keys, in one query for all of them."""
    facts: defaultdict[int, set[tuple[str, str]]] = defaultdict(set)
    for user_id, kind, what in _facts(users) if users else ():
        facts[user_id].add((kind, what))
    return {user.pk: _standing(user, facts[user.pk]) for user in users}


def _standing(user: User, facts: Set[tuple[str, str]]) -> Standing:
    kinds = {kind for kind, _ in facts}
    kept = [user.is_staff, user.is_superuser, sorted(fact for fact in facts if fact[0] != _GIVEN)]
    stamp = hashlib.sha256(repr(kept).encode()).hexdigest()
    return Standing(stamp, has_factor=_FACTOR in kinds, given_password=_GIVEN in kinds)


def _facts(users: Collection[User]) -> QuerySet[Any, tuple[int, str, str]]:
    named: list[tuple[str, type[Model], str]] = [
        (_FACTOR, SecondFactor, "salt"),
        ("group", User.groups.through, "group_id"),
        ("permission", User.user_permissions.through, "permission_id"),
        ("account", AccountGrant, "account_id"),
        (_GIVEN, GivenPassword, "user_id"),
    ]
    first, *others = (_named(kind, model, column, users) for kind, model, column in named)
    return first.union(*others, all=True)


def _named(kind: str, model: type[Model], column: str, users: Collection[User]) -> QuerySet[Any, tuple[int, str, str]]:
    text: CharField[str, str] = CharField()
    rows = model._default_manager.filter(user__in=users).order_by()
    return rows.values_list("user_id", Value(kind, output_field=text), Cast(column, text))


def is_factor_required(user: User) -> bool:
    """Return whether a person has to have a second factor, by RISK_REQUIRE_SECOND_FACTOR.

    An operator is everybody who may do more than look.
    """
    whom: str = settings.RISK_REQUIRE_SECOND_FACTOR
    if whom == "operators":
        return user.is_superuser or any(_LOOKS not in name for name in user.get_all_permissions())
    return whom == "all"


def left_to_do(user: User, standing: Standing) -> str:
    """Return what a person has to do before anything else: "password", "second-factor", or "" where that is nothing."""
    if standing.given_password:
        return "password"
    return "second-factor" if not standing.has_factor and is_factor_required(user) else ""


def stamp_at_sign_in(request: HttpRequest, user: User, **_: object) -> None:
    """Write into a session that has just begun when it did, and how its person stands."""
    now = timezone.now()
    request.session[_SINCE] = request.session[_SEEN] = now.timestamp()
    request.session[_STAMP] = standing_of(user).stamp


def stamp_again(session: SessionBase, user: User) -> None:
    """Keep a session good whose person has just changed how they sign in: their other sessions end."""
    session[_STAMP] = standing_of(user).stamp


def why_ended(session: SessionBase, standing: Standing, now: datetime) -> str:
    """Return why a session is not good any more, for people; "" where it is."""
    if _is_aged(session, now):
        return AGED
    if now.timestamp() - session.get(_SEEN, 0) > settings.RISK_SESSION_IDLE.total_seconds():
        return IDLE
    return "" if _is_stamped(session, standing) else CHANGED


def note_seen(session: SessionBase, now: datetime) -> None:
    """Note that a session is used: its idle time begins anew."""
    if now.timestamp() - session.get(_SEEN, 0) > _SEEN_EVERY.total_seconds():
        session[_SEEN] = now.timestamp()


def session_is_good(session_key: str | None, now: datetime | None = None) -> bool:
    """Return whether whoever has this session may go on, as the database has it now: see `people_of`.

    Parameters
    ----------
    session_key
        The key of the session. None: there is none, which is no.
    now
        Timezone-aware; the present moment if left out.
    """
    return session_key is not None and session_key in people_of([session_key], now)


def people_of(session_keys: Collection[str], now: datetime | None = None) -> dict[str, User]:
    """Return whose sessions these are, by their keys; those that are not good are left out.

    For what stays open between requests, as a websocket: ask every few seconds, and close it where its session is left
    out. Three queries, however many they are, and nothing is written. A session is not good after a sign-out, once its
    age is reached, once the password, the roles, the rights, the accounts or the second factor of its person are
    others, once they may not sign in any more, and while they have a password or a second factor to set up first.
    Being idle does not count: somebody who watches does nothing. (Where RISK_REQUIRE_SECOND_FACTOR is "operators", it
    is a query more for each person who has none.)
    """
    moment = now or timezone.now()
    rows = Session.objects.filter(pk__in=session_keys, expire_date__gt=moment)
    said: dict[str, dict[str, Any]] = {row.session_key: row.get_decoded() for row in rows}
    keys = {kept[SESSION_KEY] for kept in said.values() if SESSION_KEY in kept}
    users = {str(user.pk): user for user in User.objects.filter(pk__in=keys, is_active=True)}
    standings = standings_of(list(users.values()))
    return {
        key: user
        for key, kept in said.items()
        if (user := users.get(kept.get(SESSION_KEY, ""))) and _is_good(kept, user, standings[user.pk], moment)
    }


def _is_good(kept: dict[str, Any], user: User, standing: Standing, now: datetime) -> bool:
    is_theirs = constant_time_compare(kept.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())
    return is_theirs and not _is_aged(kept, now) and _is_stamped(kept, standing) and not left_to_do(user, standing)


def _is_aged(session: SessionBase | dict[str, Any], now: datetime) -> bool:
    age_s: int = settings.SESSION_COOKIE_AGE
    return now.timestamp() - float(session.get(_SINCE, 0)) > age_s


def _is_stamped(session: SessionBase | dict[str, Any], standing: Standing) -> bool:
    return constant_time_compare(str(session.get(_STAMP, "")), standing.stamp)
