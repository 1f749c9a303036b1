"""The words of a stop: what set it off, and how far what it asked for has come."""

from __future__ import annotations

from enum import StrEnum


class Trigger(StrEnum):
    """What set a stop off. `recovery`: stops may have been lost, and nobody can say which."""

    PERSON = "person"
    POLICY = "policy"
    BREAKER = "breaker"
    LEASE = "lease"
    DRILL = "drill"
    RECOVERY = "recovery"


class Status(StrEnum):
    """How far a stop has come. Orders are blocked from the first on, and until it is lifted."""

    BLOCKED = "blocked"
    CANCELLED = "cancelled"
    UNWINDING = "unwinding"
    FLAT = "flat"
    COMPLETED = "completed"


class Command(StrEnum):
    """What an OMS is asked to do with an account."""

    CANCEL_ALL = "cancel_all"
    CLOSE_ALL = "close_all"


class Event(StrEnum):
    """What a step of the timeline says that has happened."""

    ASKED = "asked"
    IN_FORCE = "in_force"
    ASKED_AGAIN = "asked_again"
    RECORDED = "recorded"
    PUT_BACK = "put_back"
    FORCE_ASKED = "force_asked"
    LIFTED = "lifted"
    ORDERS_CANCELLED = "orders_cancelled"
    POSITIONS_CLOSED = "positions_closed"
    TROUBLE = "trouble"
    GAVE_UP = "gave_up"
    WENT_ON = "went_on"
    ENDED = "ended"
