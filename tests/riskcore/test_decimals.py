"""Exact decimal arithmetic, and how numbers are shown."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskcore.decimals import (
    EXACT,
    FINEST,
    INFINITY,
    floor_to_step,
    is_multiple,
    money_down,
    money_up,
    shown_ratio,
    tidy,
)
from tests.support.properties import examples

D = Decimal
STEPS = st.sampled_from([D("0.001"), D("0.25"), D(1), D(7), D("0.3"), D(1000), FINEST])
AMOUNTS = st.decimals(min_value=0, max_value=10**20, places=12)


def test_a_ratio_is_shown_at_six_decimals() -> None:
    assert str(shown_ratio(D(1) / D(21))) == "0.047619"


def test_an_infinite_ratio_is_shown_as_it_is() -> None:
    assert shown_ratio(INFINITY) == INFINITY


def test_a_ratio_of_too_many_digits_is_an_error_and_not_a_wrong_figure() -> None:
    with pytest.raises(ArithmeticError):
        shown_ratio(D(10) ** 60)


@pytest.mark.parametrize(
    ("value", "shown"),
    [("100.00", "100"), ("1E+2", "100"), ("0.10", "0.1"), ("1.0E-7", "1E-7"), ("-5.50", "-5.5"), ("0.00", "0")],
)
def test_an_amount_is_shown_without_idle_zeros_or_exponents(value: str, shown: str) -> None:
    assert str(tidy(D(value))) == shown


def test_money_needed_is_rounded_up_and_money_available_down() -> None:
    assert money_up(D("500000.001")) == "500000.01"
    assert money_down(D("89999.999")) == "89999.99"
    assert money_up(D("500000")) == "500000.00"
    assert money_down(D("-0.001")) == "-0.01"


def test_a_quantity_between_two_steps_is_floored() -> None:
    assert floor_to_step(D("0.7"), D("0.3")) == D("0.6")
    assert floor_to_step(D("0.6"), D("0.3")) == D("0.6")
    assert floor_to_step(D(0), D("0.3")) == 0


def test_a_quotient_that_rounds_up_to_a_whole_step_is_not_taken_for_one() -> None:
    # 0.999... of 70 digits divided by 1 is rounded to 64 digits, which is 1.
    almost = D("0." + "9" * 70)
    with localcontext(EXACT):
        assert floor_to_step(almost, D(1)) == 0


@given(AMOUNTS, STEPS)
@examples(200)
def test_flooring_gives_the_largest_multiple_that_is_not_above(value: Decimal, step: Decimal) -> None:
    with localcontext(EXACT):
        floored = floor_to_step(value, step)
        assert is_multiple(floored, step)
        assert floored <= value < floored + step


def test_a_multiple_is_told_from_what_is_none() -> None:
    assert not is_multiple(D("0.15"), D("0.1"))
    assert is_multiple(D("0.3"), D("0.1"))
    assert is_multiple(D(0), D("0.1"))


@given(st.lists(AMOUNTS, min_size=1, max_size=20))
@examples(200)
def test_amounts_of_the_wire_add_up_and_return_to_zero_exactly(amounts: list[Decimal]) -> None:
    with localcontext(EXACT):
        total = sum(amounts, D(0))
        for amount in amounts:
            total -= amount
        assert total == 0
