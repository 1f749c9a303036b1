"""Today's positions on past days, and what an order adds to them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskcore.scenarios import PreparedReturns, Scenarios, prepare
from riskcore.var import Floats, Method, tail_risk
from tests.riskcore.properties import examples

DAYS = 120
RETURNS = np.random.default_rng(7).standard_t(4, (DAYS, 3)) * 0.01
PREPARED = prepare(("AAA", "BBB", "CCC"), RETURNS, "v1")
VALUES = {"AAA": 50_000.0, "BBB": -20_000.0, "CCC": 10_000.0}

AMOUNTS = st.integers(-1_000_000, 1_000_000).map(float)
BOOKS = st.fixed_dictionaries(dict.fromkeys(VALUES, AMOUNTS))
SYMBOLS = st.sampled_from(list(VALUES))


def close_to(pnl: Floats, expected: Floats) -> bool:
    return bool(np.allclose(pnl, expected, rtol=1e-12, atol=1e-6))


def test_pnl_is_the_value_of_each_position_times_its_return() -> None:
    assert close_to(PREPARED.pnl_of(VALUES).pnl, RETURNS @ np.asarray(list(VALUES.values())))


def test_an_order_adds_its_value_times_the_return_of_its_symbol() -> None:
    base = PREPARED.pnl_of(VALUES)
    after = PREPARED.with_order(base, "BBB", 5_000.0)
    assert close_to(after.pnl, PREPARED.pnl_of({**VALUES, "BBB": -15_000.0}).pnl)


def test_an_order_leaves_its_base_as_it_was() -> None:
    base = PREPARED.pnl_of({**VALUES, "XYZ": 1.0})
    before = base.pnl.copy()
    PREPARED.with_order(base, "BBB", 5_000.0)
    PREPARED.with_order(base, "XYZ", -1.0)
    assert (base.pnl == before).all()
    assert base.uncovered == {"XYZ": 1.0}


def test_positions_in_another_order_have_the_same_pnl_to_the_bit() -> None:
    backwards = dict(reversed(VALUES.items()))
    assert (PREPARED.pnl_of(VALUES).pnl == PREPARED.pnl_of(backwards).pnl).all()


def test_the_returns_may_change_elsewhere_afterwards() -> None:
    mine = RETURNS.copy()
    prepared = prepare(tuple(VALUES), mine, "v1")
    mine[:] = 0
    assert (prepared.pnl_of(VALUES).pnl == PREPARED.pnl_of(VALUES).pnl).all()


def test_prepared_returns_are_not_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        PREPARED.columns[0, 0] = 1.0


def test_they_say_how_many_days_they_have() -> None:
    assert PREPARED.days == DAYS


@pytest.mark.parametrize("method", list(Method))
def test_risk_is_that_of_the_pnl(method: Method) -> None:
    scenarios = PREPARED.pnl_of(VALUES)
    assert scenarios.risk(method) == tail_risk(scenarios.pnl, method)


def test_a_position_without_history_is_named_not_zero() -> None:
    risk = PREPARED.pnl_of({**VALUES, "XYZ": 1.0, "NEW": -1.0}).risk()
    assert risk.uncovered == ("NEW", "XYZ")


def test_a_position_of_no_value_needs_no_history() -> None:
    assert PREPARED.pnl_of({"XYZ": 0.0}).uncovered == {}


def test_an_order_without_history_is_named() -> None:
    base = PREPARED.pnl_of(VALUES)
    assert PREPARED.with_order(base, "XYZ", 100.0).risk().uncovered == ("XYZ",)


def test_an_order_that_closes_a_position_without_history_leaves_nothing_uncovered() -> None:
    base = PREPARED.pnl_of({"XYZ": 100.0})
    assert PREPARED.with_order(base, "XYZ", -40.0).uncovered == {"XYZ": 60.0}
    assert PREPARED.with_order(base, "XYZ", -100.0).uncovered == {}


@pytest.mark.parametrize("symbol", ["AAA", "XYZ"])
@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_value_that_is_not_a_number_is_refused(symbol: str, wrong: float) -> None:
    with pytest.raises(ValueError, match=symbol):
        PREPARED.pnl_of({symbol: wrong})
    with pytest.raises(ValueError, match=symbol):
        PREPARED.with_order(PREPARED.pnl_of({}), symbol, wrong)


@pytest.mark.parametrize(
    ("symbols", "returns", "problem"),
    [
        (("A", "A"), np.zeros((30, 2)), "twice"),
        (("A", "B"), np.zeros((30, 3)), "shape"),
        (("A",), np.zeros(30), "shape"),
        (("A",), np.full((30, 1), np.nan), "finite"),
        (("A",), np.full((30, 1), np.inf), "finite"),
        (("A",), np.full((30, 1), -1.01), "-1"),
    ],
)
def test_returns_that_are_none_are_refused(symbols: tuple[str, ...], returns: Floats, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        prepare(symbols, returns, "v1")


def test_no_history_at_all_is_not_ready() -> None:
    nothing: PreparedReturns = prepare((), np.zeros((0, 0)), "v0")
    scenarios: Scenarios = nothing.pnl_of(VALUES)
    risk = scenarios.risk()
    assert (risk.ready, risk.uncovered) == (False, tuple(VALUES))


@given(BOOKS, SYMBOLS, AMOUNTS)
@examples(200)
def test_an_order_comes_to_what_the_changed_positions_do(book: dict[str, float], symbol: str, change: float) -> None:
    with_order = PREPARED.with_order(PREPARED.pnl_of(book), symbol, change)
    assert close_to(with_order.pnl, PREPARED.pnl_of({**book, symbol: book[symbol] + change}).pnl)


@given(BOOKS)
@examples(200)
def test_the_opposite_of_every_position_takes_all_risk_away(book: dict[str, float]) -> None:
    scenarios = PREPARED.pnl_of(book)
    for symbol, value in book.items():
        scenarios = PREPARED.with_order(scenarios, symbol, -value)
    assert scenarios.risk().es_99 == pytest.approx(0, abs=1e-6)


@given(SYMBOLS, AMOUNTS, st.floats(0, 1), st.sampled_from(list(Method)))
@examples(200)
def test_an_order_against_the_only_position_never_adds_risk(
    symbol: str, value: float, share: float, method: Method
) -> None:
    base = PREPARED.pnl_of({symbol: value})
    less = PREPARED.with_order(base, symbol, -value * share).risk(method)
    assert less.var_99 <= base.risk(method).var_99 * (1 + 1e-9) + 1e-6
    assert less.es_95 <= base.risk(method).es_95 * (1 + 1e-9) + 1e-6
