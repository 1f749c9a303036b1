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


class Leg(Struct, frozen=True, gc=False):
    """One symbol on one exchange in one account, all open orders included.

    `high` and `low` are the signed positions after all buys and after all sells. The values, all at the mark,
    are in currency: of those two, of the larger of them (`worst_value`), and what the position has gained.
    `margin` is the initial margin that the open orders' worst case would need, `pending_notional` what they are worth.
    """

    symbol: str
    exchange: str
    quantity: Decimal
    entry_price: Decimal
    mark: Decimal
    opened: OpenOrders
    high: Decimal
    low: Decimal
    high_value: Decimal
    low_value: Decimal
    worst_value: Decimal
    unrealized_pnl: Decimal
    margin: Decimal
    pending_notional: Decimal = ZERO
    open_orders: int = 0

    def may_be_on(self, exchange: str) -> bool:
        """Return whether this may be on an exchange ("" where nobody knows which): so may what names none."""
        return not exchange or self.exchange in (exchange, "")


class Exposure(Struct, frozen=True, kw_only=True, gc=False):
    """The sums over an account's legs, in currency except the counts."""

    gross: Decimal
    net_high: Decimal
    net_low: Decimal
    margin_reserved: Decimal
    unrealized_pnl: Decimal
    pending_notional: Decimal
    open_positions: int
    open_orders: int


def held_leg(position: Position, opened: OpenOrders, mark: Decimal) -> Leg:
    """Return the leg of a position. `mark` in currency per unit, > 0."""
    return make_leg(position.symbol, position.exchange, position.quantity, position.entry_price, opened, mark)


def make_leg(
    symbol: str, exchange: str, quantity: Decimal, entry_price: Decimal, opened: OpenOrders, mark: Decimal
) -> Leg:
    """Return the leg of one symbol. `entry_price` and `mark` in currency per unit, the mark > 0."""
    gained = quantity * (mark - entry_price)
    orders = opened.buy_count + opened.sell_count
    if not orders:
        value = quantity * mark
        return Leg(
            symbol, exchange, quantity, entry_price, mark, opened,
            quantity, quantity, value, value, abs(value), gained, ZERO, ZERO, 0,
        )  # fmt: skip
    high = quantity + opened.buy_quantity
    low = quantity - opened.sell_quantity
    high_value, low_value = high * mark, low * mark
    # `high` is never below `low`, so the one farther from zero is above zero in the first case, below in the other.
    worst_value = high_value if high_value > -low_value else -low_value
    margin = open_margin(quantity, opened)
    return Leg(
        symbol, exchange, quantity, entry_price, mark, opened,
        high, low, high_value, low_value, worst_value, gained, margin,
        opened.buy_notional + opened.sell_notional, orders,
    )  # fmt: skip


def open_margin(quantity: Decimal, opened: OpenOrders) -> Decimal:
    """Return the initial margin that open orders need at worst: of the side that needs more.

    What first closes the position needs none; margin that closing would free is not counted on.
    """
    buys, sells = opened.buy_margin, opened.sell_margin
    if quantity > ZERO:
        sells = side_margin(opened.sell_quantity, sells, opened.sell_unit_margin, quantity)
    elif quantity < ZERO:
        buys = side_margin(opened.buy_quantity, buys, opened.buy_unit_margin, -quantity)
    return buys if buys > sells else sells


def side_margin(quantity: Decimal, margin: Decimal, unit_margin: Decimal, closable: Decimal) -> Decimal:
    """Return the margin that a side needs at worst for what is left of `quantity` after closing `closable` > 0.

    The orders that need the most for a unit may be the ones that open: all that opens counts as the dearest
    (`unit_margin`), but never as more than the whole side. So no fill makes the rest need more.
    """
    if quantity <= closable:
        return ZERO
    return min(margin, (quantity - closable) * unit_margin)


def leg_with_order(leg: Leg, side: Side, quantity: Decimal, valued_at: Decimal, margin_rate: Decimal) -> Leg:
    """Return the leg with one more open order of `quantity` (`valued_at` in currency per unit)."""
    opened = with_open(leg.opened, side, quantity, valued_at, margin_rate)
    return make_leg(leg.symbol, leg.exchange, leg.quantity, leg.entry_price, opened, leg.mark)


def exposure_of(legs: Iterable[Leg]) -> Exposure:
    """Return the sums over legs in each of which something is held or open."""
    gross = high = low = margin = unrealized = pending = ZERO
    positions = orders = 0
    for leg in legs:
        gross += leg.worst_value
        high += leg.high_value
        low += leg.low_value
        unrealized += leg.unrealized_pnl
        positions += 1
        if leg.open_orders:
            margin += leg.margin
            pending += leg.pending_notional
            orders += leg.open_orders
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
    return Exposure(
        gross=total.gross - before.worst_value + after.worst_value,
        net_high=total.net_high - before.high_value + after.high_value,
        net_low=total.net_low - before.low_value + after.low_value,
        margin_reserved=total.margin_reserved - before.margin + after.margin,
        unrealized_pnl=total.unrealized_pnl,
        pending_notional=total.pending_notional - before.pending_notional + after.pending_notional,
        open_positions=total.open_positions + bool(after.worst_value) - bool(before.worst_value),
        open_orders=total.open_orders - before.open_orders + after.open_orders,
    )


def strictly_reduces(position: Decimal, side: Side, quantity: Decimal, open_same_side: Decimal) -> bool:
    """Return whether the order only makes a position smaller, even if every open order of its side fills.

    Such an order never opens or flips a position (SPEC 1, promise 6).
    """
    if not position or (position > ZERO) is (side is Side.BUY):
        return False
    return open_same_side + quantity <= abs(position)
