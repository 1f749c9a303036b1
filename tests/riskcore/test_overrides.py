"""What an override lets through, and what it never does; how much of it is left is in the account's ledger."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec import UNSET, Raw
from msgspec.structs import replace

from riskcore.book import Instrument, Mode, Override
from riskcore.decide import Outcome, decide, reevaluate
from riskcore.ledger import decode_ledger, encode_ledger
from riskcore.ports import Signal
from riskcore.reasons import Reason
from riskcore.types import Decision, Ledger, OrderType, OverrideUse, RiskLevel, TradingState
from tests.riskcore.builders import (
    BUY,
    NOW,
    SECOND,
    SELL,
    account,
    as_raw,
    check,
    compiled,
    inputs,
    market,
    metrics_of,
    order,
    policy,
    position,
    profile,
    rate,
    restriction,
    state,
    stop,
)

D = Decimal
SMALL = policy("order_notional", "<=", 1_000)


def override(**what: Any) -> Override:
    """One order of account A, within the next minute."""
    fields = {"id": "O", "account_id": "A", "reason": "the desk closes its book", "until_us": NOW + 60 * SECOND}
    return Override(**{**fields, **what})


def under(*overrides: Override, limits: tuple[Any, ...] = (SMALL,), **what: Any) -> Any:
    return compiled(*limits, overrides=overrides, **what)


def used(decision: Decision) -> str:
    """The override that let an order through, "" for none."""
    return "" if decision.override is UNSET else decision.override.id


def made(of: Any, book: Any, ledger: Ledger | None = None, **what: Any) -> Outcome:
    return decide(inputs(of, ledger=ledger, **what), book)


# ------------------------------------------------------------------------------------------- what it never does


@pytest.mark.parametrize(
    "other",
    [
        {"account_id": "B"},
        {"symbol": "ETHUSDT"},
        {"side": SELL},
        {"until_us": NOW},
        {"from_us": NOW + 1},
        {"max_quantity": D("0.5")},
        {"max_notional": D(49_999)},
    ],
)
def test_one_that_is_for_something_else_lets_nothing_through(other):
    decision = check(order(1), under=under(override(**other), accounts=(account(), account("B"))))
    assert decision.reason is Reason.POLICY_VIOLATION
    assert decision.override is UNSET
    assert metrics_of(decision.violations) == ["order_notional"]


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"state": Raw(b"null")}, Reason.STALE_ACCOUNT_STATE),
        ({"at": state(received_at_us=NOW - 60 * SECOND)}, Reason.STALE_ACCOUNT_STATE),
        ({"prices": {}}, Reason.PRICE_UNAVAILABLE),
        ({"duplicate": True}, Reason.DUPLICATE_ORDER),
        ({"forced": Reason.CONTENTION}, Reason.CONTENTION),
        ({"own_price": "49000", "of": order(1, SELL, price=48_000)}, Reason.SELF_MATCH),
    ],
)
def test_what_is_not_known_or_no_limit_stays_refused(what, reason):
    of = what.pop("of", order(1))
    assert check(of, under=under(override()), **what).reason is reason


def test_an_order_that_makes_no_sense_stays_refused():
    lots = Instrument(symbol="BTCUSDT", lot_size=D("0.3"))
    assert check(order(1), under=under(override(), instruments=(lots,))).reason is Reason.INVALID_ORDER


@pytest.mark.parametrize("halted", [TradingState.HALTED, TradingState.REDUCING])
def test_no_order_that_opens_passes_a_stop(halted):
    for each in (override(), override(liquidation=True)):
        decision = check(order(1), under=under(each), stops=(stop(halted),))
        assert decision.reason is Reason.EMERGENCY_STOP_ACTIVE


def test_one_that_is_not_for_liquidation_lets_nothing_through_a_halt():
    decision = check(order(1, SELL), under=under(override()), at=state(position(2)), stops=(stop(),))
    assert decision.reason is Reason.EMERGENCY_STOP_ACTIVE


def test_a_reduce_only_order_still_has_to_reduce():
    decision = check(order(1, reduce_only=True), under=under(override()))
    assert decision.reason is Reason.NOT_REDUCING


# ----------------------------------------------------------------------------------------------- what it does


def test_an_order_passes_a_limit_with_what_it_broke_among_the_warnings():
    decision = check(order(1), under=under(override()))
    assert decision.approved
    assert decision.message == "approved by an override: the desk closes its book"
    assert used(decision) == "O"
    assert metrics_of(decision.warnings) == ["order_notional"]
    assert (decision.violations, decision.max_quantity) == ((), D(1))


CRITICAL = Signal(risk_level=RiskLevel.CRITICAL, action_required=False, at_us=NOW)
ACTION = Signal(risk_level=RiskLevel.CRITICAL, action_required=True, at_us=NOW)


@pytest.mark.parametrize(
    ("book", "what"),
    [
        (under(override(), limits=()), {"signal": CRITICAL}),
        (under(override(), limits=()), {"signal": ACTION}),
        (under(override(), limits=(), restrictions=(restriction(),)), {}),
        (under(override(), limits=(), profiles=(profile(strategies=("other",)),)), {}),
        (under(override(), limits=(rate("order_rate", 0),)), {}),
        (under(override(), limits=(policy("leverage", "<=", "0.1"),)), {}),
        (under(override(), limits=(), profiles=(profile(max_single_trade_risk=D("0.1")),)), {}),
        (
            under(override(), limits=(), instruments=(Instrument(symbol="BTCUSDT", order_types=(OrderType.MARKET,)),)),
            {},
        ),
    ],
)
def test_gates_that_it_opens(book, what):
    without = compiled_without(book)
    assert not check(order(1), under=without, **what).approved
    decision = check(order(1), under=book, **what)
    assert decision.approved
    assert used(decision) == "O"


def compiled_without(book: Any) -> Any:
    return type(book)(replace(book.book, overrides=()))


def test_margin_that_is_missing_is_told():
    decision = check(order(100), under=under(override(), limits=()))
    assert decision.approved
    assert decision.warnings[0].message == "insufficient margin: need 500000.00, available 100000.00"


def test_one_for_liquidation_lets_an_order_that_reduces_through_a_halt():
    decision = check(order(1, SELL), under=under(override(liquidation=True)), at=state(position(2)), stops=(stop(),))
    assert decision.approved
    assert used(decision) == "O"


def test_an_order_that_needs_none_uses_none():
    found = made(order("0.01"), under(override()))
    assert found.decision.approved
    assert found.decision.override is UNSET
    assert found.ledger is not None
    assert found.ledger.overrides == {}


def test_limits_in_shadow_are_told_as_ever():
    limits = (SMALL, policy("leverage", "<=", "0.1", mode=Mode.SHADOW))
    decision = check(order(1), under=under(override(), limits=limits))
    assert metrics_of(decision.shadow_violations or ()) == ["leverage"]


def test_of_several_the_first_to_run_out_that_fits_is_used():
    small, late = override(id="small", max_notional=D(10)), override(id="late", until_us=NOW + 90 * SECOND)
    assert used(check(order(1), under=under(late, override(), small))) == "O"


# ------------------------------------------------------------------------------------------------ what is left


def send(*orders: Any, of: Override) -> list[Decision]:
    """Send orders one after the other."""
    book, ledger, answers = under(of), Ledger(), []
    for each in orders:
        found = made(each, book, ledger)
        answers.append(found.decision)
        assert found.ledger is not None
        ledger = decode_ledger(encode_ledger(found.ledger))
    return answers


def test_one_is_used_once():
    assert [each.approved for each in send(order(1), order(1), of=override())] == [True, False]


@pytest.mark.parametrize(
    "budget",
    [{"max_orders": 2}, {"max_orders": 9, "max_quantity": D("2.5")}, {"max_orders": 9, "max_notional": D(149_999)}],
)
def test_a_budget_is_for_all_its_orders_together(budget):
    answers = send(order(1), order(1), order(1), of=override(**budget))
    assert [each.approved for each in answers] == [True, True, False]


def test_what_is_used_is_in_the_ledger():
    found = made(order(1), under(override(max_orders=3)), Ledger(overrides={"O": OverrideUse(1, D(2), D(9), NOW + 1)}))
    assert found.ledger is not None
    assert found.ledger.overrides == {"O": OverrideUse(2, D(3), D(50_009), NOW + 60 * SECOND)}


def test_uses_of_what_has_run_out_are_forgotten_with_the_next_one():
    kept = Ledger(overrides={"old": OverrideUse(1, D(1), D(1), NOW), "other": OverrideUse(1, D(1), D(1), NOW + 1)})
    found = made(order(1), under(override()), kept)
    assert found.ledger is not None
    assert set(found.ledger.overrides) == {"other", "O"}


def test_a_question_uses_nothing():
    found = made(order(1, what_if=True), under(override()))
    assert found.decision.approved
    assert found.ledger is None


def test_a_use_below_nothing_makes_a_ledger_unreadable():
    found = check(order(1), under=under(override()), ledger=as_raw(Ledger(overrides={"O": OverrideUse(-1)})))
    assert found.reason is Reason.STALE_ACCOUNT_STATE


def test_a_decision_is_worked_out_again_as_it_was():
    asked, book = inputs(market(1, BUY)), under(override())
    assert decide(asked, book).decision.approved
    assert reevaluate(asked, book) == reevaluate(asked, book)
