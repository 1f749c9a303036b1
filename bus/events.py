"""What is published, each with its subject: a message is the JSON of its fields."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import msgspec
from msgspec import Struct

_encoder = msgspec.json.Encoder()


class Event(Struct, frozen=True, kw_only=True):
    """Something that has happened. It may come twice, and says by its fields which one it is."""

    subject: ClassVar[str]

    def payload(self) -> bytes:
        """Return the message as it travels."""
        return _encoder.encode(self)


class BookPublished(Event, frozen=True, kw_only=True):
    """A new policy book is in force: every check from now on goes by it, or by a later one."""

    subject: ClassVar[str] = "risk.policies.published"

    version: int
    sha256: str
    actor: str
    reason: str
    created_at: datetime


class StopEngaged(Event, frozen=True, kw_only=True, tag_field="event", tag="stop_engaged"):
    """An emergency stop is in force: no order in its scope is approved from now on."""

    subject: ClassVar[str] = "risk.emergency"

    stop_id: str
    scope: str
    scope_id: str
    state: str
    unwind: bool
    reason: str
    triggered_by: str
    trigger: str
    engaged_at: datetime


class StopLifted(Event, frozen=True, kw_only=True, tag_field="event", tag="stop_lifted"):
    """An emergency stop was lifted. Others that are in force stay so."""

    subject: ClassVar[str] = "risk.emergency"

    stop_id: str
    scope: str
    scope_id: str
    state: str
    lifted_by: str
    approved_by: str
    forced: bool
    reason: str
    lifted_at: datetime
