"""A threshold that follows the volatility of a symbol."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from riskcore.book import Policy, Returns, VolatilityScale
from riskcore.compiled import CompiledBook
from riskcore.decide import decide
from riskcore.overview import overview
from riskcore.scaling import factor, scaled
from tests.riskcore.builders import DAY, NOW, check, compiled, inputs, marks, order, policy, state, view

D = Decimal
# Twenty days of 1 % up and down are 0.01 x sqrt(252) a year.
CALM = Returns(
    version="calm",
    symbols=("BTCUSDT",),
    days=20,
    since="2025-12-17",
    until="2026-01-06",
    values=np.tile([0.01, -0.01], 10).tobytes(),
)
A_YEAR = D("0.158745078")


def scale(**what: Any) -> VolatilityScale:
    return VolatilityScale(**{"symbol": "BTCUSDT", "reference": A_YEAR, "least": D("0.5"), "most": D(2), **what})


def limit(threshold: int = 100_000, **what: Any) -> Policy:
    return policy("order_notional", "<=", threshold, volatility=scale(**what))


def threshold_under(book: CompiledBook, now_us: int = NOW) -> Decimal:
    (found,) = (each.threshold for each in overview(view(), book, now_us).limits if each.metric == "order_notional")
    return found


@pytest.mark.parametrize(
    ("current", "expected"),
    [(0.5, "1"), (1.0, "0.5"), (2.0, "0.5"), (0.3, "1.666666"), (0.25, "2"), (0.1, "2"), (None, "0.5"), (0.0, "0.5")],
)
def test_the_factor_is_reference_over_current_within_its_bounds(current, expected):
    assert factor(scale(reference=D("0.5")), current) == D(expected)


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_the_more_the_market_moves_the_lower_the_threshold(one, other):
    of = limit()
    assert scaled(of, max(one, other)).threshold <= scaled(of, min(one, other)).threshold


def test_a_threshold_is_rounded_down():
    assert scaled(limit(1, reference=D("0.5")), 0.75).threshold == D("0.666666")
    third = replace(limit(), threshold=D("0.00000003"))
    assert scaled(third, 2 * float(A_YEAR)).threshold == D("0.00000001")


def test_a_policy_that_follows_nothing_is_itself():
    of = policy("leverage", "<=", 5)
    assert scaled(of, 0.5) is of


def test_an_order_is_held_against_the_scaled_threshold():
    book = compiled(limit(100_000, reference=2 * A_YEAR), returns=CALM)  # half as volatile: twice as much
    assert check(order("3.9"), under=book).approved
    refused = check(order("4.1"), under=book)
    assert not refused.approved
    assert refused.violations[0].threshold == D("199999.9")
    assert refused.max_quantity == D("3.999998")


@pytest.mark.parametrize("returns", [{}, {"returns": replace(CALM, symbols=("ETHUSDT",))}])
def test_without_a_history_it_is_at_its_lowest(returns):
    assert threshold_under(compiled(limit(), **returns).at(NOW)) == 50_000


def test_when_the_history_has_become_old_it_is_at_its_lowest():
    book = compiled(limit(), returns=CALM)
    over_us = NOW - NOW % DAY + 10 * DAY  # ten days after the sixth is over
    assert not book.has_old_returns(over_us)
    assert [threshold_under(book, at) for at in (NOW, over_us, over_us + 1)] == [D("99999.9"), D("99999.9"), 50_000]


def test_it_goes_with_hours():
    timed = replace(limit(), effective_from_us=NOW)
    book = compiled(timed, policy("leverage", "<=", 5), returns=CALM)
    seen = replace(state(), received_at_us=NOW - 1)
    prices = {symbol: replace(price, received_at_us=NOW - 1) for symbol, price in marks().items()}
    assert decide(inputs(order(3), seen, now_us=NOW - 1, prices=prices), book).decision.approved
    assert not check(order(3), under=book).approved


@pytest.mark.parametrize(
    "wrong",
    [
        policy("margin_ratio", ">=", 1, volatility=scale()),
        policy("daily_pnl", "<=", -5, volatility=scale()),
        limit(symbol=""),
        limit(reference=D(0)),
        limit(least=D(0)),
        limit(least=D(3)),
    ],
)
def test_what_cannot_be_scaled_is_not_published(wrong):
    with pytest.raises(ValueError, match="volatility"):
        compiled(wrong)
