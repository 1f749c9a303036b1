"""From a journal entry to the row that keeps it."""

from __future__ import annotations

from typing import TypeAlias
from uuid import UUID

import msgspec
from django.db import models
from msgspec import Raw, Struct

from audit.fields import ExactDecimalField
from audit.models import OrderDecision, ReservationEnd
from riskcore.calendar import moment
from riskcore.journal import Inputs, ReleaseEntry
from riskcore.types import Verdict

Row: TypeAlias = OrderDecision | ReservationEnd


class UnfitEntry(ValueError):
    """A journal entry that cannot become a row, and why."""


class _DecisionText(Struct, frozen=True, tag="decision", tag_field="kind"):
    """A `riskcore.journal.DecisionEntry` whose two parts are left as the bytes they are."""

    inputs: Raw
    decision: Raw


class _Outcome(Struct, frozen=True):
    """What of an answer has a column of its own."""

    decision: Verdict
    approved: bool
    reason: str | None


_entries: msgspec.json.Decoder[_DecisionText | ReleaseEntry] = msgspec.json.Decoder(_DecisionText | ReleaseEntry)
_inputs = msgspec.json.Decoder(Inputs)
_outcome = msgspec.json.Decoder(_Outcome)


def read_row(content: bytes) -> Row:
    """Return the unsaved row for a journal entry. Raises UnfitEntry where there is none that keeps it exactly."""
    try:
        entry = _entries.decode(content)
        row = _reservation_end(entry) if isinstance(entry, ReleaseEntry) else _decision(entry)
    except (ValueError, OverflowError, RecursionError) as error:
        raise UnfitEntry(str(error)) from error
    _check_fit(row)
    return row


def entry_time_us(content: bytes) -> int | None:
    """Return when the entry was written, in microseconds since the epoch, or None where it cannot be read."""
    try:
        entry = _entries.decode(content)
        return entry.now_us if isinstance(entry, ReleaseEntry) else _inputs.decode(entry.inputs).now_us
    except (ValueError, RecursionError):
        return None


def _decision(entry: _DecisionText) -> OrderDecision:
    inputs = _inputs.decode(entry.inputs)
    outcome = _outcome.decode(entry.decision)
    order = inputs.order
    return OrderDecision(
        decision_id=UUID(inputs.decision_id),
        account_id=order.account_id,
        order_id=order.order_id,
        symbol=order.symbol,
        side=order.side.value,
        quantity=order.quantity,
        price=order.price,
        order_type=order.order_type.value,
        strategy_id=order.strategy_id,
        exchange=order.exchange,
        verdict=outcome.decision.value,
        approved=outcome.approved,
        reason=outcome.reason or "",
        what_if=order.what_if,
        book_version=inputs.book_version,
        account_version=inputs.account_version,
        decided_at=moment(inputs.now_us),
        inputs=bytes(entry.inputs).decode(),
        answer=bytes(entry.decision).decode(),
    )


def _reservation_end(entry: ReleaseEntry) -> ReservationEnd:
    return ReservationEnd(
        decision_id=UUID(entry.decision_id),
        account_id=entry.account_id,
        order_id=entry.order_id,
        actor=entry.actor,
        reason=entry.reason,
        ended_at=moment(entry.now_us),
    )


def _check_fit(row: Row) -> None:
    """Refuse what a column would cut, round or choke on, on every database alike."""
    for field in row._meta.concrete_fields:
        value = getattr(row, field.attname)
        if isinstance(field, ExactDecimalField) and not field.fits(value):
            raise UnfitEntry(f"{field.name} {value} has more digits than are kept")
        if isinstance(value, str):
            if "\0" in value:
                raise UnfitEntry(f"{field.name} has a NUL character")
            longest = field.max_length if isinstance(field, models.CharField) else None
            if longest is not None and len(value) > longest:
                raise UnfitEntry(f"{field.name} has {len(value)} characters; {longest} are kept")
