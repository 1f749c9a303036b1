"""Who looks, and what they may see: read from the database when they come, and again while they look."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connections
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from api.grants import VIEW_ACCOUNT, VIEW_ALERT, VIEW_STOP, VIEW_VIOLATION
from audit.acting import Acting
from audit.rights import people

# Sections that take a permission of their own.
_NEEDED = {"alerts": VIEW_ALERT, "violations": VIEW_VIOLATION, "stops": VIEW_STOP}


def hidden_from(acting: Acting) -> frozenset[str]:
    """Return the sections that somebody may not see."""
    return frozenset(name for name, permission in _NEEDED.items() if not acting.may(permission))


def may_look(acting: Acting) -> bool:
    """Return whether somebody may see live pages at all."""
    return acting.may(VIEW_ACCOUNT)


def signed_in(session_keys: Collection[str]) -> Mapping[str, Acting]:
    """Return who is signed in by these sessions, with what they may now; those whose session is over are left out.

    A few queries, however many they are. Raises Django's database errors.
    """
    try:
        rows = Session.objects.filter(pk__in=session_keys, expire_date__gt=timezone.now())
        said = {row.session_key: row.get_decoded() for row in rows}
        users = {str(user.pk): user for user in User.objects.filter(pk__in=filter(None, map(_user_of, said.values())))}
        good = {key: user for key, each in said.items() if (user := users.get(_user_of(each))) and _holds(each, user)}
        found = people(list(good.values()))
        return {key: found[user.pk] for key, user in good.items()}
    finally:
        connections.close_all()


def _user_of(said: Mapping[str, Any]) -> str:
    return str(said.get(SESSION_KEY, ""))


def _holds(said: Mapping[str, Any], user: User) -> bool:
    """Return whether a session is still its user's: not after the password was changed, or the account closed."""
    kept = str(said.get(HASH_SESSION_KEY, ""))
    return user.is_active and constant_time_compare(kept, user.get_session_auth_hash())
