"""The account as it would stand: positions at their marks, with every open order and one more.

Worst case per symbol: all its buys fill and no sells, or all sells and no buys, whichever leaves the larger
position (SPEC 4). Exposure is valued at the mark, margin at what each order was valued at.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from msgspec import Struct

from riskcore.decimals import ZERO
from riskcore.ledger import with_open
from riskcore.types import OpenOrders, Position, Side

# The open orders of a leg without any.
NO_ORDERS = OpenOrders(symbol="")


class Leg(Struct, frozen=True):
    """One symbol on one exchange in one account, all open orders included.

    `high` and `low` are the signed positions after all buys and after all sells; the values are at the
    mark, in currency. `margin` is the initial margin that the open orders' worst case would need.
    """

    symbol: str
    exchange: str
    quantity: Decimal
    entry_price: Decimal
    mark: Decimal
    opened: OpenOrders
    high: Decimal
    low: Decimal
    worst_quantity: Decimal
    worst_value: Decimal
    margin: Decimal

    def may_be_on(self, exchange: str) -> bool:
        """Return whether this may be on an exchange ("" where nobody knows which): so may what names none."""
        return not exchange or self.exchange in (exchange, "")


class Exposure(Struct, frozen=True, kw_only=True):
    """The sums over an account's legs, in currency except the counts."""

    gross: Decimal
    net_high: Decimal
    net_low: Decimal
    margin_reserved: Decimal
    unrealized_pnl: Decimal
    pending_notional: Decimal
    open_positions: int
    open_orders: int


def make_leg(symbol: str, exchange: str, position: Position | None, opened: OpenOrders, mark: Decimal) -> Leg:
    """Return the leg of one symbol. `mark` in currency per unit, > 0."""
    quantity, entry = (position.quantity, position.entry_price) if position is not None else (ZERO, ZERO)
    if not opened.buy_count and not opened.sell_count:
        worst = abs(quantity)
        return Leg(symbol, exchange, quantity, entry, mark, opened, quantity, quantity, worst, worst * mark, ZERO)
    high = quantity + opened.buy_quantity
    low = quantity - opened.sell_quantity
    worst = max(abs(high), abs(low))
    margin = open_margin(quantity, opened)
    return Leg(symbol, exchange, quantity, entry, mark, opened, high, low, worst, worst * mark, margin)


def open_margin(quantity: Decimal, opened: OpenOrders) -> Decimal:
    """Return the initial margin that open orders need at worst: of the side that needs more.

    What first closes the position needs none; margin that closing would free is not counted on.
    """
    buys = side_margin(opened.buy_quantity, opened.buy_margin, opened.buy_unit_margin, -quantity)
    sells = side_margin(opened.sell_quantity, opened.sell_margin, opened.sell_unit_margin, quantity)
    return buys if buys > sells else sells


def side_margin(quantity: Decimal, margin: Decimal, unit_margin: Decimal, closable: Decimal) -> Decimal:
    """Return the margin that a side needs at worst for what is left of `quantity` after closing `closable`.

    The orders that need the most for a unit may be the ones that open: all that opens counts as the dearest
    (`unit_margin`), but never as more than the whole side. So no fill makes the rest need more.
    """
    if closable <= ZERO:
        return margin
    if quantity <= closable:
        return ZERO
    return min(margin, (quantity - closable) * unit_margin)


def leg_with_order(leg: Leg, side: Side, quantity: Decimal, valued_at: Decimal, margin_rate: Decimal) -> Leg:
    """Return the leg with one more open order of `quantity` (`valued_at` in currency per unit)."""
    opened = with_open(leg.opened, side, quantity, valued_at, margin_rate)
    position = Position(symbol=leg.symbol, quantity=leg.quantity, entry_price=leg.entry_price)
    return make_leg(leg.symbol, leg.exchange, position, opened, leg.mark)


def exposure_of(legs: Iterable[Leg]) -> Exposure:
    """Return the sums over legs in each of which something is held or open."""
    gross = high = low = margin = unrealized = pending = ZERO
    positions = orders = 0
    for leg in legs:
        mark, opened = leg.mark, leg.opened
        gross += leg.worst_value
        high += leg.high * mark
        low += leg.low * mark
        unrealized += leg.quantity * (mark - leg.entry_price)
        positions += 1
        if opened.buy_count or opened.sell_count:
            margin += leg.margin
            pending += opened.buy_notional + opened.sell_notional
            orders += opened.buy_count + opened.sell_count
    return Exposure(
        gross=gross,
        net_high=high,
        net_low=low,
        margin_reserved=margin,
        unrealized_pnl=unrealized,
        pending_notional=pending,
        open_positions=positions,
        open_orders=orders,
    )


def replace_leg(total: Exposure, before: Leg, after: Leg) -> Exposure:
    """Return the sums with `after` in the place of `before` (the same symbol with one more order)."""
    orders = after.opened.buy_count + after.opened.sell_count - before.opened.buy_count - before.opened.sell_count
    pending = (
        after.opened.buy_notional
        + after.opened.sell_notional
        - before.opened.buy_notional
        - before.opened.sell_notional
    )
    return Exposure(
        gross=total.gross - before.worst_value + after.worst_value,
        net_high=total.net_high + (after.high - before.high) * after.mark,
        net_low=total.net_low + (after.low - before.low) * after.mark,
        margin_reserved=total.margin_reserved - before.margin + after.margin,
        unrealized_pnl=total.unrealized_pnl,
        pending_notional=total.pending_notional + pending,
        open_positions=total.open_positions + bool(after.worst_quantity) - bool(before.worst_quantity),
        open_orders=total.open_orders + orders,
    )


def strictly_reduces(position: Decimal, side: Side, quantity: Decimal, open_same_side: Decimal) -> bool:
    """Return whether the order only makes a position smaller, even if every open order of its side fills.

    Such an order never opens or flips a position (SPEC 1, promise 6).
    """
    if not position or (position > ZERO) is (side is Side.BUY):
        return False
    return open_same_side + quantity <= abs(position)
