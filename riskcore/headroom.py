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
from riskcore.limits import Bound, Limit
from riskcore.metrics import OrderFacts
from riskcore.simulate import Exposure, Leg
from riskcore.tail import Tail
from riskcore.types import AccountState, Side

# An amount that leaves no room for any quantity.
NOTHING = -INFINITY


class Room(Struct, frozen=True, kw_only=True, gc=False):
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


class Bounds(Struct, frozen=True, gc=False):
    """What bounds the quantity of an order, by how much of what each unit of it uses.

    In `groups` those that hold at their bound themselves. `strict` are the other limits, each with its budget, and
    `of_tail` those on value at risk.
    """

    groups: tuple[Group, ...]
    strict: tuple[tuple[Budget, Limit], ...]
    of_tail: tuple[Limit, ...]


class Group(Struct, frozen=True, gc=False):
    """Amounts that bound the quantity in the same way: the least of them does. Each is worked out from a threshold, of
    several limits on one metric the tightest.

    `by_exchange`: they are of what the account has on one exchange.
    """

    solve: Solve
    by_exchange: bool
    amounts: tuple[tuple[Amount, Decimal], ...]


def bounds_of(limits: Iterable[Limit]) -> Bounds:
    """Return what bounds an order's quantity: the margin, and limits that block as far as a smaller order helps."""
    together: dict[tuple[Solve, bool], dict[Amount, Decimal]] = {(margin_room, False): {_margin_left: ZERO}}
    strict, of_tail = list[tuple[Budget, Limit]](), list[Limit]()
    for limit in limits:
        budget = _budget(limit)
        if not limit.blocking:
            continue
        if budget is None:
            if _is_tail_cap(limit):
                of_tail.append(limit)
        elif limit.inclusive:
            amounts = together.setdefault((budget.solve, limit.by_exchange), {})
            tightest = max if limit.bound is Bound.FLOOR else min
            amounts[budget.amount] = tightest(limit.threshold, amounts.get(budget.amount, limit.threshold))
        else:
            strict.append((budget, limit))
    groups = [Group(solve, here, tuple(amounts.items())) for (solve, here), amounts in together.items()]
    return Bounds(tuple(groups), tuple(strict), tuple(of_tail))


def has_room(limit: Limit) -> bool:
    """Return whether it depends on the quantity whether the limit holds, as far as a smaller order could help."""
    return _budget(limit) is not None or _is_tail_cap(limit)


def _is_tail_cap(limit: Limit) -> bool:
    return limit.of_tail and limit.bound is Bound.CAP


def _budget(limit: Limit) -> Budget | None:
    return _BUDGETS[limit.bound].get(limit.metric.name)


def largest_quantity(room: Room, here: Room, bounds: Bounds) -> Decimal:
    """Return the largest quantity within all bounds, not rounded to steps; 0 or less where there is none.

    `here` is the room as limits by exchange see it.
    """
    least = INFINITY
    for group in bounds.groups:
        seen = here if group.by_exchange else room
        amount = min([amount_of(seen, threshold) for amount_of, threshold in group.amounts])
        least = min(least, group.solve(seen, amount))
    for budget, limit in bounds.strict:
        least = min(least, _quantity_below(here if limit.by_exchange else room, limit, budget))
    for limit in bounds.of_tail:
        if least > ZERO:
            least = min(least, _tail_room(here if limit.by_exchange else room, limit, least))
    return least


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


def _quantity_below(room: Room, limit: Limit, budget: Budget) -> Decimal:
    """A strict limit does not hold at its bound itself: step below it. An inequality forbids one quantity only."""
    quantity = budget.solve(room, budget.amount(room, limit.threshold))
    if limit.policy.operator is Operator.NOT_EQUAL:
        return quantity - room.step if quantity == room.order.quantity else INFINITY
    if limit.policy.operator is Operator.EQUAL or not quantity.is_finite():
        return quantity
    if quantity <= ZERO:
        return ZERO
    below = floor_to_step(quantity, room.step)
    return below - room.step if below == quantity else below


# How a limit bounds the quantity: by an amount that its threshold leaves, and by how much of it a unit uses. Limits
# that use the same are solved together, for the least of their amounts.
Amount = Callable[[Room, Decimal], Decimal]
Solve = Callable[[Room, Decimal], Decimal]


class Budget(Struct, frozen=True, gc=False):
    """An amount, and how the quantity that uses it up is found."""

    amount: Amount
    solve: Solve


def _worst_value(room: Room, amount: Decimal) -> Decimal:
    """Return the quantity that takes the leg's worst-case value at the mark up to `amount`, in currency."""
    leg = room.leg
    reach, high, low = amount / leg.mark, leg.high, leg.low
    if room.side is Side.BUY:
        return reach - high if -low <= reach else ZERO
    return reach + low if high <= reach else ZERO


def _at_mark(room: Room, amount: Decimal) -> Decimal:
    return amount / room.leg.mark


def _at_price(room: Room, amount: Decimal) -> Decimal:
    return amount / room.order.valued_at


def _as_it_is(_room: Room, amount: Decimal) -> Decimal:
    return amount


def _gross(room: Room, cap: Decimal) -> Decimal:
    return cap - room.exposure.gross + room.leg.worst_value


def _leverage(room: Room, cap: Decimal) -> Decimal:
    equity = room.state.equity
    return _gross(room, cap * equity) if equity > ZERO else NOTHING


def _position_value(room: Room, cap: Decimal) -> Decimal:
    return cap - room.beside


def _concentration(room: Room, cap: Decimal) -> Decimal:
    equity = room.state.equity
    return cap * equity - room.beside if equity > ZERO else NOTHING


def _net_cap(room: Room, cap: Decimal) -> Decimal:
    return INFINITY if room.side is Side.SELL else cap - room.exposure.net_high


def _net_floor(room: Room, floor: Decimal) -> Decimal:
    return INFINITY if room.side is Side.BUY else room.exposure.net_low - floor


def _all_of_it(_room: Room, cap: Decimal) -> Decimal:
    return cap


def _adv_share(room: Room, cap: Decimal) -> Decimal:
    volume = room.order.average_daily_volume
    return cap * volume if volume > ZERO else NOTHING


def _trade_risk(room: Room, cap: Decimal) -> Decimal:
    equity = room.state.equity
    return cap * equity if equity > ZERO else NOTHING


def _pending(room: Room, cap: Decimal) -> Decimal:
    return cap - room.exposure.pending_notional


def _turnover(room: Room, cap: Decimal) -> Decimal:
    return cap - room.used_today


def _margin_ratio(room: Room, floor: Decimal) -> Decimal:
    equity = room.state.equity
    if equity <= ZERO:
        return NOTHING
    return equity / floor - room.state.margin_used if floor > ZERO else INFINITY


def _margin_left(room: Room, floor: Decimal) -> Decimal:
    return room.state.equity - room.state.margin_used - floor


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


_CAPS = {
    "gross_exposure": Budget(_gross, _worst_value),
    "leverage": Budget(_leverage, _worst_value),
    "concentration": Budget(_concentration, _worst_value),
    "position_value": Budget(_position_value, _worst_value),
    "net_exposure": Budget(_net_cap, _at_mark),
    "order_quantity": Budget(_all_of_it, _as_it_is),
    "order_adv_share": Budget(_adv_share, _as_it_is),
    "order_notional": Budget(_all_of_it, _at_price),
    "single_trade_risk": Budget(_trade_risk, _at_price),
    "pending_notional": Budget(_pending, _at_price),
    "daily_notional": Budget(_turnover, _at_price),
}
_FLOORS = {
    "net_exposure": Budget(_net_floor, _at_mark),
    "margin_ratio": Budget(_margin_ratio, margin_room),
    "margin_available": Budget(_margin_left, margin_room),
}
# What is not here holds or does not hold whatever the quantity is, as far as a smaller order could help.
_BUDGETS = ({**_FLOORS, **_CAPS}, _CAPS, _FLOORS)  # by Bound


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
