"""How long a session is good: not beyond its age, not while idle, and not once its person's rights have changed."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore
from django.db.models import CharField, QuerySet, Value
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
    facts = sorted(_facts(user))
    kinds = {kind for kind, _ in facts}
    kept = [[user.is_staff, user.is_superuser], [fact for fact in facts if fact[0] != "given"]]
    stamp = hashlib.sha256(repr(kept).encode()).hexdigest()
    return Standing(stamp, has_factor="factor" in kinds, given_password="given" in kinds)


def _facts(user: User) -> QuerySet[Any, tuple[str, str]]:
    return _named("factor", SecondFactor.objects.filter(user=user), "salt").union(
        _named("group", User.groups.through.objects.filter(user=user), "group_id"),
        _named("permission", User.user_permissions.through.objects.filter(user=user), "permission_id"),
        _named("account", AccountGrant.objects.filter(user=user), "account_id"),
        _named("given", GivenPassword.objects.filter(user=user), "pk"),
        all=True,
    )


def _named(kind: str, rows: QuerySet[Any], column: str) -> QuerySet[Any, tuple[str, str]]:
    text: CharField[str, str] = CharField()
    return rows.order_by().values_list(Value(kind, output_field=text), Cast(column, text))


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
    if now.timestamp() - session.get(_SINCE, 0) > settings.SESSION_COOKIE_AGE:
        return AGED
    if now.timestamp() - session.get(_SEEN, 0) > settings.RISK_SESSION_IDLE.total_seconds():
        return IDLE
    return "" if _is_stamped(session, standing) else CHANGED


def note_seen(session: SessionBase, now: datetime) -> None:
    """Note that a session is used: its idle time begins anew."""
    if now.timestamp() - session.get(_SEEN, 0) > _SEEN_EVERY.total_seconds():
        session[_SEEN] = now.timestamp()


def session_is_good(session_key: str | None, now: datetime | None = None) -> bool:
    """Return whether whoever has this session may go on, as the database has it now.

    For what stays open between requests, as a websocket: ask every few seconds, and close it once the answer is no.
    Three small queries, nothing is written. No is the answer after a sign-out, once the session's age is reached, once
    the password, the roles, the rights, the accounts or the second factor of its person are others, once they may not
    sign in any more, and while they have a password or a second factor to set up first. Being idle does not count:
    somebody who watches does nothing.

    Parameters
    ----------
    session_key
        The key of the session, `scope["session"].session_key` in a consumer. None: there is none, which is no.
    now
        Timezone-aware; the present moment if left out.
    """
    moment = now or timezone.now()
    session: dict[str, Any] = SessionStore(session_key).load() if session_key else {}
    user = User.objects.filter(pk=session[SESSION_KEY], is_active=True).first() if SESSION_KEY in session else None
    if user is None or not constant_time_compare(session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash()):
        return False
    standing = standing_of(user)
    aged = moment.timestamp() - session.get(_SINCE, 0) > settings.SESSION_COOKIE_AGE
    return not aged and _is_stamped(session, standing) and not left_to_do(user, standing)


def _is_stamped(session: SessionBase | dict[str, Any], standing: Standing) -> bool:
    return constant_time_compare(str(session.get(_STAMP, "")), standing.stamp)
