"""Small builders by hand for tests of riskcore: each gives a sensible thing, and says only what differs from it.

Unless told otherwise an account holds 100,000 of equity and nothing else, trading is active, BTCUSDT stands at
50,000 and ETHUSDT at 3,000, and the book has one account with a capital profile that never bites.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from riskcore.book import (
    Account,
    Book,
    Instrument,
    Operator,
    Parameters,
    Policy,
    PolicyType,
    Profile,
    Restriction,
    Scope,
)
from riskcore.calendar import microseconds
from riskcore.compiled import CompiledBook
from riskcore.decide import Outcome, decide
from riskcore.decimals import ZERO
from riskcore.journal import Inputs
from riskcore.ledger import encode_ledger, reserve
from riskcore.ports import AccountView, Stop
from riskcore.types import (
    AccountState,
    Decision,
    Ledger,
    OpenOrders,
    Order,
    OrderType,
    Position,
    Price,
    Reservation,
    Side,
    TradingState,
    position_key,
)

SECOND = 1_000_000
DAY = 86_400 * SECOND
NOW = microseconds(datetime(2026, 1, 7, 12, tzinfo=UTC))  # a Wednesday

BUY, SELL = Side.BUY, Side.SELL
MARKS = {"BTCUSDT": "50000", "ETHUSDT": "3000"}

Number = Decimal | int | str

_names = count(1)


def number(value: Number) -> Decimal:
    return Decimal(value)


# ------------------------------------------------------------------------------------------------ the book


def policy(metric: str, operator: str, threshold: Number, **what: Any) -> Policy:
    """A hard limit of global scope; its id is its metric where none is given."""
    fields: dict[str, Any] = {"id": metric, "name": f"Limit on {metric}", "type": PolicyType.HARD, **what}
    return Policy(metric=metric, operator=Operator(operator), threshold=number(threshold), **fields)


def soft(metric: str, operator: str, threshold: Number, **what: Any) -> Policy:
    return policy(metric, operator, threshold, type=PolicyType.SOFT, **what)


def rate(metric: str, most: int, window_s: int = 10, **what: Any) -> Policy:
    """At most `most` of a counted metric in a window."""
    return policy(metric, "<=", most, window_s=window_s, **what)


def scoped(scope: Scope, *ids: str) -> dict[str, Any]:
    return {"scope": scope, "scope_ids": ids}


def profile(name: str = "free", **what: Any) -> Profile:
    """A capital profile whose bounds no test reaches by accident."""
    fields: dict[str, Any] = {
        "allowed_leverage": Decimal(10**9),
        "max_single_trade_risk": Decimal(10**9),
        "max_daily_loss": Decimal(1),
        "max_weekly_loss": Decimal(1),
        "max_open_positions": 10**6,
    }
    return Profile(name=name, **{**fields, **what})


def account(account_id: str = "A", profile: str = "free", **what: Any) -> Account:
    return Account(id=account_id, profile=profile, **what)


def instrument(symbol: str = "BTCUSDT", **what: Any) -> Instrument:
    """An instrument; rules in numbers may be given as text or int."""
    rules: dict[str, Any] = {name: rule if isinstance(rule, tuple) else number(rule) for name, rule in what.items()}
    return Instrument(symbol=symbol, **rules)


def restriction(symbol: str = "BTCUSDT", **what: Any) -> Restriction:
    return Restriction(symbol=symbol, **{"reason": "a delisting", **what})


def book(*policies: Policy, **what: Any) -> Book:
    fields: dict[str, Any] = {
        "version": 1,
        "parameters": Parameters(),
        "profiles": (profile(),),
        "accounts": (account(),),
    }
    return Book(policies=policies, **{**fields, **what})


def compiled(*policies: Policy, **what: Any) -> CompiledBook:
    return CompiledBook(book(*policies, **what))


# --------------------------------------------------------------------------------------------- the account


def position(quantity: Number, symbol: str = "BTCUSDT", **what: Any) -> Position:
    """A position entered at the usual mark; it brings no mark of its own."""
    fields: dict[str, Any] = {"entry_price": MARKS.get(symbol, "100"), **what}
    exchange = fields.pop("exchange", "")
    amounts = {name: number(value) for name, value in fields.items()}
    return Position(symbol=symbol, quantity=number(quantity), exchange=exchange, **amounts)


def state(*positions: Position, equity: Number = 100_000, **what: Any) -> AccountState:
    """A fresh state; peak and start equities are today's equity, balance too."""
    amounts: dict[str, Any] = {
        "balance": equity,
        "margin_used": 0,
        "peak_equity": equity,
        "daily_start_equity": equity,
        "weekly_start_equity": equity,
    }
    fields: dict[str, Any] = {"account_id": "A", "received_at_us": NOW, "day_end_us": NOW + DAY}
    fields |= {**amounts, **what}
    fields |= {name: number(fields[name]) for name in amounts}
    return AccountState(
        equity=number(equity),
        positions={position_key(held.symbol, held.exchange): held for held in positions},
        **fields,
    )


def price(value: Number, age_us: int = 0) -> Price:
    return Price(number(value), NOW - age_us)


def reservation(quantity: Number = 1, side: Side = BUY, **what: Any) -> Reservation:
    """An open order of an hour at the usual price; margin at a tenth."""
    name = f"open-{next(_names)}"
    fields: dict[str, Any] = {
        "order_id": name,
        "account_id": "A",
        "symbol": "BTCUSDT",
        "decision_id": f"decision-of-{name}",
        "created_at_us": NOW,
        "expires_at_us": NOW + 3_600 * SECOND,
        **what,
    }
    each = number(fields.pop("price", MARKS.get(fields["symbol"], "100")))
    rate = number(fields.pop("margin_rate", "0.1"))
    valued_at = number(fields.pop("valued_at", each))
    return Reservation(
        quantity=number(quantity), side=side, price=each, valued_at=valued_at, margin_rate=rate, **fields
    )


def without_history(opened: dict[str, OpenOrders]) -> dict[str, OpenOrders]:
    """Sums over open orders without what they remember of orders that have ended."""
    return {key: replace(one, buy_unit_margin=ZERO, sell_unit_margin=ZERO) for key, one in opened.items()}


def holding(*reservations: Reservation, **what: Any) -> Ledger:
    """A ledger with these open orders in its sums."""
    ledger = Ledger(**what)
    for held in reservations:
        ledger = reserve(ledger, held)
    return ledger


# ----------------------------------------------------------------------------------------------- the order


def order(quantity: Number = 1, side: Side = BUY, **what: Any) -> Order:
    """A LIMIT order in BTCUSDT at its mark; a MARKET order has no price."""
    fields: dict[str, Any] = {"order_id": f"order-{next(_names)}", "account_id": "A", "symbol": "BTCUSDT", **what}
    kind = fields.get("order_type", OrderType.LIMIT)
    usual = MARKS.get(fields["symbol"], "100") if kind is OrderType.LIMIT else 0
    each = number(fields.pop("price", usual))
    lever = number(fields.pop("leverage", 0))
    return Order(side=side, quantity=number(quantity), price=each, leverage=lever, **fields)


def market(quantity: Number = 1, side: Side = BUY, **what: Any) -> Order:
    return order(quantity, side, order_type=OrderType.MARKET, **what)


def stop(state: TradingState = TradingState.HALTED, **what: Any) -> Stop:
    return Stop(id="stop-1", state=state, **what)


def marks(**prices: Number) -> dict[str, Price]:
    """Fresh prices: the usual ones, and these."""
    return {symbol: price(value) for symbol, value in {**MARKS, **prices}.items()}


def inputs(of: Order, at: AccountState | None = None, ledger: Ledger | Raw | None = None, **what: Any) -> Inputs:
    """All that a decision depends on. `at` None: the usual state; `state=` and `ledger=Raw(...)` say it in bytes."""
    fields: dict[str, Any] = {
        "decision_id": f"decision-{next(_names)}",
        "now_us": NOW,
        "book_version": 1,
        "generation": "g1",
        "epoch": 1,
        "account_version": 1,
        "state": as_raw(state() if at is None else at),
        "ledger": Raw(b"null") if ledger is None else ledger if isinstance(ledger, Raw) else Raw(encode_ledger(ledger)),
        "prices": marks(),
    }
    return Inputs(order=of, **{**fields, **what})


def view(at: AccountState | None = None, ledger: Ledger | None = None, **what: Any) -> AccountView:
    """The account as a load finds it, with the usual state and prices."""
    seen = state() if at is None else at
    fields: dict[str, Any] = {
        "account_id": seen.account_id,
        "version": 1,
        "state": bytes(as_raw(seen)),
        "ledger": None if ledger is None else encode_ledger(ledger),
        "prices": marks(),
        "answers": {},
        "expired": (),
        "own_bids": {},
        "own_asks": {},
    }
    return AccountView(**{**fields, **what})


def as_raw(what: Any) -> Raw:
    return Raw(msgspec.json.encode(what))


def outcome(of: Order, *policies: Policy, under: CompiledBook | None = None, **what: Any) -> Outcome:
    """Decide an order under these policies, or under a book, and give all that comes of it."""
    return decide(inputs(of, **what), compiled(*policies) if under is None else under)


def check(of: Order, *policies: Policy, under: CompiledBook | None = None, **what: Any) -> Decision:
    """Decide an order under these policies, or under a book."""
    return outcome(of, *policies, under=under, **what).decision


def metrics_of(breaches: Iterable[Any]) -> list[str]:
    """The metrics of some violations or warnings, in their order."""
    return [breach.metric for breach in breaches]
