"""What the journal keeps: every decision with all that it was worked out from, and every early release."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from riskcore.ports import Signal, Stop
from riskcore.reasons import Reason
from riskcore.types import Order, OrderTail, Price, Reservation


class Inputs(Struct, frozen=True, kw_only=True, gc=False):
    """All that one decision depends on, beside the book of `book_version`.

    `state` and `ledger` are the JSON of AccountState and Ledger as they were loaded (null: none).
    `own_price` is the account's own best open price on the other side. `forced` is set where the refusal
    came from outside the rules: contention, or another order of an atomic batch. `beside_refused`: the ledger
    has approvals of an atomic batch that this very block sank, so the decision leaves nothing behind. `tail` is
    what was told of the order before it was asked about, None as a rule. `signal` is the monitor's, None where
    there was none.
    """

    order: Order
    decision_id: str
    now_us: int
    book_version: int
    generation: str
    epoch: int
    account_version: int
    state: Raw
    ledger: Raw
    prices: dict[str, Price]
    stops: tuple[Stop, ...] = ()
    expired: tuple[Reservation, ...] = ()
    own_price: str | None = None
    duplicate: bool = False
    forced: Reason | None = None
    beside_refused: bool = False
    tail: OrderTail | None = None
    signal: Signal | None = None


class DecisionEntry(Struct, frozen=True, kw_only=True, tag="decision", tag_field="kind", gc=False):
    """One decision, kept. `decision` is the JSON that was answered, without its processing time."""

    inputs: Inputs
    decision: Raw


class ReleaseEntry(Struct, frozen=True, kw_only=True, tag="release", tag_field="kind", gc=False):
    """A reservation that was ended before its time, by whom and why."""

    decision_id: str
    account_id: str
    order_id: str
    actor: str
    reason: str
    now_us: int


_decoder: msgspec.json.Decoder[DecisionEntry | ReleaseEntry] = msgspec.json.Decoder(DecisionEntry | ReleaseEntry)


def decode_entry(content: bytes) -> DecisionEntry | ReleaseEntry:
    """Return the journal entry in `content`. Raises msgspec.DecodeError where it is not one."""
    return _decoder.decode(content)
