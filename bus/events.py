"""What is published, each with its subject: a message is the JSON of its fields."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
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


class AuditHeads(Event, frozen=True, kw_only=True):
    """Where the chains of evidence end: kept by whoever hears it, it proves later that nothing was cut off.

    `events` audit events and `batches` of sealed evidence, and the hash of the last of each (64 zeros: there is none).
    """

    subject: ClassVar[str] = "risk.audit.head"

    at: datetime
    events: int
    events_hash: str
    batches: int
    batches_hash: str


class AccountFigures(Struct, frozen=True, kw_only=True):
    """An account's metrics at one moment; `account_id` empty: the firm's. Amounts in currency, ratios as fractions.

    `binding_limit` is the name of the limit that it uses most, empty where there is none;
    `equity` None: it cannot be valued.
    """

    account_id: str
    risk_level: str
    risk_score: Decimal | None
    binding_limit: str
    equity: Decimal | None
    metrics: dict[str, Decimal | None]


class MetricsTick(Event, frozen=True, kw_only=True):
    """What the monitor saw, of some accounts: one look is told in `parts` messages, of which this is the `part`-th.

    `accounts` are AccountFigures in JSON: most of them were told before.
    """

    subject: ClassVar[str] = "risk.metrics"

    at: datetime
    part: int
    parts: int
    accounts: tuple[msgspec.Raw, ...]


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


class StopProgressed(Event, frozen=True, kw_only=True, tag_field="event", tag="stop_progressed"):
    """What an emergency stop asked of the OMS has come a stage further, or is asked no more.

    `residuals`: in how many accounts something is left.
    """

    subject: ClassVar[str] = "risk.emergency"

    stop_id: str
    status: str
    given_up: bool
    orders_canceled: int
    positions_closed: int
    residuals: int


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


class AlertRaised(Event, frozen=True, kw_only=True):
    """A limit was broken, and people are told so. `id` is the alert's: the same again, later, says that it still fires.

    `account_id` is empty where the figure is the firm's, `symbol` where it is the whole account's. `metric_value` None:
    not defined.
    """

    id: str
    level: str
    policy_id: str
    policy_name: str
    policy_type: str
    metric: str
    metric_value: Decimal | None
    threshold_value: Decimal
    account_id: str
    symbol: str
    message: str
    timestamp: datetime


class WarningRaised(AlertRaised, frozen=True, kw_only=True):
    """A soft limit was broken."""

    subject: ClassVar[str] = "risk.alerts.warning"


class CriticalRaised(AlertRaised, frozen=True, kw_only=True):
    """A hard limit was broken."""

    subject: ClassVar[str] = "risk.alerts.critical"


class EmergencyRaised(AlertRaised, frozen=True, kw_only=True):
    """An emergency limit was broken."""

    subject: ClassVar[str] = "risk.alerts.emergency"
