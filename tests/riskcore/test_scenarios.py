"""Today's positions on past days, and what an order adds to them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from riskcore.book import Returns
from riskcore.scenarios import PreparedReturns, Scenarios, prepare, prepare_published
from riskcore.types import VarMethod
from riskcore.var import Floats, tail_risk
from tests.riskcore.builders import compiled
from tests.support.properties import examples

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


@pytest.mark.parametrize("method", list(VarMethod))
def test_risk_is_that_of_the_pnl(method: VarMethod) -> None:
    scenarios = PREPARED.pnl_of(VALUES)
    assert scenarios.risk(method) == tail_risk(scenarios.pnl, method)


def test_a_position_without_history_is_named_not_zero() -> None:
    risk = PREPARED.pnl_of({**VALUES, "XYZ": 1.0, "NEW": -1.0}).risk()
    assert risk.uncovered == ("NEW", "XYZ")


def test_a_position_of_no_value_needs_no_history() -> None:
    assert PREPARED.pnl_of({"XYZ": 0.0}).uncovered == ()


@pytest.mark.parametrize("symbol", ["AAA", "XYZ"])
@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_value_that_is_not_a_number_is_refused(symbol: str, wrong: float) -> None:
    with pytest.raises(ValueError, match=symbol):
        PREPARED.pnl_of({symbol: wrong})
    with pytest.raises(ValueError, match=symbol):
        PREPARED.worst_of((symbol,), [wrong], [0.0])


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


# ----------------------------------------------------------------------------- what may be held, at its worst


def test_each_day_has_the_worst_of_what_may_be_held() -> None:
    pnl = PREPARED.worst_of(("AAA",), [-1_000.0], [5_000.0]).pnl
    assert close_to(pnl, np.where(RETURNS[:, 0] < 0, 5_000.0, -1_000.0) * RETURNS[:, 0])


@given(BOOKS, BOOKS, st.fixed_dictionaries(dict.fromkeys(VALUES, st.floats(0, 1))))
@examples(200)
def test_nothing_that_may_be_held_makes_less_on_any_day(
    one: dict[str, float], other: dict[str, float], shares: dict[str, float]
) -> None:
    lows = [min(one[symbol], other[symbol]) for symbol in VALUES]
    highs = [max(one[symbol], other[symbol]) for symbol in VALUES]
    ranges = zip(VALUES, lows, highs, strict=True)
    held = {symbol: low + (high - low) * shares[symbol] for symbol, low, high in ranges}
    worst, actual = PREPARED.worst_of(tuple(VALUES), lows, highs), PREPARED.pnl_of(held)
    assert (worst.pnl <= actual.pnl + 1e-6).all()
    assert worst.risk().var_99 >= actual.risk().var_99 - 1e-6


def test_a_leg_without_history_is_named_if_anything_may_be_held() -> None:
    legs = PREPARED.worst_of(("XYZ", "AAA", "NEW", "OLD"), [0.0, 5.0, -1.0, 0.0], [1.0, 5.0, 0.0, 0.0])
    assert legs.uncovered == ("NEW", "XYZ")
    assert close_to(legs.pnl, 5.0 * RETURNS[:, 0])


def test_where_legs_find_their_returns_is_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepare(tuple(VALUES), RETURNS, "v1")
    monkeypatch.setattr(prepared._found, "most", 1)
    for symbols in (("AAA",), ("BBB",), ("BBB", "AAA")):
        values = [1.0] * len(symbols)
        expected = sum(RETURNS[:, list(VALUES).index(symbol)] for symbol in symbols)
        assert close_to(prepared.worst_of(symbols, values, values).pnl, np.asarray(expected))


# ------------------------------------------------------------------------------------------- as a book has them

PUBLISHED = Returns(
    version="v1",
    symbols=tuple(VALUES),
    days=DAYS,
    since="2026-01-01",
    until="2026-04-30",
    values=RETURNS.T.astype("<f8").tobytes(),
)


def test_what_a_book_has_is_what_was_prepared() -> None:
    prepared = prepare_published(PUBLISHED)
    assert (prepared.columns == PREPARED.columns).all()
    assert (prepared.version, prepared.until, prepared.symbols) == ("v1", "2026-04-30", tuple(VALUES))


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"days": DAYS - 1}, "are not 3 symbols"),
        ({"symbols": ("AAA", "BBB")}, "are not 2 symbols"),
        ({"symbols": ("AAA", "BBB", "BBB")}, "twice"),
        ({"values": PUBLISHED.values[:-1]}, "buffer size"),
        ({"values": PUBLISHED.values[:-8]}, "are not 3 symbols"),
        ({"values": np.full((3, DAYS), np.nan).tobytes()}, "finite"),
        ({"values": np.full((3, DAYS), -1.5).tobytes()}, "-1"),
    ],
)
def test_a_book_whose_returns_are_none_is_refused(wrong: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        compiled(returns=replace(PUBLISHED, **wrong))
