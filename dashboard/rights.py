"""Who looks, and what they may see: read from the database when they come, and again while they look."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.db import connections

from access.sessions import people_of
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
    """Return who is signed in by these sessions, with what they may now; those whose session is not good are left out.

    A few queries, however many they are. Raises Django's database errors.
    """
    try:
        users = people_of(session_keys)
        found = people(list(users.values()))
        return {key: found[user.pk] for key, user in users.items()}
    finally:
        connections.close_all()
