"""The figures of one order: its account before and after it, and every limit in scope evaluated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from msgspec import Struct

from riskcore.book import Parameters
from riskcore.bookkeeping import counted_with
from riskcore.case import Case, age_of, current_mark, margin_rate, reference_price, valuation_price
from riskcore.decimals import MINUS_ONE, ZERO
from riskcore.gates import Refusal
from riskcore.in_scope import InScope, in_scope
from riskcore.ledger import orders_to_trades, turnover_today
from riskcore.limits import Finding, Limit, eases, evaluate
from riskcore.metrics import METRICS, Kind, OrderFacts, Subject, Value, net_high, net_low
from riskcore.reasons import Reason
from riskcore.remembered import Remembered
from riskcore.simulate import NO_ORDERS, Leg, exposure_of, held_leg, leg_with_order, make_leg, replace_leg
from riskcore.tail import Tail
from riskcore.types import AccountState, Ledger, Price
from riskcore.unmoved import NOTHING_SAID, Unmoved, unmoved_by_orders

# What an order moves, each formula once: two names of one metric, and all limits on it, share its value.
_MOVED_KINDS = (Kind.ACCOUNT, Kind.SYMBOL, Kind.ORDER)
_MOVED = [metric.value for metric in METRICS.values() if metric.kind in _MOVED_KINDS and not metric.of_state]
_VALUES = tuple(dict.fromkeys([*_MOVED, net_high, net_low]))


class Part(Struct, frozen=True, gc=False):
    """An account, or what of it is on one exchange, without an order and with it.

    `values` has the value with the order of every metric that it moves, by the metric's function; those of Kind.TAIL
    are worked out where a limit asks for them.
    """

    before: Subject
    after: Subject
    values: dict[Value, Decimal | None]


class Holding(Struct, frozen=True, gc=False):
    """The limits in scope held against an order, each by its place: its metric's value, and how much of it is `used`.

    `broken` are those that do not hold, in their order.
    """

    scope: InScope
    values: Sequence[Decimal | None]
    used: Sequence[Decimal | None]
    broken: dict[int, Finding]

    def binding(self, places: Sequence[int]) -> Finding | None:
        """Return the limit with the most utilisation of those at some places; beyond measure is the most."""
        used, binding, most = self.used, -1, MINUS_ONE
        for place in places:
            share = used[place]
            if share is None:
                return self._finding(place)
            if share > most:
                binding, most = place, share
        return self._finding(binding) if binding >= 0 else None

    def _finding(self, place: int) -> Finding:
        broken = self.broken.get(place)
        return broken or Finding(self.scope.limits[place], self.values[place], True, self.used[place])


class Figures(Struct, frozen=True, kw_only=True, gc=False):
    """What the limits are held against. Amounts in currency.

    `whole` is the account, `here` what of it is on the order's exchange; the same where no limit is about that.
    `unmoved` is what no order moves. `eased` are the places of those broken limits that the order makes better.
    `valued` False: a price is missing that the account cannot be valued without, and the values are None.
    """

    whole: Part
    here: Part
    order: OrderFacts
    margin_rate: Decimal
    margin_needed: Decimal
    margin_available: Decimal
    unmoved: Unmoved
    holding: Holding
    eased: frozenset[int]
    valued: bool = True


# The legs of each account with the state that they are of: as long as nothing of a leg has moved, the account's next
# order finds the same position, the same open orders and an equal mark.
_legs: Remembered[str, tuple[AccountState, dict[str, Leg]]] = Remembered(4_096)


def value_legs(
    state: AccountState, ledger: Ledger, prices: dict[str, Price], now_us: int, parameters: Parameters
) -> dict[str, Leg] | str:
    """Return every leg with something held or an open order, by position key; or the symbol that has no fresh mark."""
    legs: dict[str, Leg] = {}
    state_age_us = age_of(state, now_us, parameters)
    opened_of, price_of, known = ledger.open.get, prices.get, _known_legs(state).get
    for key, position in state.positions.items():
        opened = opened_of(key)
        if opened is None:
            if not position.quantity:
                continue  # nothing is held: a price of it is not needed
            opened = NO_ORDERS
        mark = current_mark(position, price_of(position.symbol), state_age_us, now_us, parameters)
        if mark is None:
            return position.symbol
        leg = known(key)
        if leg is None or leg.opened is not opened or leg.mark != mark:
            leg = held_leg(position, opened, mark)
        legs[key] = leg
    for key, opened in ledger.open.items():
        if key not in legs:
            mark = current_mark(None, price_of(opened.symbol), state_age_us, now_us, parameters)
            if mark is None:
                return opened.symbol
            legs[key] = make_leg(opened.symbol, opened.exchange, ZERO, ZERO, opened, mark)
    _legs.keep(state.account_id, (state, legs))
    return legs


def _known_legs(state: AccountState) -> dict[str, Leg]:
    """Return the legs of a state as they were valued last."""
    kept = _legs.get(state.account_id)
    return kept[1] if kept is not None and kept[0] is state else {}


def _order_mark(case: Case) -> Decimal | None:
    price = case.inputs.prices.get(case.order.symbol)
    return current_mark(case.position, price, case.state_age_us, case.inputs.now_us, case.parameters)


def _order_leg(case: Case, mark: Decimal) -> Leg:
    """Return the leg that the order changes, valued by itself."""
    opened = case.ledger.open.get(case.key) or NO_ORDERS
    if case.position is not None:
        return held_leg(case.position, opened, mark)
    return make_leg(case.order.symbol, case.leg_exchange, ZERO, ZERO, opened, mark)


def work_out(case: Case) -> Figures | Refusal:
    """Return the figures of the case, whose state is fresh, or the refusal where a price is missing."""
    state, order = case.state, case.order
    assert state is not None and case.account is not None  # gate 5 has passed
    legs = value_legs(state, case.ledger, case.inputs.prices, case.inputs.now_us, case.parameters)
    mark = _order_mark(case)
    if mark is None:
        return _without_price(order.symbol)
    if isinstance(legs, str):
        return _figures_of_reducing(case, _order_leg(case, mark)) if case.reducing else _without_price(legs)
    leg = legs.get(case.key) or _order_leg(case, mark)
    rate = margin_rate(order, case.instrument, case.parameters)
    # A leg that was valued before may have an equal mark that is written differently: what is kept says this one.
    facts = _facts(case, mark)
    after_leg = leg_with_order(leg, order.side, order.quantity, facts.valued_at, rate)
    whole = _part(case, list(legs.values()), leg, after_leg, facts)
    here = whole
    if case.book.limits_exchanges:
        here = _part(case, [one for one in legs.values() if one.may_be_on(case.exchange)], leg, after_leg, facts)
    scope = case.book.limits_for(order, case.account, case.exchange)
    unmoved = unmoved_by_orders(state, scope)
    holding = _hold(case, scope, unmoved, whole, here)
    reserved = whole.before.exposure.margin_reserved
    return Figures(
        whole=whole,
        here=here,
        order=facts,
        margin_rate=rate,
        margin_needed=whole.after.exposure.margin_reserved - reserved,
        margin_available=state.equity - state.margin_used - reserved,
        unmoved=unmoved,
        holding=holding,
        eased=frozenset([place for place, finding in holding.broken.items() if _is_eased(finding, whole, here)]),
    )


def _part(case: Case, legs: list[Leg], leg: Leg, after_leg: Leg, order: OrderFacts) -> Part:
    """Return what some legs come to, without the order and with it: `after_leg` in the place of `leg`."""
    state = case.state
    assert state is not None  # gate 5 has passed
    exposure, beside = exposure_of(legs), value_beside(leg, legs)
    # Only value at risk looks at the legs one by one.
    after_legs = _with(legs, leg, after_leg) if case.book.limits_tail else legs
    before = Subject(state=state, exposure=exposure, leg=leg, beside=beside, tail=_tail(case, legs))
    after = Subject(
        state=state,
        exposure=replace_leg(exposure, leg, after_leg),
        leg=after_leg,
        beside=beside,
        order=order,
        tail=_tail(case, after_legs),
    )
    return Part(before, after, {value: value(after) for value in _VALUES})


def _with(legs: list[Leg], leg: Leg, after_leg: Leg) -> list[Leg]:
    """Return the legs with one in the place of another: what does not change is added up in the same order."""
    after = [after_leg if one is leg else one for one in legs]
    return after if any(one is leg for one in legs) else [*after, after_leg]


def _tail(case: Case, legs: list[Leg]) -> Tail | None:
    book = case.book
    if not book.limits_tail:
        return None
    assert case.state is not None  # gate 5 has passed
    return Tail(book.returns, legs, case.state.equity, old=book.has_old_returns(case.inputs.now_us))


def _hold(case: Case, scope: InScope, unmoved: Unmoved, whole: Part, here: Part) -> Holding:
    """Hold every limit in scope against the order."""
    values, used, broken = list(unmoved.values), list(unmoved.used), unmoved.broken.copy()
    for known, placed in ((whole.values, scope.of_figures), (here.values, scope.of_figures_here)):
        for place, limit in placed:
            value = values[place] = known[limit.value]
            if value is not None and limit.compare(value, limit.threshold):
                used[place] = limit.share(value, limit.threshold)
            else:
                finding = broken[place] = evaluate(limit, value)
                used[place] = finding.utilisation
    for place, limit in scope.worked_out:
        finding = _find(limit, here if limit.by_exchange else whole, case)
        values[place], used[place] = finding.value, finding.utilisation
        if not finding.holds:
            broken[place] = finding
    return Holding(scope, values, used, dict(sorted(broken.items())))


def _find(limit: Limit, part: Part, case: Case) -> Finding:
    if limit.counted:
        return evaluate(limit, Decimal(counted_with(limit, case.ledger, case.order, case.exchange, case.inputs.now_us)))
    return evaluate(limit, limit.value(part.after), part.after)


def _without_price(symbol: str) -> Refusal:
    return Refusal(Reason.PRICE_UNAVAILABLE, f"no price of {symbol} is fresh enough")


def _figures_of_reducing(case: Case, leg: Leg) -> Figures:
    """Return what little can be said of an order that only reduces, in an account that cannot be valued.

    No limit on the account stops such an order, so no price but its own is needed; its messages are counted.
    """
    assert case.state is not None and case.account is not None  # gate 5 has passed
    order = case.order
    facts = _facts(case, leg.mark)
    rate = margin_rate(order, case.instrument, case.parameters)
    scope = in_scope(case.book.limits_for(order, case.account, case.exchange).messages)
    subject = Subject(state=case.state, exposure=exposure_of((leg,)), leg=leg, order=facts)
    alone = Part(subject, subject, dict.fromkeys(_VALUES))
    return Figures(
        whole=alone,
        here=alone,
        order=facts,
        margin_rate=rate,
        margin_needed=ZERO,
        margin_available=ZERO,
        unmoved=NOTHING_SAID,
        holding=_hold(case, scope, unmoved_by_orders(case.state, scope), alone, alone),
        eased=frozenset(),
        valued=False,
    )


def value_beside(leg: Leg, legs: Iterable[Leg]) -> Decimal:
    """Return the worst-case value of a leg's symbol on the account's other exchanges, in currency."""
    beside = ZERO
    for other in legs:
        if other.symbol == leg.symbol and other is not leg:
            beside += other.worst_value
    return beside


def _facts(case: Case, mark: Decimal) -> OrderFacts:
    order, now_us = case.order, case.inputs.now_us
    price = reference_price(order, mark, case.parameters)
    valued_at = valuation_price(order, price, mark)
    notional = order.quantity * valued_at
    return OrderFacts(
        quantity=order.quantity,
        price=price,
        valued_at=valued_at,
        notional=notional,
        deviation=abs(price - mark) / mark,
        daily_notional=turnover_today(case.ledger, now_us) + notional,
        order_to_trade=orders_to_trades(case.ledger, now_us, 1),
        average_daily_volume=(case.instrument.average_daily_volume if case.instrument is not None else ZERO) or ZERO,
    )


def _is_eased(finding: Finding, whole: Part, here: Part) -> bool:
    """Return whether the order makes a broken limit better: it was broken before it and does not stop it."""
    limit = finding.limit
    part = here if limit.by_exchange else whole
    return limit.of_account and eases(limit, limit.value(part.before), finding.value)
