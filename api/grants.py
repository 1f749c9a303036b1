"""What API keys may: the words that they are made with, and the permissions that each word stands for."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from audit.acting import Acting
from audit.roles import EVIDENCE, PEOPLE, READING

CHECK_ORDERS = "api.check_orders"
REPORT_STATE = "api.report_state"
RELEASE = "audit.release_reservation"
CHANGE_LIMITS = "policies.change_limits"
APPROVE_LIMITS = "policies.approve_limits"
VIEW_POLICY = "policies.view_policy"
VIEW_REQUEST = "policies.view_changerequest"
VIEW_ACCOUNT = "policies.view_account"
VIEW_OVERRIDE = "policies.view_override"
VIEW_RESTRICTION = "policies.view_restrictedsymbol"
VIEW_DECISION = "audit.view_orderdecision"
VIEW_ALERT = "violations.view_alert"
VIEW_VIOLATION = "violations.view_violation"
ENGAGE_STOP = "emergency.engage_stop"
LIFT_STOP = "emergency.lift_stop"
VIEW_STOP = "emergency.view_emergencystop"
HANDLE_ALERT = "violations.handle_alert"


class Word(StrEnum):
    """What a key may. `admin` may do everything that doors offer."""

    CHECK = "check"
    FEED = "feed"
    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"


MEANINGS = {
    Word.CHECK: "ask whether orders may go, and release their reservations",
    Word.FEED: "report accounts' states and prices",
    Word.READ: "read metrics, limits, decisions and reservations",
    Word.OPERATE: "stop trading and re-enable it, restrict symbols and ask for changes of limits, act on alerts",
    Word.ADMIN: "everything",
}

_OPERATE = frozenset({ENGAGE_STOP, LIFT_STOP, HANDLE_ALERT, RELEASE, CHANGE_LIMITS})

_WORDS = frozenset(Word)

# A second pair of eyes belongs to somebody: a key that nobody holds by name has none.
FOR_PEOPLE = frozenset({APPROVE_LIMITS})

STANDS_FOR = {
    Word.CHECK: frozenset({CHECK_ORDERS}),
    Word.FEED: frozenset({REPORT_STATE}),
    Word.READ: frozenset(READING),
    Word.OPERATE: _OPERATE,
    # Evidence and people: what reports tell of, for who may take away all of them.
    Word.ADMIN: frozenset({CHECK_ORDERS, REPORT_STATE, *READING, *EVIDENCE, *PEOPLE, *_OPERATE, *FOR_PEOPLE}),
}


def granted(words: Iterable[str], holder: Acting | None) -> frozenset[str]:
    """Return the permissions of a key: of what its words stand for as much as its holder may. None: a machine."""
    meant = frozenset[str]().union(*(STANDS_FOR[Word(word)] for word in words))
    if holder is None:
        return meant - FOR_PEOPLE
    return meant if holder.permissions is None else meant & holder.permissions


def published(words: Iterable[str], holder: Acting | None) -> frozenset[str]:
    """Return what is published of a key's permissions: of a machine's, of which there are many, only its words."""
    return frozenset(words) if holder is None else granted(words, holder)


def spelled_out(permissions: Iterable[str]) -> frozenset[str]:
    """Return the permissions that were published, with names in the place of words."""
    words = [each for each in permissions if each in _WORDS]
    return granted(words, None) | frozenset(permissions).difference(words)


def words_for(permission: str) -> list[str]:
    """Return the words of a key that stand for a permission."""
    return [word.value for word, meant in STANDS_FOR.items() if permission in meant]
