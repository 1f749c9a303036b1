"""The largest quantity of an order that would pass: each limit solved for the quantity, the least of them taken.

Every metric that grows with an order grows linearly in its quantity, margin while a position is being closed
and flipped in two pieces: so each limit has an exact answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

from msgspec import Struct

from riskcore.book import Instrument, Operator
from riskcore.decimals import FINEST, INFINITY, ZERO, floor_to_step
from riskcore.limits import Bound, Finding, Limit
from riskcore.metrics import OrderFacts
from riskcore.simulate import Exposure, Leg
from riskcore.tail import Tail
from riskcore.types import AccountState, Side


class Room(Struct, frozen=True, kw_only=True):
    """An account just before an order, and the order whose quantity is sought (`beside` as in Subject).

    `tail` is that of the account with the order.
    """

    state: AccountState
    exposure: Exposure
    leg: Leg
    beside: Decimal
    side: Side
    order: OrderFacts
    margin_rate: Decimal
    step: Decimal
    tail: Tail | None

    @property
    def used_today(self) -> Decimal:
        """Notional approved today before this order, in currency."""
        return self.order.daily_notional - self.order.notional


def largest_quantity(room: Room, here: Room, findings: Iterable[Finding], reducible: Decimal) -> Decimal:
    """Return the largest whole number of steps that passes every blocking limit and the available margin.

    `here` is the room as limits by exchange see it. `reducible` is what passes whatever the limits say, because
    it only reduces the position; 0 if nothing.
    """
    least = INFINITY
    of_whole: dict[Solve, Decimal] = {margin_room: room.state.equity - room.state.margin_used}
    of_here: dict[Solve, Decimal] = {}
    of_tail: list[Limit] = []
    for finding in findings:
        limit = finding.limit
        if not limit.blocking:
            continue
        budget = _BUDGETS[limit.bound].get(limit.metric.name)
        if budget is None:
            if limit.of_tail and limit.bound is Bound.CAP:
                of_tail.append(limit)
            elif not finding.holds:
                least = ZERO  # no quantity changes what this limit says
            continue
        seen, amounts = (here, of_here) if limit.by_exchange else (room, of_whole)
        solve, amount = budget(seen, limit.threshold)
        if not limit.inclusive:
            least = min(least, _quantity_below(seen, limit, solve, amount))
        elif amount < amounts.get(solve, INFINITY):
            amounts[solve] = amount
    for seen, amounts in ((room, of_whole), (here, of_here)):
        for solve, amount in amounts.items():
            least = min(least, solve(seen, amount))
    for limit in of_tail:
        if least > ZERO:
            least = min(least, _tail_room(here if limit.by_exchange else room, limit, least))
    best = max(least, reducible)
    return floor_to_step(best, room.step) if best > ZERO else ZERO


def _tail_room(room: Room, limit: Limit, most: Decimal) -> Decimal:
    """Return the quantity up to `most` that a limit on value at risk has room for, a little less than all of it."""
    assert room.tail is not None  # a book with such a limit makes it
    return room.tail.largest_quantity(
        limit.metric.name,
        limit.threshold,
        symbol=room.leg.symbol,
        mark=room.leg.mark,
        side=room.side,
        quantity=room.order.quantity,
        most=most,
    )


def _quantity_below(room: Room, limit: Limit, solve: Solve, amount: Decimal) -> Decimal:
    """A strict limit does not hold at its bound itself: step below it. An inequality forbids one quantity only."""
    quantity = solve(room, amount)
    if limit.policy.operator is Operator.NOT_EQUAL:
        return quantity - room.step if quantity == room.order.quantity else INFINITY
    if limit.policy.operator is Operator.EQUAL or not quantity.is_finite():
        return quantity
    if quantity <= ZERO:
        return ZERO
    below = floor_to_step(quantity, room.step)
    return below - room.step if below == quantity else below


# How a limit bounds the quantity: by an amount, and by how much of it each unit of quantity uses. Limits that
# use the same are solved together, for the least of their amounts.
Solve = Callable[[Room, Decimal], Decimal]
_Budget = Callable[[Room, Decimal], tuple[Solve, Decimal]]


def _worst_value(room: Room, amount: Decimal) -> Decimal:
    """Return the quantity that takes the leg's worst-case value at the mark up to `amount`, in currency."""
    reach = amount / room.leg.mark
    high, low = room.leg.high, room.leg.low
    if room.side is Side.BUY:
        return reach - high if -low <= reach else ZERO
    return reach + low if high <= reach else ZERO


def _at_mark(room: Room, amount: Decimal) -> Decimal:
    return amount / room.leg.mark


def _at_price(room: Room, amount: Decimal) -> Decimal:
    return amount / room.order.valued_at


def _as_it_is(_room: Room, amount: Decimal) -> Decimal:
    return amount


def _gross(room: Room, cap: Decimal) -> tuple[Solve, Decimal]:
    return _worst_value, cap - room.exposure.gross + room.leg.worst_value


def _leverage(room: Room, cap: Decimal) -> tuple[Solve, Decimal]:
    return _gross(room, cap * room.state.equity) if room.state.equity > ZERO else (_as_it_is, ZERO)


def _position_value(room: Room, cap: Decimal) -> tuple[Solve, Decimal]:
    return _worst_value, cap - room.beside


def _concentration(room: Room, cap: Decimal) -> tuple[Solve, Decimal]:
    return _position_value(room, cap * room.state.equity) if room.state.equity > ZERO else (_as_it_is, ZERO)


def _net_cap(room: Room, cap: Decimal) -> tuple[Solve, Decimal]:
    return (_as_it_is, INFINITY) if room.side is Side.SELL else (_at_mark, cap - room.exposure.net_high)


def _net_floor(room: Room, floor: Decimal) -> tuple[Solve, Decimal]:
    return (_as_it_is, INFINITY) if room.side is Side.BUY else (_at_mark, room.exposure.net_low - floor)


def _quantity(_room: Room, cap: Decimal) -> tuple[Solve, Decimal]:
    return _as_it_is, cap


def _notional(_room: Room, cap: Decimal) -> tuple[Solve, Decimal]:
    return _at_price, cap


def _trade_risk(room: Room, cap: Decimal) -> tuple[Solve, Decimal]:
    return (_at_price, cap * room.state.equity) if room.state.equity > ZERO else (_as_it_is, ZERO)


def _pending(room: Room, cap: Decimal) -> tuple[Solve, Decimal]:
    return _at_price, cap - room.exposure.pending_notional


def _turnover(room: Room, cap: Decimal) -> tuple[Solve, Decimal]:
    return _at_price, cap - room.used_today


def _margin_ratio(room: Room, floor: Decimal) -> tuple[Solve, Decimal]:
    if room.state.equity <= ZERO:
        return _as_it_is, ZERO
    if floor <= ZERO:
        return _as_it_is, INFINITY
    return margin_room, room.state.equity / floor - room.state.margin_used


def _margin_available(room: Room, floor: Decimal) -> tuple[Solve, Decimal]:
    return margin_room, room.state.equity - room.state.margin_used - floor


_CAPS: dict[str, _Budget] = {
    "gross_exposure": _gross,
    "leverage": _leverage,
    "concentration": _concentration,
    "position_value": _position_value,
    "net_exposure": _net_cap,
    "order_quantity": _quantity,
    "order_notional": _notional,
    "single_trade_risk": _trade_risk,
    "pending_notional": _pending,
    "daily_notional": _turnover,
}
_FLOORS: dict[str, _Budget] = {
    "net_exposure": _net_floor,
    "margin_ratio": _margin_ratio,
    "margin_available": _margin_available,
}
# What is not here holds or does not hold whatever the quantity is, as far as a smaller order could help.
_BUDGETS: tuple[dict[str, _Budget], ...] = ({**_FLOORS, **_CAPS}, _CAPS, _FLOORS)  # by Bound


def margin_room(room: Room, most: Decimal) -> Decimal:
    """Return the quantity at which the margin of all open orders reaches `most`, in currency."""
    leg, opened = room.leg, room.leg.opened
    budget = most - room.exposure.margin_reserved + leg.margin
    if leg.margin > budget:
        return ZERO
    per_unit = room.order.valued_at * room.margin_rate
    if room.side is Side.BUY:
        closable = -leg.quantity
        quantity, margin, dearest = opened.buy_quantity, opened.buy_margin, opened.buy_unit_margin
    else:
        closable = leg.quantity
        quantity, margin, dearest = opened.sell_quantity, opened.sell_margin, opened.sell_unit_margin
    whole = (budget - margin) / per_unit
    if closable <= ZERO:
        return whole
    # Either bound on what a side needs (`side_margin`) is enough.
    return max(whole, closable - quantity + budget / max(dearest, per_unit))


def quantity_step(instrument: Instrument | None) -> Decimal:
    """Return the step of quantities: the instrument's lot, or the finest that the wire takes."""
    return instrument.lot_size if instrument is not None and instrument.lot_size else FINEST


def within_instrument(quantity: Decimal, instrument: Instrument | None) -> Decimal:
    """Return the quantity kept to the instrument's bounds: 0 where it is below the smallest order."""
    if instrument is None:
        return quantity
    if instrument.max_quantity and quantity > instrument.max_quantity:
        quantity = instrument.max_quantity
    return ZERO if quantity < instrument.min_quantity else quantity
