"""Every reason code has an order that is blocked with it, and its name is on the wire for ever."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from riskcore.ports import Signal
from riskcore.reasons import Reason
from riskcore.refused import not_decided
from riskcore.release import release_steps
from riskcore.types import OrderType, RiskLevel
from tests.riskcore.builders import (
    DAY,
    NOW,
    SELL,
    account,
    book,
    market,
    order,
    policy,
    profile,
    rate,
    restriction,
    state,
    stop,
)
from tests.riskcore.store import DictStore


def changed(change: Callable[[DictStore], object], store: DictStore | None = None) -> DictStore:
    store = store or DictStore(book())
    change(store)
    return store


def busy(store: DictStore) -> DictStore:
    """Let the account change before every commit."""

    def touch(_commit: object) -> None:
        store.accounts["A"].version += 1

    return changed(lambda _store: setattr(store, "before_commit", touch), store)


def ended(store: DictStore) -> Reason | None:
    once = order(1)
    store.ask(once)
    store.drive(release_steps("A", once.order_id, actor="oms", reason="closed"))
    return store.ask(once).reason


def second(store: DictStore, *orders) -> Reason | None:
    for one in orders[:-1]:
        store.ask(one)
    return store.ask(orders[-1]).reason


def told(signal: Signal) -> DictStore:
    """A store in which the monitor has said this of the firm."""
    return changed(lambda store: setattr(store, "signal", signal))


BLOCKED: dict[Reason, Callable[[], Reason | None]] = {
    Reason.INVALID_ORDER: lambda: DictStore(book()).ask(market(1, price=1)).reason,
    Reason.EMERGENCY_STOP_ACTIVE: lambda: changed(lambda store: store.set_stops(stop())).ask(order(1)).reason,
    Reason.GLOBAL_RISK_CRITICAL: lambda: told(Signal(RiskLevel.CRITICAL, False, NOW)).ask(order(1)).reason,
    Reason.EMERGENCY_ACTION_REQUIRED: lambda: told(Signal(RiskLevel.CRITICAL, True, NOW)).ask(order(1)).reason,
    Reason.SYMBOL_BLOCKED: lambda: DictStore(book(restrictions=(restriction(),))).ask(order(1)).reason,
    Reason.UNKNOWN_ACCOUNT: lambda: DictStore(book(accounts=())).ask(order(1)).reason,
    Reason.STALE_ACCOUNT_STATE: lambda: DictStore(book(), state(received_at_us=NOW - DAY)).ask(order(1)).reason,
    Reason.PRICE_UNAVAILABLE: lambda: changed(lambda store: store.prices.clear()).ask(order(1)).reason,
    Reason.STRATEGY_NOT_ALLOWED: lambda: DictStore(book(profiles=(profile(strategies=("x",)),))).ask(order(1)).reason,
    Reason.NOT_REDUCING: lambda: DictStore(book()).ask(order(1, reduce_only=True)).reason,
    Reason.DUPLICATE_ORDER: lambda: second(DictStore(book()), order(1, order_id="x"), order(2, order_id="x")),
    Reason.RATE_LIMIT_EXCEEDED: lambda: DictStore(book(rate("order_rate", 0))).ask(order(1)).reason,
    Reason.SELF_MATCH: lambda: second(DictStore(book()), order(1), order(1, SELL, order_type=OrderType.MARKET)),
    Reason.INSUFFICIENT_MARGIN: lambda: DictStore(book()).ask(order(100)).reason,
    Reason.POLICY_VIOLATION: lambda: DictStore(book(policy("leverage", "<=", 0))).ask(order(1)).reason,
    Reason.BATCH_REJECTED: lambda: DictStore(book()).check(order(1), order(100), atomic=True)[0].reason,
    Reason.RESERVATION_ENDED: lambda: ended(DictStore(book())),
    Reason.STATE_UNAVAILABLE: lambda: not_decided(order(1), Reason.STATE_UNAVAILABLE, NOW, str).reason,
    Reason.CONTENTION: lambda: busy(DictStore(book())).ask(order(1)).reason,
    Reason.RECOVERING: lambda: changed(lambda store: setattr(store, "control", None)).ask(order(1)).reason,
}


def test_every_reason_is_tried_here() -> None:
    assert BLOCKED.keys() == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_an_order_can_be_blocked_for_it(reason: Reason) -> None:
    assert BLOCKED[reason]() is reason


def test_an_account_that_officers_disabled_is_not_known() -> None:
    assert DictStore(book(accounts=(account(enabled=False),))).ask(order(1)).reason is Reason.UNKNOWN_ACCOUNT


def test_the_codes_are_those_that_were_published() -> None:
    assert sorted(Reason) == [
        "batch_rejected",
        "contention",
        "duplicate_order",
        "emergency_action_required",
        "emergency_stop_active",
        "global_risk_critical",
        "insufficient_margin",
        "invalid_order",
        "not_reducing",
        "policy_violation",
        "price_unavailable",
        "rate_limit_exceeded",
        "recovering",
        "reservation_ended",
        "self_match",
        "stale_account_state",
        "state_unavailable",
        "strategy_not_allowed",
        "symbol_blocked",
        "unknown_account",
    ]
