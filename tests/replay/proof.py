"""Proves from the records alone that no limit was exceeded at any moment. Written from SPEC 3 to 5; no product code.

Every account is walked through in the order of its decisions. Which orders are open is worked out anew from the
approvals before: an approval opens its quantity, a recorded release or the end of its time closes it. What the
product itself kept as sums is not looked at. All arithmetic is in fractions, which round nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import groupby
from typing import Any

from tests.replay.records import Kept, Records

_HOLDS: dict[str, Callable[[Fraction, Fraction], bool]] = {
    "<=": lambda value, threshold: value <= threshold,
    "<": lambda value, threshold: value < threshold,
    ">=": lambda value, threshold: value >= threshold,
    ">": lambda value, threshold: value > threshold,
}
_FLOORS = (">=", ">")

# Blocks that say nothing about limits.
_OF_THE_MOMENT = {"contention", "stale_account_state", "price_unavailable"}


class Exceeded(AssertionError):
    """A limit did not hold after an approval, or an order was blocked although all of them would have."""


@dataclass(frozen=True)
class Open:
    """An approved order that may still fill. `value` is what a unit of it counts as exposure."""

    side: str
    quantity: Fraction
    price: Fraction
    value: Fraction
    expires_us: int
    decision_id: str


@dataclass(frozen=True)
class Standing:
    """An account at one moment. `own` are the open orders; amounts in currency.

    `dearest` is by side the highest value of a unit since the side was last without an order.
    """

    equity: Fraction
    margin_used: Fraction
    day_start: Fraction
    week_start: Fraction
    peak: Fraction
    rapid: Fraction
    held: Fraction
    entry: Fraction
    mark: Fraction
    margin_rate: Fraction
    own: tuple[Open, ...]
    dearest: dict[str, Fraction]

    def with_order(self, order: Open) -> Standing:
        most = max(order.value, self.dearest.get(order.side, order.value))
        return replace(self, own=(*self.own, order), dearest={**self.dearest, order.side: most})

    def open_of(self, side: str) -> Fraction:
        return sum((each.quantity for each in self.own if each.side == side), Fraction(0))

    @property
    def high(self) -> Fraction:
        """The position after all open buys."""
        return self.held + self.open_of("BUY")

    @property
    def low(self) -> Fraction:
        """The position after all open sells."""
        return self.held - self.open_of("SELL")

    @property
    def value(self) -> Fraction:
        """The worst case of the position, at the mark."""
        return max(abs(self.high), abs(self.low)) * self.mark

    @property
    def reserved(self) -> Fraction:
        """The initial margin that the open orders need at worst: of the side that needs more."""
        return max(self._margin("BUY", -self.held), self._margin("SELL", self.held))

    def _margin(self, side: str, closes: Fraction) -> Fraction:
        """What first closes the position needs none; the rest may be the dearest, but not more than the side."""
        notional = sum((each.quantity * each.value for each in self.own if each.side == side), Fraction(0))
        opens = self.open_of(side) - max(closes, Fraction(0))
        if opens <= 0:
            return Fraction(0)
        return min(notional, opens * self.dearest[side]) * self.margin_rate


def _loss(start: Fraction, equity: Fraction) -> Fraction:
    return max(Fraction(0), (start - equity) / start)


def _position_loss(at: Standing) -> Fraction:
    if not at.held or not at.entry:
        return Fraction(0)
    return max(Fraction(0), at.held * (at.entry - at.mark)) / abs(at.held * at.entry)


def _margin_ratio(at: Standing) -> Fraction | None:
    """Infinite without margin, which is said as None: it holds whatever the floor."""
    margin = at.margin_used + at.reserved
    return at.equity / margin if margin else None


# SPEC 4, each as a function of the account with all its open orders. One symbol, so its value is the gross exposure.
ACCOUNT: dict[str, Callable[[Standing], Fraction | None]] = {
    "gross_exposure": lambda at: at.value,
    "position_value": lambda at: at.value,
    "leverage": lambda at: at.value / at.equity,
    "net_exposure": lambda at: at.low * at.mark,  # the only limits on it here are floors
    "margin_ratio": _margin_ratio,
    "drawdown_daily": lambda at: _loss(at.day_start, at.equity),
    "daily_loss": lambda at: _loss(at.day_start, at.equity),
    "weekly_loss": lambda at: _loss(at.week_start, at.equity),
    "drawdown_max": lambda at: _loss(at.peak, at.equity),
    "drawdown_rapid": lambda at: at.rapid,
    "position_loss": _position_loss,
    "open_positions": lambda at: Fraction(1 if max(abs(at.high), abs(at.low)) else 0),
    "open_orders": lambda at: Fraction(len(at.own)),
    "pending_notional": lambda at: sum((each.quantity * each.value for each in at.own), Fraction(0)),
}
# And as a function of the order with the account.
ORDER: dict[str, Callable[[Standing, Open], Fraction]] = {
    "order_quantity": lambda at, order: order.quantity,
    "order_notional": lambda at, order: order.quantity * order.value,
    "price_deviation": lambda at, order: abs(order.price - at.mark) / at.mark,
    "single_trade_risk": lambda at, order: order.quantity * order.value / at.equity,
}


@dataclass(frozen=True)
class Limit:
    """A condition that must hold."""

    id: str
    metric: str
    operator: str
    threshold: Fraction

    def broken(self, before: Standing, after: Standing, order: Open) -> bool:
        """Whether it stops the order: broken with it, and not merely less broken than without it."""
        if self.metric in ORDER:
            return not _HOLDS[self.operator](ORDER[self.metric](after, order), self.threshold)
        value, earlier = ACCOUNT[self.metric](after), ACCOUNT[self.metric](before)
        if value is None or _HOLDS[self.operator](value, self.threshold):
            return False
        better = earlier is not None and (value > earlier if self.operator in _FLOORS else value < earlier)
        return not better


def limits_for(book: dict[str, Any], account_id: str, symbol: str) -> list[Limit]:
    """Return every hard and emergency limit in scope, the bounds of the capital profile among them."""
    account = next(each for each in book["accounts"] if each["id"] == account_id)
    profile = next(each for each in book["profiles"] if each["name"] == account["profile"])
    names = {"account": account_id, "profile": profile["name"], "symbol": symbol, "exchange": account["exchange"]}
    found = [
        Limit(policy["id"], policy["metric"], policy["operator"], Fraction(policy["threshold"]))
        for policy in book["policies"]
        if policy["type"] != "soft"
        and (policy["scope"] == "global" or names.get(policy["scope"]) in policy["scope_ids"])
    ]
    bounds = {
        "leverage": profile["allowed_leverage"],
        "single_trade_risk": profile["max_single_trade_risk"],
        "daily_loss": profile["max_daily_loss"],
        "weekly_loss": profile["max_weekly_loss"],
        "open_positions": profile["max_open_positions"],
    }
    named = f"profile:{profile['name']}:"
    return found + [Limit(named + metric, metric, "<=", Fraction(bound)) for metric, bound in bounds.items()]


@dataclass(frozen=True)
class Finding:
    """What should have been said of an order: `broken` limits by id, and the other rules."""

    reducing: bool
    self_match: bool
    short_of_margin: bool
    broken: frozenset[str]

    @property
    def passes(self) -> bool:
        """Whether the order was to be approved: what strictly reduces a position always is."""
        return self.reducing or not (self.self_match or self.short_of_margin or self.broken)


def judge(before: Standing, order: Open, limits: Iterable[Limit], *, priced: bool) -> Finding:
    """Judge one order on the account before it. An order that is not `priced` meets any order on the other side."""
    after = before.with_order(order)
    closing = before.held * (1 if order.side == "BUY" else -1) < 0
    return Finding(
        reducing=closing and after.open_of(order.side) <= abs(before.held),
        self_match=any(_meets(order, other, priced=priced) for other in before.own),
        short_of_margin=after.reserved - before.reserved > before.equity - before.margin_used - before.reserved,
        broken=frozenset(limit.id for limit in limits if limit.broken(before, after, order)),
    )


def _meets(order: Open, other: Open, *, priced: bool) -> bool:
    if order.side == other.side:
        return False
    return not priced or (order.price >= other.price if order.side == "BUY" else order.price <= other.price)


def prove(records: Records) -> Counter[str]:
    """Walk through every account. Returns how many orders were approved, and blocked by which reason.

    Raises Exceeded at the first decision that the rules do not bear out.
    """
    outcomes: Counter[str] = Counter()
    for account_id, decisions in groupby(records.decisions, key=lambda each: each.account_id):
        walk = _Walk(records, account_id)
        for kept in decisions:
            walk.step(kept)
            outcomes[kept.reason or "approved"] += 1
    return outcomes


class _Walk:
    """One account from its first decision to its last."""

    def __init__(self, records: Records, account_id: str) -> None:
        self._records, self._account_id = records, account_id
        self._open: list[Open] = []
        self._dearest: dict[str, Fraction] = {}
        self._last_us = self._last_version = -1
        self._limits: dict[tuple[int, str], list[Limit]] = {}

    def step(self, kept: Kept) -> None:
        """Judge a decision, and open the order if it was approved."""
        if kept.at_us <= self._last_us or kept.account_version <= self._last_version:
            raise Exceeded(f"{kept.decision_id} was not decided after the one before it")
        self._last_us, self._last_version = kept.at_us, kept.account_version
        ended = self._records.ended_us
        self._open = [
            each
            for each in self._open
            if each.expires_us > kept.at_us and ended.get(each.decision_id, kept.at_us + 1) > kept.at_us
        ]
        sides = {each.side for each in self._open}
        self._dearest = {side: most for side, most in self._dearest.items() if side in sides}
        if kept.reason in _OF_THE_MOMENT:
            return
        book = self._records.books[kept.inputs["book_version"]]
        before = self._standing(kept, book)
        order = _order(kept, before.mark, book)
        finding = judge(before, order, self._limits_for(kept), priced=_priced(kept))
        _compare(kept, finding)
        if kept.approved:
            self._open.append(order)
            self._dearest = before.with_order(order).dearest

    def _standing(self, kept: Kept, book: dict[str, Any]) -> Standing:
        state = kept.inputs["state"]
        positions = list(state["positions"].values())
        held = positions[0] if positions else {}
        return Standing(
            equity=Fraction(state["equity"]),
            margin_used=Fraction(state["margin_used"]),
            day_start=Fraction(state["daily_start_equity"]),
            week_start=Fraction(state["weekly_start_equity"]),
            peak=Fraction(state["peak_equity"]),
            rapid=Fraction(state["drawdown_rapid"]),
            held=Fraction(held.get("quantity", 0)),
            entry=Fraction(held.get("entry_price", 0)),
            mark=Fraction(kept.inputs["prices"][kept.inputs["order"]["symbol"]][0]),
            margin_rate=Fraction(book["parameters"]["default_margin_rate"]),
            own=tuple(self._open),
            dearest=self._dearest,
        )

    def _limits_for(self, kept: Kept) -> list[Limit]:
        version, symbol = kept.inputs["book_version"], kept.inputs["order"]["symbol"]
        found = self._limits.get((version, symbol))
        if found is None:
            found = limits_for(self._records.books[version], self._account_id, symbol)
            self._limits[version, symbol] = found
        return found


def _priced(kept: Kept) -> bool:
    return bool(Fraction(kept.inputs["order"]["price"]))


def _order(kept: Kept, mark: Fraction, book: dict[str, Any]) -> Open:
    """Return the order as it would be open; one without a price is valued at the mark and the slippage."""
    asked, held = kept.inputs["order"], kept.answer["reservation"]
    slipped = mark * (1 + Fraction(book["parameters"]["market_slippage"]))
    price = Fraction(asked["price"]) or slipped
    return Open(
        side=asked["side"],
        quantity=Fraction(asked["quantity"]),
        price=price,
        value=max(price, mark) if asked["side"] == "SELL" else price,
        expires_us=_moment_us(held["expires_at"]) if held else 0,
        decision_id=kept.decision_id,
    )


def _moment_us(text: str) -> int:
    at = datetime.fromisoformat(text)
    return (at - datetime(1970, 1, 1, tzinfo=at.tzinfo)) // timedelta(microseconds=1)


def _compare(kept: Kept, finding: Finding) -> None:
    """Hold what was said against what should have been."""
    if kept.approved != finding.passes:
        said = "approved" if kept.approved else f"blocked by {kept.reason}"
        raise Exceeded(f"{kept.decision_id} of {kept.account_id} was {said}, but: {finding}")
    if kept.approved:
        return
    borne_out = {
        "self_match": finding.self_match,
        "insufficient_margin": finding.short_of_margin,
        "policy_violation": bool(finding.broken),
    }
    if not borne_out.get(kept.reason, False):
        raise Exceeded(f"{kept.decision_id} was blocked by {kept.reason}, but: {finding}")
    named = {each["policy_id"] for each in kept.answer["violations"] if each["policy_id"] is not None}
    if not named <= finding.broken:
        raise Exceeded(f"{kept.decision_id} names limits that were not broken: {named - finding.broken}")
