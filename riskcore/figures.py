"""The figures of one order: its account before and after it, and every limit in scope evaluated."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from msgspec import Struct

from riskcore.book import Parameters
from riskcore.bookkeeping import counted_with
from riskcore.case import Case, age_of, current_mark, margin_rate, reference_price, valuation_price
from riskcore.decimals import ZERO
from riskcore.gates import Refusal
from riskcore.in_scope import InScope, in_scope
from riskcore.ledger import turnover_today
from riskcore.limits import Finding, Limit, eases, evaluate
from riskcore.metrics import METRICS, Kind, OrderFacts, Subject, Value, net_high, net_low
from riskcore.reasons import Reason
from riskcore.simulate import NO_ORDERS, Leg, exposure_of, held_leg, leg_with_order, make_leg, replace_leg
from riskcore.tail import Tail
from riskcore.types import AccountState, Ledger, Price
from riskcore.unmoved import NOTHING_SAID, Unmoved, unmoved_by_orders

# What an order moves, each formula once: two names of one metric, and all limits on it, share its value.
_MOVED_KINDS = (Kind.ACCOUNT, Kind.SYMBOL, Kind.ORDER)
_MOVED = [metric.value for metric in METRICS.values() if metric.kind in _MOVED_KINDS and not metric.of_state]
_VALUES = tuple(dict.fromkeys([*_MOVED, net_high, net_low]))


class Part(Struct, frozen=True):
    """An account, or what of it is on one exchange, without an order and with it.

    `values` has the value with the order of every metric that it moves, by the metric's function; those of Kind.TAIL
    are worked out where a limit asks for them.
    """

    before: Subject
    after: Subject
    values: dict[Value, Decimal | None]


class Figures(Struct, frozen=True, kw_only=True):
    """What the limits are held against. Amounts in currency.

    `whole` is the account, `here` what of it is on the order's exchange; the same where no limit is about that.
    `unmoved` is what no order moves. `findings` has every limit in `scope`, evaluated with the order; `broken` are the
    places of those that do not hold, and `eased` of those among them that the order makes better. `valued` False: a
    price is missing that the account cannot be valued without, and the values are None.
    """

    whole: Part
    here: Part
    order: OrderFacts
    margin_rate: Decimal
    margin_needed: Decimal
    margin_available: Decimal
    scope: InScope
    unmoved: Unmoved
    findings: tuple[Finding, ...]
    broken: tuple[int, ...]
    eased: frozenset[int]
    valued: bool = True


def value_legs(
    state: AccountState, ledger: Ledger, prices: dict[str, Price], now_us: int, parameters: Parameters
) -> dict[str, Leg] | str:
    """Return every leg with something held or an open order, by position key; or the symbol that has no fresh mark."""
    legs = {}
    state_age_us = age_of(state, now_us, parameters)
    opened_of, price_of = ledger.open.get, prices.get
    for key, position in state.positions.items():
        opened = opened_of(key)
        if opened is None:
            if not position.quantity:
                continue  # nothing is held: a price of it is not needed
            opened = NO_ORDERS
        mark = current_mark(position, price_of(position.symbol), state_age_us, now_us, parameters)
        if mark is None:
            return position.symbol
        legs[key] = held_leg(position, opened, mark)
    for key, opened in ledger.open.items():
        if key not in legs:
            mark = current_mark(None, price_of(opened.symbol), state_age_us, now_us, parameters)
            if mark is None:
                return opened.symbol
            legs[key] = make_leg(opened.symbol, opened.exchange, ZERO, ZERO, opened, mark)
    return legs


def _order_leg(case: Case, legs: dict[str, Leg]) -> Leg | str:
    """Return the leg that the order changes, or its symbol where that has no fresh mark."""
    leg = legs.get(case.key)
    if leg is not None:
        return leg
    price = case.inputs.prices.get(case.order.symbol)
    mark = current_mark(case.position, price, case.state_age_us, case.inputs.now_us, case.parameters)
    if mark is None:
        return case.order.symbol
    opened = case.ledger.open.get(case.key) or NO_ORDERS
    if case.position is not None:
        return held_leg(case.position, opened, mark)
    return make_leg(case.order.symbol, case.leg_exchange, ZERO, ZERO, opened, mark)


def work_out(case: Case) -> Figures | Refusal:
    """Return the figures of the case, whose state is fresh, or the refusal where a price is missing."""
    state, order = case.state, case.order
    assert state is not None and case.account is not None  # gate 5 has passed
    legs = value_legs(state, case.ledger, case.inputs.prices, case.inputs.now_us, case.parameters)
    leg = _order_leg(case, {}) if isinstance(legs, str) else _order_leg(case, legs)
    if isinstance(leg, str):
        return _without_price(leg)
    if isinstance(legs, str):
        return _figures_of_reducing(case, leg) if case.reducing else _without_price(legs)
    rate = margin_rate(order, case.instrument, case.parameters)
    facts = _facts(case, leg.mark)
    after_leg = leg_with_order(leg, order.side, order.quantity, facts.valued_at, rate)
    whole = _part(case, list(legs.values()), leg, after_leg, facts)
    here = whole
    if case.book.limits_exchanges:
        here = _part(case, [one for one in legs.values() if one.may_be_on(case.exchange)], leg, after_leg, facts)
    scope = case.book.limits_for(order, case.account, case.exchange)
    unmoved = unmoved_by_orders(state, scope)
    findings = _find_all(case, scope, unmoved, whole, here)
    broken = tuple([place for place, finding in enumerate(findings) if not finding.holds])
    reserved = whole.before.exposure.margin_reserved
    return Figures(
        whole=whole,
        here=here,
        order=facts,
        margin_rate=rate,
        margin_needed=whole.after.exposure.margin_reserved - reserved,
        margin_available=state.equity - state.margin_used - reserved,
        scope=scope,
        unmoved=unmoved,
        findings=findings,
        broken=broken,
        eased=frozenset([place for place in broken if _is_eased(findings[place], whole, here)]),
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


def _find_all(case: Case, scope: InScope, unmoved: Unmoved, whole: Part, here: Part) -> tuple[Finding, ...]:
    """Evaluate every limit in scope: those that an order moves take the places that are left for them."""
    findings = list(unmoved.findings)
    for place, limit in scope.of_figures:
        part = here if limit.by_exchange else whole
        findings[place] = evaluate(limit, part.values[limit.value])
    for place, limit in scope.of_tail:
        after = here.after if limit.by_exchange else whole.after
        findings[place] = evaluate(limit, limit.value(after), after)
    for place, limit in scope.counted:
        findings[place] = evaluate(limit, _counted(limit, case))
    return tuple(findings)


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
    findings = tuple([evaluate(limit, _counted(limit, case)) for limit in scope.limits])
    subject = Subject(state=case.state, exposure=exposure_of((leg,)), leg=leg, order=facts)
    alone = Part(subject, subject, dict.fromkeys(_VALUES))
    return Figures(
        whole=alone,
        here=alone,
        order=facts,
        margin_rate=rate,
        margin_needed=ZERO,
        margin_available=ZERO,
        scope=scope,
        unmoved=NOTHING_SAID,
        findings=findings,
        broken=tuple([place for place, finding in enumerate(findings) if not finding.holds]),
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
    )


def _counted(limit: Limit, case: Case) -> Decimal:
    return Decimal(counted_with(limit, case.ledger, case.order, case.exchange, case.inputs.now_us))


def _is_eased(finding: Finding, whole: Part, here: Part) -> bool:
    """Return whether the order makes a broken limit better: it was broken before it and does not stop it."""
    limit = finding.limit
    part = here if limit.by_exchange else whole
    return limit.of_account and eases(limit, limit.value(part.before), finding.value)
