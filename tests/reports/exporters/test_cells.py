"""The text of a cell is exact, and no spreadsheet takes it for a formula."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reports.exporters.cells import defused, exact, fused, moment

FORMULAS = {
    "equals": "=1+1",
    "plus": "+1",
    "minus": "-2+3+cmd|' /C calc'!A0",
    "at": "@SUM(1,1)",
    "tab": "\tsafe",
    "carriage-return": "\rsafe",
    "new-line": "\nsafe",
    "blank-before": "  =1",
    "line-before": "\n=1",
    "no-break-space-before": "\xa0=1",
    "wide-space-before": "\u3000=1",
    "byte-order-mark-before": "\ufeff=1",
    "nothing-wide-before": "\u200b=1",
    "nul-before": "\0=1",
    "quote-before": '"=1',
    "wide-equals": "\uff1d1",
    "wide-plus": "\uff0b1",
    "wide-minus": "\uff0d1",
    "wide-at": "\uff201",
    "small-equals": "\ufe661",
}


@pytest.mark.parametrize("text", FORMULAS.values(), ids=FORMULAS.keys())
def test_what_is_taken_for_a_formula_begins_with_an_apostrophe(text):
    assert defused(text).startswith("'")
    assert fused(defused(text)) == text


@pytest.mark.parametrize("text", ["need 5-1 = 4", "a@b.example", "desk-1", "'quoted'", "", "x; y", "line\nline"])
def test_what_is_none_stays_as_it_is(text):
    assert defused(text) == text


@pytest.mark.parametrize("between", [";", "\t", "\n", "\r\n", "; ", ';"'], ids=repr)
def test_a_formula_after_what_separates_cells_elsewhere_is_defused_too(between):
    """Where people write a comma into numbers, their spreadsheet separates cells by semicolons, quotes or no quotes."""
    text = f"harmless{between}=1+1"
    assert re.search("[;\t\n]'[ \"]?=", defused(text))
    assert fused(defused(text)) == text


@given(st.text(alphabet=st.one_of(st.sampled_from("'\"=+-@;\t\r\n \0\ufeffa1"), st.characters()), max_size=30))
@example("'=")
@example("''=")
@example("'\t'=")
@example(";'=")
@example("\r\n=")
def test_any_text_comes_back_from_being_defused(text):
    assert fused(defused(text)) == text


@given(st.decimals(allow_nan=False))
def test_the_text_of_a_number_is_that_number(number):
    assert Decimal(exact(number)) == number


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Decimal("100.000000000000"), "100"),
        (Decimal("0.050"), "0.05"),
        (Decimal("1E+3"), "1000"),
        (Decimal("-0.10"), "-0.1"),
        (Decimal("0E-12"), "0"),
        (Decimal("Infinity"), "Infinity"),
        (Decimal("1E+999999"), "1E+999999"),
        (-7, "-7"),
    ],
)
def test_a_number_has_the_digits_that_matter(number, text):
    assert exact(number) == text


def test_a_moment_is_in_utc_to_the_microsecond():
    at = datetime(2026, 1, 31, 15, 3, 7, 5, tzinfo=timezone(timedelta(hours=1)))
    assert moment(at) == "2026-01-31T14:03:07.000005+00:00"


def test_a_moment_without_its_zone_is_refused():
    with pytest.raises(ValueError, match="without a zone"):
        moment(datetime(2026, 1, 31))  # noqa: DTZ001
