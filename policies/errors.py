"""Why a change was refused, apart from values that are out of range (Django's ValidationError, by field)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct


class PolicyError(Exception):
    """A change that was refused; its text is for the person who asked for it."""


class FieldChange(Struct, frozen=True):
    """One field on either side of a change, as people read it."""

    field: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.field} {self.before or 'empty'} → {self.after or 'empty'}"


class StaleEdit(PolicyError):
    """The row has changed since the person saw it. `changes` says how, `actor`, `at` and `reason` who last did it."""

    def __init__(
        self, label: str, *, current_version: int, changes: Sequence[FieldChange], actor: str, at: datetime, reason: str
    ) -> None:
        self.current_version = current_version
        self.changes = tuple(changes)
        self.actor, self.at, self.reason = actor, at, reason
        what = "; ".join(map(str, changes)) or "its fields are as they were"
        super().__init__(
            f"{label} was changed meanwhile by {actor} at {at:%Y-%m-%d %H:%M:%S} UTC ({reason}): {what}. "
            f"Nothing of yours was saved: look at version {current_version} and decide again."
        )


class NothingToChange(PolicyError):
    """Every field has the value already that was asked for."""

    def __init__(self, label: str) -> None:
        super().__init__(f"{label} is like that already: nothing was changed.")


class NotFound(PolicyError):
    """There is no such row."""

    def __init__(self, what: str, key: object) -> None:
        super().__init__(f"There is no {what} {key}.")


class Unreadable(PolicyError):
    """What a request sets cannot be read: another version of the program has written it, or it was damaged."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"What request {number} changes cannot be read any more: {why}.")


class WrongState(PolicyError):
    """A request is not in a state in which this can be done with it."""


class StaleRequest(PolicyError):
    """A request was edited since the person saw it: what they say is of another version."""

    def __init__(self, number: int, *, current_version: int, actor: str) -> None:
        self.current_version = current_version
        super().__init__(
            f"Request {number} was edited meanwhile by {actor}: look at what it says now and decide again."
        )


class OwnRequest(PolicyError):
    """Somebody approves or rejects what they wrote or edited."""

    def __init__(self) -> None:
        super().__init__("You wrote this: somebody else has to approve it.")


class NeedsApproval(PolicyError):
    """A request may not be published before somebody else has approved it. `missing` says how many have to."""

    def __init__(self, text: str, *, missing: int) -> None:
        self.missing = missing
        super().__init__(text)
