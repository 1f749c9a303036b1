"""Fills and closed orders: how what is reserved becomes what is held, with nothing missing in between."""

from __future__ import annotations

from collections.abc import Generator
from decimal import Decimal, localcontext
from functools import partial

from msgspec.structs import replace

from riskcore.book import Parameters
from riskcore.bookkeeping import count_fill
from riskcore.case import find_leg
from riskcore.decimals import EXACT
from riskcore.flow import (
    CloseStatus,
    Fill,
    FlowRecord,
    OrderClosed,
    RecentFill,
    encode_flow,
    filled_position,
    opened_quantity,
    with_fill,
)
from riskcore.intake import KNOWN, NotApplied, Records, Taken, encode_state, intake_steps, read_records
from riskcore.ledger import encode_ledger, release, reserve
from riskcore.ports import AccountChange, AccountQuery, AccountView, Commit, Committed, Load, Loaded
from riskcore.release import release_entry, released
from riskcore.types import AccountState, Ledger, OrderTail, Reservation

Steps = Generator[Load | Commit, Loaded | Committed, Taken]

# Who ends a reservation, in the journal.
ACTOR = "feed"


def fill_steps(fill: Fill, parameters: Parameters, *, home_exchange: str = "") -> Steps:
    """Take a fill: its order's reservation shrinks by what the position grows, in one write.

    Where it names no exchange, it is on its order's, or else on its account's own (`home_exchange`).
    A fill that is told twice changes nothing. One that is told before its order was asked about moves the
    position, and what is left of the order is reserved when it is. Each counts as a trade of the account's day, whether
    its order still holds anything or not, as soon as the account has been asked about any order. Raises NotApplied.
    """
    query = AccountQuery(
        account_id=fill.account_id,
        order_ids=(fill.order_id,),
        reservations=(fill.order_id,),
        fills=(fill.fill_id,),
        flow=True,
    )
    return intake_steps(query, partial(_take_fill, fill, parameters, home_exchange))


def close_steps(closed: OrderClosed) -> Steps:
    """Take the end of an order: what it still reserved is given back.

    Of a filled order it stays until its fills have come, or a snapshot of positions that has them. An order
    that was not asked about is not approved any more. Raises NotApplied.
    """
    query = AccountQuery(
        account_id=closed.account_id, order_ids=(closed.order_id,), reservations=(closed.order_id,), flow=True
    )
    return intake_steps(query, partial(_take_close, closed))


def _take_fill(
    fill: Fill, parameters: Parameters, home_exchange: str, view: AccountView, now_us: int, _looked_at: frozenset[str]
) -> Taken:
    if fill.fill_id in view.fills:
        return KNOWN
    records, held = read_records(view), view.reservations.get(fill.order_id)
    if held is not None and (held.symbol, held.side) != (fill.symbol, fill.side):
        raise NotApplied(f"fill {fill.fill_id} says {fill.side} {fill.symbol}, but order {held.order_id} does not")
    with localcontext(EXACT):
        left = _what_is_left(held, fill)
        ledger = count_fill(_with_left(records.ledger, held, left), now_us, parameters)
        rate = held.margin_rate if held is not None else parameters.default_margin_rate
        exchange = fill.exchange or (held.exchange if held is not None else home_exchange)
        state, flow = _fill_state(records, fill, exchange, rate)
    if left is None and fill.order_id in flow.filled:
        flow = _without_filled(flow, fill.order_id)
    change = AccountChange(
        account_id=fill.account_id,
        expected_version=view.version,
        state=encode_state(state),
        symbols=symbols_of(state, ledger),
        # A live state that lost its memory has no ledger: one is put back whole, and not begun by a fill.
        ledger=None if view.ledger is None else encode_ledger(ledger),
        flow=encode_flow(flow),
        remove=() if held is None else (held,),
        add=() if left is None else (left,),
        fills=(fill.fill_id,),
        tails=_tail_of_fill(view, fill) if held is None else {},
    )
    journal = (
        (release_entry(held, actor=ACTOR, reason="filled", now_us=now_us),) if held is not None and left is None else ()
    )
    return Taken(change=change, journal=journal)


def _what_is_left(held: Reservation | None, fill: Fill) -> Reservation | None:
    """Return what an order still reserves after a fill; None where it reserved no more than was filled."""
    if held is None or held.quantity <= fill.quantity:
        return None
    return replace(held, quantity=held.quantity - fill.quantity)


def _with_left(ledger: Ledger, held: Reservation | None, left: Reservation | None) -> Ledger:
    if held is None:
        return ledger
    ledger = release(ledger, (held,))
    return ledger if left is None else reserve(ledger, left)


def _fill_state(records: Records, fill: Fill, exchange: str, margin_rate: Decimal) -> tuple[AccountState, FlowRecord]:
    """Return state and flow with the fill in them, as far as the newest snapshots came without it."""
    state, flow = records.state, records.flow
    key, exchange = find_leg(fill.symbol, exchange, state.positions)
    before = state.positions.get(key)
    margin = opened_quantity(before, fill.signed) * fill.price * margin_rate
    recent = RecentFill(fill.sent_at_us, fill.symbol, exchange, fill.signed, fill.price, margin)
    if fill.sent_at_us >= flow.positions.as_of_us:
        positions = {**state.positions, key: filled_position(before, recent, exchange)}
        state = replace(state, positions={name: one for name, one in positions.items() if one.quantity})
    if fill.sent_at_us >= flow.pnl.as_of_us:
        state = replace(state, margin_used=state.margin_used + margin)
    return state, with_fill(flow, recent)


def _tail_of_fill(view: AccountView, fill: Fill) -> dict[str, OrderTail]:
    """Return what is to be remembered of an order that was not asked about yet."""
    if fill.order_id in view.answers:
        return {}
    known = view.tails.get(fill.order_id, OrderTail())
    with localcontext(EXACT):
        return {fill.order_id: OrderTail(known.filled + fill.quantity, known.closed)}


def _take_close(closed: OrderClosed, view: AccountView, now_us: int, _looked_at: frozenset[str]) -> Taken:
    held = view.reservations.get(closed.order_id)
    if held is None:
        return _remember_closed(closed, view)
    records = read_records(view)
    if closed.status is CloseStatus.FILLED and closed.sent_at_us >= records.flow.positions.as_of_us:
        if closed.order_id in records.flow.filled:
            return KNOWN
        filled = {**records.flow.filled, closed.order_id: closed.sent_at_us}
        return Taken(
            change=AccountChange(
                account_id=closed.account_id,
                expected_version=view.version,
                flow=encode_flow(replace(records.flow, filled=filled)),
            )
        )
    return Taken(
        change=AccountChange(
            account_id=closed.account_id,
            expected_version=view.version,
            ledger=encode_ledger(released(records.ledger, (held,))),
            flow=encode_flow(_without_filled(records.flow, closed.order_id)),
            remove=(held,),
        ),
        journal=(release_entry(held, actor=ACTOR, reason=closed.status, now_us=now_us),),
    )


def _remember_closed(closed: OrderClosed, view: AccountView) -> Taken:
    """An order that holds nothing: only where it was not asked about yet does its end still matter."""
    known = view.tails.get(closed.order_id, OrderTail())
    if closed.order_id in view.answers or known.closed:
        return KNOWN
    tails = {closed.order_id: OrderTail(known.filled, closed=True)}
    return Taken(change=AccountChange(account_id=closed.account_id, expected_version=view.version, tails=tails))


def _without_filled(flow: FlowRecord, order_id: str) -> FlowRecord:
    return replace(flow, filled={name: at_us for name, at_us in flow.filled.items() if name != order_id})


def symbols_of(state: AccountState, ledger: Ledger | None) -> tuple[str, ...]:
    """Return the symbols of all positions and of all open orders, where those are known, each once."""
    held = (position.symbol for position in state.positions.values())
    opened = (orders.symbol for orders in ledger.open.values()) if ledger is not None else ()
    return tuple(dict.fromkeys((*held, *opened)))
