"""Limits on value at risk and expected shortfall, before the trade: held, refused, and how much room they leave."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from riskcore.book import OnBreach, Policy, Returns, Scope, decode_book, encode_book
from riskcore.compiled import CompiledBook
from riskcore.decide import reevaluate
from riskcore.ledger import encode_ledger
from riskcore.overview import overview
from riskcore.ports import AccountView
from riskcore.reasons import Reason
from riskcore.tail import MEASURES
from riskcore.types import Decision, Ledger, Side, VarMethod, Verdict
from riskcore.var import Floats, tail_risk
from riskcore.volatility import volatility
from tests.riskcore.builders import (
    BUY,
    NOW,
    SELL,
    account,
    as_raw,
    check,
    compiled,
    holding,
    inputs,
    instrument,
    marks,
    order,
    policy,
    position,
    reservation,
    scoped,
    soft,
    state,
)
from tests.support.properties import examples

D = Decimal
DAYS = 250
SYMBOLS = ("BTCUSDT", "ETHUSDT")
HISTORY = np.random.default_rng(11).standard_t(4, (DAYS, 2)) * 0.02
HISTORY[:, 1] = 0.7 * HISTORY[:, 0] + 0.5 * HISTORY[:, 1]
BTC, ETH = HISTORY.T


def returns(history: Floats = HISTORY, symbols: tuple[str, ...] = SYMBOLS) -> Returns:
    return Returns(
        version="of-a-test",
        symbols=symbols,
        days=len(history),
        since="2026-01-01",
        until="2026-09-07",
        values=history.T.astype("<f8").tobytes(),
    )


def book_of(*policies: Policy, **what: Any) -> CompiledBook:
    return compiled(*policies, **{"returns": returns(), **what})


def shown(decision: Decision, measure: str = "var_99") -> float:
    value = decision.post_trade_metrics[measure]
    assert value is not None
    return float(value)


def of(pnl: Floats, measure: str = "var_99") -> float:
    """What a measure of this P&L is of an equity of 100,000."""
    return float(getattr(tail_risk(pnl), measure)) / 100_000


# ----------------------------------------------------------------------------------------- what is not known


def refused(decision: Decision, because: str) -> None:
    assert (decision.approved, decision.reason) == (False, Reason.POLICY_VIOLATION)
    (breach,) = decision.violations
    assert (breach.metric, breach.value, breach.utilisation) == ("var_99", None, None)
    assert breach.message == f"Limit on var_99: var_99 undefined ({because}) breaks <= 0.5"
    assert decision.max_quantity == 0


LIMIT = policy("var_99", "<=", "0.5")


def test_without_a_history_nothing_is_approved_on_a_limit_of_it() -> None:
    refused(check(order(), under=compiled(LIMIT)), "there is no history of prices")


def test_nineteen_days_are_too_few() -> None:
    refused(check(order(), under=book_of(LIMIT, returns=returns(HISTORY[:19]))), "there are only 19 days of history")


def test_a_history_that_ended_long_ago_says_nothing() -> None:
    ended = replace(returns(), until="2025-12-27")  # the day was over ten days ago and a half
    refused(check(order(), under=book_of(LIMIT, returns=ended)), "the history of prices ends 2025-12-27")
    assert check(order(), under=book_of(LIMIT, returns=replace(returns(), until="2025-12-28"))).approved


def test_an_order_in_a_symbol_without_history_is_refused() -> None:
    refused(check(order(1, symbol="XYZ"), under=book_of(LIMIT), prices=marks(XYZ=100)), "there is no history of XYZ")


def test_so_is_one_of_an_account_that_holds_such_a_symbol() -> None:
    held = state(position(1, "XYZ", mark_price=100))
    refused(check(order(), at=held, under=book_of(LIMIT)), "there is no history of XYZ")


def test_without_equity_nothing_is_a_fraction_of_it() -> None:
    decision = check(order(), at=state(equity=-1), under=book_of(soft("var_99", "<=", "0.5")))
    assert decision.warnings[0].message.endswith("undefined (equity is not above zero) breaks <= 0.5")


def test_what_strictly_reduces_passes_whatever_is_not_known() -> None:
    held = state(position(2, "XYZ", mark_price=100))
    assert check(order(1, SELL, symbol="XYZ"), at=held, under=compiled(LIMIT), prices=marks(XYZ=100)).approved


def test_a_cap_below_zero_lets_nothing_through() -> None:
    decision = check(order(), under=book_of(policy("var_99", "<=", -1)))
    assert not decision.approved
    assert decision.max_quantity == 0


# ------------------------------------------------------------------------------------------- what is worked out


@pytest.mark.parametrize("measure", MEASURES)
def test_it_is_that_of_the_positions_with_the_order(measure: str) -> None:
    held = state(position(-5, "ETHUSDT"), position("0.3"))
    decision = check(order("0.5"), at=held, under=book_of(policy(measure, "<=", 1)))
    expected = of(np.minimum(15_000 * BTC, 40_000 * BTC) - 15_000 * ETH, measure)
    assert shown(decision, measure) == pytest.approx(expected, abs=1e-6)
    assert 0.001 < expected < 0.5


def test_a_position_that_only_open_orders_make_counts_too() -> None:
    decision = check(order("0.5"), ledger=holding(reservation(5, symbol="ETHUSDT")), under=book_of(LIMIT))
    assert shown(decision) == pytest.approx(of(np.minimum(25_000 * BTC, 0) + np.minimum(15_000 * ETH, 0)), abs=1e-6)


def test_a_hedge_counts_once_it_is_held_not_while_it_is_open() -> None:
    limited = book_of(policy("var_99", "<=", 1))
    alone = check(order(), under=limited)
    hedged = check(order(10, SELL, symbol="ETHUSDT"), at=state(position(1)), under=limited)
    assert shown(hedged) >= shown(alone)


def test_it_is_shown_only_where_a_limit_asks_for_it() -> None:
    assert not set(MEASURES) & set(check(order(), under=book_of()).post_trade_metrics)
    elsewhere = policy("var_99", "<=", "0.5", **scoped(Scope.STRATEGY, "other"))
    assert not set(MEASURES) & set(check(order(), under=book_of(elsewhere)).post_trade_metrics)
    asked = set(MEASURES) & set(check(order(), under=book_of(LIMIT)).post_trade_metrics)
    assert asked == {"var_99"}


def test_a_limit_that_does_not_hold_blocks_with_the_figure() -> None:
    decision = check(order(2), under=book_of(policy("es_95", "<=", "0.02")))
    assert (decision.approved, decision.reason) == (False, Reason.POLICY_VIOLATION)
    (breach,) = decision.violations
    assert breach.value is not None
    assert breach.utilisation is not None
    assert float(breach.value) == pytest.approx(of(100_000 * BTC, "es_95"), abs=1e-6)
    assert float(breach.utilisation) == pytest.approx(float(breach.value) / 0.02, abs=1e-3)


def test_the_order_in_which_floats_are_added_up_eases_no_limit() -> None:
    steps = np.full((30, 3), 0.0)
    steps[0] = (-0.1, -0.2, -0.3)
    names = ("AAA", "BBB", "CCC")
    limited = book_of(policy("var_99", "<=", "0.000001"), returns=returns(steps, names))
    held = state(*(position(1, name, entry_price=1) for name in names), equity=2)
    each = {"prices": marks(AAA=1, BBB=1, CCC=1)}
    assert not check(order(3, SELL, symbol="AAA", price=1), at=held, under=limited, **each).approved


def test_a_limit_of_an_exchange_is_on_what_is_held_there() -> None:
    limited = book_of(policy("var_99", "<=", 1, **scoped(Scope.EXCHANGE, "X")), accounts=(account(exchange="X"),))
    held = state(position(1, exchange="Y"), position(1, "ETHUSDT", exchange="X"))
    decision = check(order("0.1", exchange="X"), at=held, under=limited)
    used = decision.limit_utilization["var_99"]
    assert used is not None
    assert float(used) == pytest.approx(
        of(5_000 * np.minimum(BTC, 0) + 5_000 * np.maximum(BTC, 0) + 3_000 * ETH), abs=1e-6
    )


def test_a_decision_that_rests_on_it_is_worked_out_again_to_the_letter() -> None:
    limited = book_of(policy("var_99", "<=", "0.01"), soft("es_99", "<=", "0.001"))
    given_inputs = inputs(order(2), at=state(position(-3, "ETHUSDT")), ledger=holding(reservation()))
    elsewhere = CompiledBook(decode_book(encode_book(limited.book)))
    again = reevaluate(given_inputs, elsewhere)
    assert again == reevaluate(given_inputs, limited)
    assert b'"var_99"' in again


# ------------------------------------------------------------------------------------------------ how much room


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("cap", ["0.04", "0.1"])
@pytest.mark.parametrize("quantity", ["0.001", "50"])
def test_the_largest_quantity_passes_and_one_lot_more_does_not(
    measure: str, side: Side, cap: str, quantity: str
) -> None:
    limited = book_of(policy(measure, "<=", cap), instruments=(instrument(lot_size="0.001"),))
    ledger = holding(reservation("0.2", BUY), reservation("0.1", SELL))

    def asked(size: D) -> Decision:
        held = state(position("0.1"), position(-2, "ETHUSDT"))
        return check(order(size, side), at=held, ledger=ledger, under=limited)

    largest = asked(D(quantity)).max_quantity
    assert largest is not None
    assert D("0.001") < largest < 20
    assert asked(largest).approved
    assert not asked(largest + D("0.001")).approved


@given(
    st.lists(st.integers(-400, 400), min_size=2, max_size=2),
    st.integers(1, 3_000),
    st.sampled_from([BUY, SELL]),
    st.sampled_from(MEASURES),
    st.integers(1, 100),
)
@examples(150)
def test_it_does_so_whatever_is_held(held: list[int], size: int, side: Side, measure: str, cap_permille: int) -> None:
    limits = policy(measure, "<=", D(cap_permille) / 1000)
    limited = book_of(limits, instruments=(instrument(lot_size="0.01", max_quantity="40"),))
    at = state(position(D(held[0]) / 100), position(D(held[1]) / 10, "ETHUSDT"))
    largest = check(order(D(size) / 100, side), at=at, under=limited).max_quantity
    assert largest is not None
    if largest:
        assert check(order(largest, side), at=at, under=limited).approved
    if largest < 40:
        assert not check(order(largest + D("0.01"), side), at=at, under=limited).approved


def test_without_an_end_in_sight_no_quantity_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riskcore.tail_room._MOST_STEPS", 1)
    decision = check(order(5), under=book_of(policy("es_99", "<=", "0.02")))
    assert decision.max_quantity == 0


def test_only_limits_that_block_bound_the_quantity() -> None:
    limited = book_of(soft("var_99", "<=", "0.0001"), policy("order_quantity", "<=", 2))
    assert check(order(1), under=limited).max_quantity == 2


def test_another_limit_may_leave_nothing_to_solve_for() -> None:
    broken = policy("drawdown_daily", "<=", "0.01")
    decision = check(order(), at=state(daily_start_equity=200_000), under=book_of(broken, LIMIT))
    assert (decision.approved, decision.max_quantity) == (False, D(0))


def test_margin_may_leave_nothing_to_solve_for() -> None:
    decision = check(order(), at=state(margin_used=100_000), under=book_of(LIMIT))
    assert (decision.approved, decision.max_quantity) == (False, D(0))


def test_a_limit_with_scale_down_offers_what_it_has_room_for() -> None:
    limited = book_of(
        policy("var_99", "<=", "0.02", on_breach=OnBreach.SCALE_DOWN), instruments=(instrument(lot_size="0.01"),)
    )
    decision = check(order(5), under=limited)
    assert (decision.decision, decision.approved) == (Verdict.SCALE_DOWN, False)
    assert decision.max_quantity
    assert check(order(decision.max_quantity), under=limited).approved


def test_days_that_an_order_gains_on_do_not_limit_it() -> None:
    rising = np.full((DAYS, 2), 0.01)
    limited = book_of(policy("var_99", "<=", "0.02"), policy("es_99", "<=", "0.02"), returns=returns(rising))
    decision = check(order("0.5"), under=limited)
    assert decision.approved
    assert decision.max_quantity is not None
    assert decision.max_quantity > D("0.5")


@pytest.mark.parametrize("measure", MEASURES)
def test_where_the_account_is_over_the_limit_without_it_no_quantity_passes(measure: str) -> None:
    decision = check(order("0.1"), at=state(position(3)), under=book_of(policy(measure, "<=", "0.01")))
    assert not decision.approved
    assert decision.max_quantity == 0


# ------------------------------------------------------------------------------------------ the account as it is


def seen(under: CompiledBook, ledger: Ledger | None = None) -> Any:
    view = AccountView(
        account_id="A",
        version=1,
        state=bytes(as_raw(state(position(1)))),
        ledger=None if ledger is None else encode_ledger(ledger),
        prices=marks(),
        answers={},
        expired=(),
        own_bids={},
        own_asks={},
    )
    return overview(view, under, NOW, tail=True)


def test_an_account_shows_it_in_currency_and_as_a_fraction() -> None:
    picture = seen(book_of())
    found = tail_risk(50_000 * BTC)
    assert float(picture.metrics["var_99"]) == pytest.approx(found.var_99 / 100_000, abs=1e-6)
    shown = picture.value_at_risk
    assert (shown.ready, shown.unknown, shown.observations, shown.until) == (True, "", DAYS, "2026-09-07")
    assert found.es_95 <= float(shown.worst.es_95) < found.es_95 + 0.01


@pytest.mark.parametrize("method", list(VarMethod))
def test_what_is_held_is_shown_by_every_method(method: VarMethod) -> None:
    found = tail_risk(50_000 * BTC, method)
    held = seen(book_of(), ledger=holding(reservation(3))).value_at_risk.held[method]
    assert float(held.var_95) == pytest.approx(found.var_95, abs=0.01)
    assert float(held.es_99) == pytest.approx(found.es_99, abs=0.01)


def test_each_position_shows_the_volatility_of_its_symbol() -> None:
    (held,) = seen(book_of()).positions
    assert float(held.volatility) == pytest.approx(volatility(BTC), abs=1e-6)
    elsewhere, few = returns(HISTORY, ("ETHUSDT", "XYZ")), returns(HISTORY[:5])
    for other in (compiled(), book_of(returns=elsewhere), book_of(returns=few)):
        assert seen(other).positions[0].volatility is None


def test_an_account_without_it_says_why() -> None:
    assert seen(compiled()).value_at_risk.unknown == "there is no history of prices"
    few = seen(book_of(returns=returns(HISTORY[:5]))).value_at_risk
    assert (few.ready, few.unknown, few.observations) == (False, "there are only 5 days of history", 5)
    assert (few.worst, few.held) == (None, {})
    other = seen(book_of(returns=returns(HISTORY, ("ETHUSDT", "XYZ"))))
    assert (other.value_at_risk.ready, other.metrics["var_95"]) == (False, None)


def test_a_limit_on_it_is_read_without_an_order() -> None:
    (limit, *_) = [limit for limit in seen(book_of(LIMIT)).limits if limit.metric == "var_99"]
    assert limit.holds
    assert limit.headroom == D("0.5") - limit.value
    (limit, *_) = [limit for limit in seen(compiled(LIMIT)).limits if limit.metric == "var_99"]
    assert (limit.holds, limit.value) == (False, None)


# --------------------------------------------------------------------------------------------------- its price


def test_a_process_whose_book_has_no_history_does_not_load_numpy() -> None:
    program = "import sys, riskcore.engine, riskcore.overview, feeds.books; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
