"""The post-trade picture worked out a second time, slowly and independently, from SPEC 3 and 4 alone.

Nothing of riskcore is used here. Numbers are fractions, so nothing is rounded; and instead of the formula for
the worst case, every set of open orders that might fill is tried, one after the other (2 ** n of them a
symbol). What SPEC leaves open is taken from docs/decisions/0004: exposure at the mark, margin at what the
order was valued at; what opens after closing counts as the dearest unit that its side has had since it was empty.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

INFINITE = float("inf")
Value = Fraction | float | None  # None: not defined; the only float is INFINITE


@dataclass(frozen=True)
class Holding:
    quantity: Fraction
    entry: Fraction


@dataclass(frozen=True)
class Working:
    """An order in the market. `price` is its reference price, `value` what a unit of it counts as exposure,
    `rate` its margin as a part of that.

    `leg` is its symbol, and "|" and its exchange where one is named.
    """

    name: str
    leg: str
    buys: bool
    quantity: Fraction
    price: Fraction
    value: Fraction
    rate: Fraction

    @property
    def symbol(self) -> str:
        return symbol_of(self.leg)

    @cached_property
    def notional(self) -> Fraction:
        return self.quantity * self.value

    @cached_property
    def margin(self) -> Fraction:
        return self.notional * self.rate


@dataclass(frozen=True)
class World:
    """An account, its open orders, and the market: holdings by leg, marks by symbol.

    `dearest` is, by leg and whether it buys, the most margin for a unit since that side was last empty. `volumes` are
    what trades in a day, by symbol, as far as that is known.
    """

    equity: Fraction
    margin_used: Fraction
    peak: Fraction
    rapid: Fraction | None
    day_start: Fraction
    week_start: Fraction
    holdings: dict[str, Holding]
    working: tuple[Working, ...]
    marks: dict[str, Fraction]
    dearest: dict[tuple[str, bool], Fraction] = field(default_factory=dict)
    volumes: dict[str, Fraction] = field(default_factory=dict)

    def with_order(self, order: Working) -> World:
        side = order.leg, order.buys
        most = max(self.dearest.get(side, Fraction(0)), order.value * order.rate)
        return replace(self, working=(*self.working, order), dearest={**self.dearest, side: most})

    def without(self, names: Iterable[str]) -> World:
        gone = set(names)
        left = tuple(one for one in self.working if one.name not in gone)
        sides = {(one.leg, one.buys) for one in left}
        return replace(self, working=left, dearest={s: most for s, most in self.dearest.items() if s in sides})

    def on(self, exchange: str) -> World:
        """What of the account is on an exchange; what names none may be there."""
        there = {leg for leg in self.legs() if exchange_of(leg) in (exchange, "")}
        return replace(
            self,
            holdings={leg: held for leg, held in self.holdings.items() if leg in there},
            working=tuple(one for one in self.working if one.leg in there),
        )

    def legs(self) -> set[str]:
        return set(self.holdings) | {one.leg for one in self.working}

    def quantity(self, leg: str) -> Fraction:
        held = self.holdings.get(leg)
        return held.quantity if held is not None else Fraction(0)


def symbol_of(leg: str) -> str:
    return leg.partition("|")[0]


def exchange_of(leg: str) -> str:
    return leg.partition("|")[2]


@dataclass(frozen=True)
class Today:
    """The account's trading day until now: notional approved, orders asked for, and trades."""

    notional: Fraction
    orders: int
    trades: int


@dataclass(frozen=True)
class Extremes:
    """What may become of one symbol: the extremes over every set of its open orders that might fill."""

    highest: Fraction
    lowest: Fraction
    largest: Fraction
    margin: Fraction


class Filled(NamedTuple):
    """What some fills come to: quantities, and initial margin as if all of it opened, by side."""

    bought: Fraction = Fraction(0)
    sold: Fraction = Fraction(0)
    margin_of_buys: Fraction = Fraction(0)
    margin_of_sells: Fraction = Fraction(0)


def fillings(orders: Iterable[Working]) -> list[Filled]:
    """Every set of these orders that might fill, none and all among them."""
    found = [Filled()]
    for order in orders:
        quantity, margin = order.quantity, order.margin
        if order.buys:
            found += [Filled(one[0] + quantity, one[1], one[2] + margin, one[3]) for one in found]
        else:
            found += [Filled(one[0], one[1] + quantity, one[2], one[3] + margin) for one in found]
    return found


def extremes(world: World, leg: str) -> Extremes:
    held = world.quantity(leg)
    might_fill = fillings(one for one in world.working if one.leg == leg)
    ends = [held + filled.bought - filled.sold for filled in might_fill]
    dear_buys, dear_sells = (world.dearest.get((leg, buys), Fraction(0)) for buys in (True, False))
    margins = [opening_margin(filled.margin_of_buys, filled.bought, dear_buys, -held) for filled in might_fill]
    margins += [opening_margin(filled.margin_of_sells, filled.sold, dear_sells, held) for filled in might_fill]
    return Extremes(max(ends), min(ends), max(abs(end) for end in ends), max(margins))


def opening_margin(full: Fraction, quantity: Fraction, dearest: Fraction, closable: Fraction) -> Fraction:
    """Initial margin of what fills of one side open, after they have closed `closable`."""
    opens = quantity - max(closable, Fraction(0))
    if opens <= 0:
        return Fraction(0)
    return min(full, opens * dearest)


def picture(world: World, leg: str) -> dict[str, Value]:
    """Every metric of the account, and of the symbol of one leg, with the open orders at their worst."""
    parts = {name: extremes(world, name) for name in world.legs() | {leg}}
    marks = {name: world.marks[symbol_of(name)] for name in parts}
    equity, symbol = world.equity, symbol_of(leg)
    gross = sum((part.largest * marks[name] for name, part in parts.items()), Fraction(0))
    high = sum((part.highest * marks[name] for name, part in parts.items()), Fraction(0))
    low = sum((part.lowest * marks[name] for name, part in parts.items()), Fraction(0))
    margin = world.margin_used + sum((part.margin for part in parts.values()), Fraction(0))
    value = sum((part.largest * marks[name] for name, part in parts.items() if symbol_of(name) == symbol), Fraction(0))
    margin_ratio: Value = equity / margin if margin > 0 else INFINITE
    return {
        "gross_exposure": gross,
        "net_exposure": high if abs(high) >= abs(low) else low,
        "net_high": high,
        "net_low": low,
        "leverage": over(gross, equity),
        "margin_ratio": margin_ratio if equity > 0 else None,
        "margin_available": equity - margin,
        "drawdown_daily": fall(world.day_start, equity),
        "drawdown_weekly": fall(world.week_start, equity),
        "drawdown_max": fall(world.peak, equity),
        "drawdown_rapid": world.rapid,
        "daily_loss": fall(world.day_start, equity),
        "weekly_loss": fall(world.week_start, equity),
        "daily_pnl": equity - world.day_start,
        "weekly_pnl": equity - world.week_start,
        "unrealized_pnl": sum(
            (held.quantity * (marks[name] - held.entry) for name, held in world.holdings.items()), Fraction(0)
        ),
        "concentration": over(value, equity),
        "position_value": value,
        "position_loss": position_loss(world.holdings.get(leg), marks[leg]),
        "open_positions": Fraction(sum(1 for part in parts.values() if part.largest)),
        "open_orders": Fraction(len(world.working)),
        "pending_notional": sum((one.notional for one in world.working), Fraction(0)),
    }


def order_figures(world: World, order: Working, today: Today) -> dict[str, Value]:
    """The metrics of the order itself."""
    mark, volume = world.marks[order.symbol], world.volumes.get(order.symbol)
    return {
        "order_quantity": order.quantity,
        "order_notional": order.notional,
        "price_deviation": abs(order.price - mark) / mark,
        "single_trade_risk": over(order.notional, world.equity),
        "order_adv_share": None if volume is None else order.quantity / volume,
        "daily_notional": today.notional + order.notional,
        "order_to_trade": Fraction(today.orders + 1, today.trades or 1),
    }


def over(amount: Fraction, equity: Fraction) -> Fraction | None:
    return amount / equity if equity > 0 else None


def fall(start: Fraction, equity: Fraction) -> Fraction | None:
    return max(Fraction(0), (start - equity) / start) if start > 0 else None


def position_loss(held: Holding | None, mark: Fraction) -> Fraction:
    if held is None or not held.quantity:
        return Fraction(0)
    return max(Fraction(0), held.quantity * (held.entry - mark)) / abs(held.quantity * held.entry)


def strictly_reduces(world: World, order: Working) -> bool:
    """Whether the order only makes its position smaller, whichever open orders of its side fill with it."""
    held = world.quantity(order.leg)
    if held == 0 or (held > 0) == order.buys:
        return False
    rivals = [one for one in world.working if one.leg == order.leg and one.buys == order.buys]
    return all(order.quantity + filled.bought + filled.sold <= abs(held) for filled in fillings(rivals))


# ------------------------------------------------------------------------------------------------- verdicts


@dataclass(frozen=True)
class Rule:
    """A limit: `blocking` is hard or emergency. `order_control` limits are gate 8, the others 10 and 11.

    `exchange`: it is on orders to that exchange, and on what the account has there.
    """

    name: str
    metric: str
    op: str
    threshold: Fraction
    blocking: bool = True
    order_control: bool = False
    exchange: str = ""


@dataclass(frozen=True)
class Verdict:
    """What must come out; `breached` and `warned` are names of rules, "margin" stands for gate 9.

    `picture` is the account's with the order.
    """

    picture: dict[str, Value]

    approved: bool
    reason: str | None
    breached: frozenset[str]
    warned: frozenset[str]


_OPERATORS = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
    "==": operator.eq,
    "!=": operator.ne,
}


def value_for(rule: Rule, values: dict[str, Value]) -> Value:
    """A cap on net exposure is held against the high end of its range, a floor against the low end."""
    if rule.metric == "net_exposure":
        return values["net_low" if rule.op in (">=", ">") else "net_high"]
    return values[rule.metric]


def holds(rule: Rule, value: Value) -> bool:
    return value is not None and bool(_OPERATORS[rule.op](value, rule.threshold))


def better(rule: Rule, before: Value, after: Value) -> bool:
    if before is None or after is None or rule.op in ("==", "!="):
        return False
    return after > before if rule.op in (">=", ">") else after < before


def verdict(world: World, order: Working, rules: Iterable[Rule], today: Today) -> Verdict:
    """Gates 8 to 11 for one order: controls stop at the first, margin and limits are all reported."""
    of_order = order_figures(world, order, today)
    after = {**picture(world.with_order(order), order.leg), **of_order}
    reducing = strictly_reduces(world, order)
    breached, warned, controls = set[str](), set[str](), set[str]()
    for rule in rules:
        if rule.exchange and exchange_of(order.leg) not in (rule.exchange, ""):
            continue
        part = world.on(exchange_of(order.leg)) if rule.exchange and exchange_of(order.leg) else world
        value = value_for(
            rule, {**picture(part.with_order(order), order.leg), **of_order} if part is not world else after
        )
        if holds(rule, value):
            continue
        before = picture(part, order.leg)
        eased = rule.metric in before and better(rule, value_for(rule, before), value)
        if reducing or eased or not rule.blocking:
            warned.add(rule.name)
        else:
            (controls if rule.order_control else breached).add(rule.name)
    if controls:
        return Verdict(after, False, "policy_violation", frozenset(controls), frozenset(warned))
    left = after["margin_available"]
    assert left is not None
    if left < 0 and not reducing:
        return Verdict(after, False, "insufficient_margin", frozenset({"margin", *breached}), frozenset(warned))
    if breached:
        return Verdict(after, False, "policy_violation", frozenset(breached), frozenset(warned))
    return Verdict(after, True, None, frozenset(), frozenset(warned))
