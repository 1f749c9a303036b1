"""One JSON value, read strictly and exactly."""

from __future__ import annotations

import json
from decimal import Decimal, localcontext

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from feeds import values
from feeds.malformed import Wrong
from riskcore.types import KEY_SEPARATOR

JSON_NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,16})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)


def fits(value: Decimal) -> bool:
    """Whether a number has at most 20 digits before and 12 after the point, worked out another way."""
    with localcontext(prec=2000, Emax=10**6, Emin=-(10**6)):
        return abs(value) < Decimal(10) ** 20 and value * 10**12 == (value * 10**12).to_integral_value()


@given(text=JSON_NUMBERS, quoted=st.booleans())
@example(text="1e19", quoted=False)
@example(text="100000000000000000000e-1", quoted=True)
@example(text="0.0000000000010", quoted=False)
@example(text="0e999", quoted=False)
@example(text="-0e5", quoted=False)
def test_a_number_is_taken_exactly_or_refused(text, quoted):
    raw = f'"{text}"'.encode() if quoted else text.encode()
    expected = Decimal(text)
    try:
        value = values.decimal(raw)
    except Wrong:
        assert not fits(expected) or (expected.is_zero() and expected.is_signed())
    else:
        assert value == expected
        assert fits(expected)


@given(JSON_NUMBERS)
def test_equal_numbers_have_equal_digits(text):
    try:
        value = values.decimal(text.encode())
    except Wrong:
        return
    assert str(value) == str(values.decimal(f"{value:f}".encode()))
    assert "E" not in str(value) or abs(value) < Decimal("0.000001")


@given(st.text())
def test_text_that_is_no_number_is_refused(text):
    raw = json.dumps(text).encode()
    try:
        value = values.decimal(raw)
    except Wrong:
        return
    assert text.isascii()
    assert Decimal(text) == value


@given(st.text(max_size=80))
def test_a_name_comes_out_as_it_went_in_or_is_refused(text):
    parse = values.text(64)
    for raw in (json.dumps(text).encode(), json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass")):
        try:
            assert parse(raw) == text
        except Wrong:
            assert not (1 <= len(text) <= 64 and text.isprintable() and text == text.strip())


@pytest.mark.parametrize("raw", [b"1", b"null", b"true", b"[]", b"{}"])
def test_a_name_is_text(raw):
    with pytest.raises(Wrong):
        values.text(64)(raw)


def test_the_empty_name_is_taken_where_it_says_none():
    assert values.text(64, blank=True)(b'""') == ""
    with pytest.raises(Wrong):
        values.text(64)(b'""')


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=40))
def test_a_symbol_has_no_character_that_means_something_elsewhere(text):
    raw = json.dumps(text).encode()
    try:
        found = values.symbol(raw)
    except Wrong:
        assert not 1 <= len(text) <= 32 or set(text) & set(' {}|@"\\') or any(not c.isprintable() for c in text)
    else:
        assert found == text.upper()
        assert not set(found) & set(" {}|@")


@pytest.mark.parametrize(
    ("sent", "expected_us"),
    [
        (1_700_000_000, 1_700_000_000_000_000),
        (1_700_000_000_123, 1_700_000_000_123_000),
        (1_700_000_000_123_456, 1_700_000_000_123_456),
        (1, 1_000_000),
    ],
)
def test_a_moment_is_told_by_its_size(sent, expected_us):
    assert values.moment_us(str(sent).encode()) == expected_us


@pytest.mark.parametrize("raw", [b"0", b"-1", b"1.0", b"1e3", b'"1"', b"null", b"9" * 19, b"9" * 30])
def test_what_is_no_moment_is_refused(raw):
    with pytest.raises(Wrong):
        values.moment_us(raw)


@pytest.mark.parametrize("raw", [b"TRUE", b'"true"', b"1", b"null"])
def test_a_flag_is_true_or_false(raw):
    with pytest.raises(Wrong):
        values.flag(raw)


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=70))
def test_an_exchange_is_upper_case_and_has_no_separator(text):
    try:
        found = values.exchange(json.dumps(text).encode())
    except Wrong:
        assert len(text) > 64 or set(text) & set('|"\\') or text != text.strip() or not text.isprintable()
    else:
        assert found == text.upper()
        assert KEY_SEPARATOR not in found


@pytest.mark.parametrize("name", ["binance", "Binance", "BINANCE"])
def test_the_case_of_an_exchange_means_nothing(name):
    assert values.exchange(json.dumps(name).encode()) == "BINANCE"


@pytest.mark.parametrize("raw", [b"7", b"null", b'"A|B"', b'"BINANCE "', '"\uff22INANCE"'.encode(), b'"\\u0042"'])
def test_what_is_no_exchange_is_refused(raw):
    with pytest.raises(Wrong):
        values.exchange(raw)
