"""What flows in about an account beside whole reports: fills, closed orders, positions and P&L by themselves.

All of it may come late, twice and out of order. What an account comes to is the same in whatever order it
came: its positions are those of the newest snapshot and every fill that this did not have yet.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from riskcore.case import find_leg
from riskcore.decimals import EXACT, FINEST, ZERO
from riskcore.track import EquityTrack
from riskcore.types import AccountState, Position, Side


class CloseStatus(StrEnum):
    """How an order ended. FILLED: all of it traded, and its fills are told by themselves."""

    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"


class Fill(Struct, frozen=True, kw_only=True, gc=False):
    """A trade of an order: `quantity` > 0 at `price` >= 0 in currency, at `sent_at_us` by the venue's clock."""

    fill_id: str
    order_id: str
    account_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    sent_at_us: int
    exchange: str = ""

    @property
    def signed(self) -> Decimal:
        """What the fill adds to the position."""
        return self.quantity if self.side is Side.BUY else -self.quantity


class OrderClosed(Struct, frozen=True, kw_only=True, gc=False):
    """An order that is not in the market any more."""

    account_id: str
    order_id: str
    status: CloseStatus
    sent_at_us: int


class Source(Struct, frozen=True, array_like=True, gc=False):
    """The newest report of one part of the state: its number (-1: none), its stamp (0: none), its receipt.

    `received_at_us` 0: there was none.
    """

    sequence: int = -1
    sent_at_us: int = 0
    received_at_us: int = 0

    @property
    def as_of_us(self) -> int:
        """The moment that it tells of: its stamp, or else its receipt."""
        return self.sent_at_us or self.received_at_us

    def is_older(self, sequence: int, sent_at_us: int) -> bool:
        """Return whether a report with this number and stamp is this one again, or one before it."""
        if sequence >= 0 and self.sequence >= 0:
            return sequence <= self.sequence
        return bool(sent_at_us and self.sent_at_us and sent_at_us < self.sent_at_us)

    def missed(self, sequence: int) -> int:
        """Return how many reports are missing before the one of this number."""
        return sequence - self.sequence - 1 if self.sequence >= 0 and sequence > self.sequence else 0


class RecentFill(Struct, frozen=True, array_like=True, gc=False):
    """As much of a fill as a snapshot without it needs. `margin`: initial margin of what it opened, in currency."""

    sent_at_us: int
    symbol: str
    exchange: str
    signed: Decimal
    price: Decimal
    margin: Decimal


class FlowRecord(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """What is remembered of an account's flow beside its state and ledger. No check reads it.

    `fills`: those that a snapshot of positions or P&L may still come without. Before `complete_from_us` some
    were forgotten, so an older snapshot cannot be completed. `filled`: orders told to be filled whose fills have
    not all come, and when they were. `margin_used` is what the custodian reported. `track` is the equity of the last
    minutes.
    """

    positions: Source = Source()
    pnl: Source = Source()
    fills: tuple[RecentFill, ...] = ()
    complete_from_us: int = 0
    filled: dict[str, int] = {}
    margin_used: Decimal = ZERO
    track: EquityTrack = EquityTrack()


# A snapshot this much older than the newest fill is of no use any more; and so many fills are kept at most.
_KEPT_US = 60_000_000
_KEPT = 2_000

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(FlowRecord)


def encode_flow(record: FlowRecord) -> bytes:
    """Return the record as JSON."""
    return _encoder.encode(record)


def decode_flow(content: bytes | None) -> FlowRecord:
    """Return the record in `content`; None is an account without any. Raises msgspec.DecodeError."""
    return FlowRecord() if content is None else _decoder.decode(content)


def with_fill(record: FlowRecord, fill: RecentFill) -> FlowRecord:
    """Return the record with one more fill, without those that no snapshot will come without any more."""
    needed_from_us = min(record.positions.as_of_us, record.pnl.as_of_us)
    newest_us = max([fill.sent_at_us, *(one.sent_at_us for one in record.fills)])
    forgotten_us = max(record.complete_from_us, newest_us - _KEPT_US)
    kept = sorted(
        (one for one in (*record.fills, fill) if one.sent_at_us >= max(needed_from_us, forgotten_us)),
        key=lambda one: one.sent_at_us,
    )
    if len(kept) > _KEPT:
        forgotten_us = kept[-_KEPT - 1].sent_at_us + 1
        kept = [one for one in kept if one.sent_at_us >= forgotten_us]
    return replace(record, fills=tuple(kept), complete_from_us=forgotten_us)


def filled_position(held: Position | None, fill: RecentFill, exchange: str) -> Position:
    """Return the position after a fill; `exchange` is that of its leg.

    The entry price is the average of what was paid: an increase moves it, a reduction leaves it, a flip starts
    anew. An average that no decimal is is rounded to twelve places.
    """
    before = held if held is not None else Position(symbol=fill.symbol, quantity=ZERO, exchange=exchange)
    quantity = before.quantity + fill.signed
    if not before.quantity or (before.quantity > ZERO) is (fill.signed > ZERO):
        paid = abs(before.quantity) * before.entry_price + abs(fill.signed) * fill.price
        entry = (paid / abs(quantity)).quantize(FINEST, None, EXACT)
    elif not quantity or (quantity > ZERO) is (before.quantity > ZERO):
        entry = before.entry_price
    else:
        entry = fill.price
    return replace(before, quantity=quantity, entry_price=entry)


def opened_quantity(held: Position | None, signed: Decimal) -> Decimal:
    """Return how much of a signed quantity opens exposure, once the position is closed with the rest."""
    before = held.quantity if held is not None else ZERO
    if not before or (before > ZERO) is (signed > ZERO):
        return abs(signed)
    return max(ZERO, abs(signed) - abs(before))


def with_fills(positions: dict[str, Position], record: FlowRecord) -> dict[str, Position]:
    """Return a snapshot's positions with the fills that it came without; none of quantity zero."""
    found = dict(positions)
    for fill in record.fills:
        # One of the very moment of the snapshot may be in it or not: counted twice for a moment is the safe error.
        if fill.sent_at_us >= record.positions.as_of_us:
            key, exchange = find_leg(fill.symbol, fill.exchange, found)
            found[key] = filled_position(found.get(key), fill, exchange)
    return {key: held for key, held in found.items() if held.quantity}


def margin_with_fills(record: FlowRecord) -> Decimal:
    """Return the margin used: as reported, and of what was opened since."""
    return record.margin_used + sum(
        (fill.margin for fill in record.fills if fill.sent_at_us >= record.pnl.as_of_us), ZERO
    )


def without_state(account_id: str) -> AccountState:
    """Return the state of an account of which nothing was reported yet: too old for any order."""
    return AccountState(
        account_id=account_id,
        equity=ZERO,
        balance=ZERO,
        margin_used=ZERO,
        peak_equity=ZERO,
        daily_start_equity=ZERO,
        weekly_start_equity=ZERO,
        positions={},
        received_at_us=0,
    )


def oldest(record: FlowRecord) -> Source:
    """Return the source of whichever part of the state is older: the state is as old as that."""
    return min(record.positions, record.pnl, key=lambda source: (source.received_at_us > 0, _known_at_us(source)))


def _known_at_us(source: Source) -> int:
    return min(source.received_at_us, source.sent_at_us) if source.sent_at_us else source.received_at_us
