"""A decision told step by step says what was decided, and why: no more, no less, and nothing else."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec import Raw

from riskcore.book import Mode, Override
from riskcore.explain import Effect, Explanation, GateReport, Passage, explain
from riskcore.reasons import Reason
from riskcore.types import Order, TradingState
from tests.riskcore.builders import (
    NOW,
    SECOND,
    SELL,
    account,
    compiled,
    holding,
    inputs,
    instrument,
    order,
    policy,
    position,
    price,
    profile,
    rate,
    reservation,
    restriction,
    soft,
    state,
    stop,
)
from tests.riskcore.worlds import scene

D = Decimal
BROKEN = (Effect.WARNS, Effect.EASED, Effect.EXEMPT, Effect.OVERRIDDEN)


def told(of: Order, *policies: Any, under: Any = None, **what: Any) -> Explanation:
    return explain(inputs(of, **what), compiled(*policies) if under is None else under)


def failed(found: Explanation) -> list[GateReport]:
    return [gate for gate in found.gates if gate.passage is Passage.FAILED]


def numbers(found: Explanation, *passages: Passage) -> list[int]:
    return [gate.number for gate in found.gates if gate.passage in passages]


def ids(found: Explanation, *effects: Effect) -> set[str]:
    return {limit.policy.id for limit in found.limits if limit.effect in effects}


@pytest.mark.parametrize("seed", range(60))
def test_it_tells_the_decision_that_was_taken_and_no_other_reason_for_it(seed):
    for step in scene(seed).orders(12):
        found, decision = explain(step.inputs, step.book), step.decision
        assert found.decision == decision
        assert bool(failed(found)) is (decision.reason is not None)
        if decision.reason is not None:
            assert failed(found)[0].why.startswith(decision.message)
        named = {breach.policy_id for breach in decision.violations if breach.policy_id}
        assert ids(found, Effect.BLOCKS) == named
        assert ids(found, *BROKEN) == {breach.policy_id for breach in decision.warnings}
        used = {limit.policy.id: limit.utilisation for limit in found.limits}
        assert used == decision.limit_utilization


@pytest.mark.parametrize(
    ("number", "reason", "what"),
    [
        (1, Reason.INVALID_ORDER, {"under": compiled(instruments=(instrument(lot_size=2),))}),
        (2, Reason.EMERGENCY_STOP_ACTIVE, {"stops": (stop(),)}),
        (4, Reason.SYMBOL_BLOCKED, {"under": compiled(restrictions=(restriction(),))}),
        (5, Reason.UNKNOWN_ACCOUNT, {"under": compiled(accounts=())}),
        (5, Reason.STALE_ACCOUNT_STATE, {"state": Raw(b"null")}),
        (5, Reason.PRICE_UNAVAILABLE, {"prices": {"BTCUSDT": price(1, 60 * SECOND)}}),
        (6, Reason.STRATEGY_NOT_ALLOWED, {"under": compiled(profiles=(profile(strategies=("x",)),))}),
        (7, Reason.DUPLICATE_ORDER, {"duplicate": True}),
    ],
)
def test_what_stops_an_order_alone_is_the_last_gate_that_it_reaches(number, reason, what):
    found = told(order(), **what)
    (stopped,) = failed(found)
    assert (stopped.number, found.decision.reason) == (number, reason)
    assert stopped.why == found.decision.message
    after = found.gates[found.gates.index(stopped) + 1 :]
    assert {gate.passage for gate in after} == {Passage.NOT_REACHED}
    assert ids(found, Effect.BLOCKS) == set()


def test_an_order_that_must_reduce_and_does_not_is_stopped_between_two_gates():
    (stopped,) = failed(told(order(reduce_only=True)))
    assert (stopped.number, stopped.why[:17]) == (0, "the order would n")


def test_too_many_messages_stop_before_the_order_is_looked_at():
    found = told(order(), rate("order_rate", 0), policy("order_quantity", "<=", 0))
    assert numbers(found, Passage.FAILED) == [7]
    assert ids(found, Effect.BLOCKS) == {"order_rate"}
    assert ids(found, Effect.ALSO_BROKEN) == {"order_quantity"}


def test_a_control_of_the_order_stops_before_the_limits_of_the_account():
    found = told(order(), policy("order_quantity", "<=", 0), policy("gross_exposure", "<=", 1))
    assert numbers(found, Passage.FAILED) == [8]
    assert numbers(found, Passage.NOT_REACHED) == [9, 10, 11]
    assert ids(found, Effect.ALSO_BROKEN) == {"gross_exposure"}


def test_margin_limits_and_profile_are_all_reported():
    under = compiled(policy("gross_exposure", "<=", 1), profiles=(profile(allowed_leverage=D(1)),))
    found = told(order(30), under=under)
    assert numbers(found, Passage.FAILED) == [9, 10, 11]
    assert found.gates[-3].why == found.decision.message
    assert ids(found, Effect.BLOCKS) == {"gross_exposure", "profile:free:leverage"}


def test_a_limit_says_what_it_was_and_would_be_and_how_far_that_is_from_its_threshold():
    limits = policy("leverage", "<=", 2), soft("gross_exposure", "<=", 120_000), policy("order_quantity", "<=", 5)
    found = told(order(2), *limits, at=state(position(1)))
    leverage = next(each for each in found.limits if each.policy.id == "leverage")
    assert (leverage.before, leverage.after, leverage.threshold) == (D("0.5"), D("1.5"), D(2))
    assert (leverage.utilisation, leverage.headroom, leverage.effect) == (D("0.75"), D("0.5"), Effect.HOLDS)
    exposure = next(each for each in found.limits if each.policy.id == "gross_exposure")
    assert (exposure.headroom, exposure.effect) == (D(-30_000), Effect.WARNS)
    of_order = next(each for each in found.limits if each.policy.id == "order_quantity")
    assert (of_order.before, of_order.after) == (None, D(2))


def test_an_order_that_reduces_is_not_asked_about_its_limits():
    found = told(order(1, SELL), policy("gross_exposure", "<=", 1), at=state(position(2)))
    assert numbers(found, Passage.EXEMPT) == [8, 9, 10, 11]
    assert ids(found, Effect.EXEMPT, Effect.EASED) == {"gross_exposure"}


def test_a_limit_that_an_order_makes_better_is_told_as_that():
    found = told(order(1), policy("gross_exposure", ">=", 100_000))
    assert ids(found, Effect.EASED) == {"gross_exposure"}
    assert numbers(found, Passage.FAILED) == []


def test_a_limit_in_shadow_is_told_and_fails_no_gate():
    found = told(order(), policy("gross_exposure", "<=", 1, mode=Mode.SHADOW))
    assert ids(found, Effect.SHADOW) == {"gross_exposure"}
    assert numbers(found, Passage.FAILED) == []


def test_what_an_override_let_an_order_through_is_told_at_each_gate():
    override = Override(id="o", account_id="A", reason="a client", until_us=NOW + SECOND)
    limits = policy("gross_exposure", "<=", 1), policy("order_quantity", "<=", 0)
    under = compiled(*limits, overrides=(override,), restrictions=(restriction(),))
    found = told(order(), under=under)
    assert found.decision.approved
    assert found.case.override == override
    assert numbers(found, Passage.OVERRIDDEN) == [4, 8, 10]
    assert ids(found, Effect.OVERRIDDEN) == {"gross_exposure", "order_quantity"}


def test_through_an_override_no_order_meets_its_own():
    override = Override(id="o", account_id="A", reason="a client", until_us=NOW + SECOND)
    under = compiled(policy("order_quantity", "<=", 0), overrides=(override,))
    found = told(order(), under=under, own_price="1", ledger=holding(reservation(1, SELL)))
    assert found.decision.reason == Reason.POLICY_VIOLATION or found.decision.reason == Reason.SELF_MATCH
    assert numbers(found, Passage.FAILED) == [8]


def test_what_was_refused_from_outside_the_rules_came_to_no_gate():
    found = told(order(), forced=Reason.CONTENTION)
    assert found.forced == found.decision.message
    assert {gate.passage for gate in found.gates} == {Passage.NOT_REACHED}


@pytest.mark.parametrize("what", [{"state": Raw(b'{"equity": "NaN"}')}, {"at": state(position("1E+70"))}])
def test_records_that_cannot_be_worked_with_are_told_as_unreadable(what):
    found = told(order(), policy("gross_exposure", "<=", 1), **what)
    (stopped,) = failed(found)
    assert stopped.why == found.decision.message
    assert "unreadable" in stopped.why


def test_a_reducing_order_passes_a_stop_that_reduces():
    what: dict[str, Any] = {"at": state(position(2)), "stops": (stop(TradingState.REDUCING),)}
    assert numbers(told(order(1, SELL), **what), Passage.FAILED) == []
    assert numbers(told(order(1), **what), Passage.FAILED) == [2]


def test_no_account_says_so_and_no_limit_is_made_up():
    found = told(order(account_id="B"), under=compiled(accounts=(account(),)))
    assert found.limits == ()
    assert found.figures is None
