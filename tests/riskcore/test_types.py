"""The words on the wire: what is understood, and that nothing else is (promise 8, as far as riskcore reads)."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskcore.decide import encode_decision
from riskcore.types import AccountState, Decision, Order, position_key
from tests.riskcore.builders import NOW, as_raw, check, order, position, state
from tests.support.properties import examples

_FIELDS = json.loads(bytes(as_raw(order(1, order_id="x"))))
WRONG: list[tuple[str, Any]] = [
    ("quantity", "one"),
    ("quantity", ""),
    ("quantity", True),
    ("quantity", None),
    ("quantity", [1]),
    ("quantity", {"value": 1}),
    ("price", "1,5"),
    ("price", False),
    ("side", "LONG"),
    ("side", "buy"),
    ("side", 1),
    ("order_type", "ICEBERG"),
    ("order_id", 7),
    ("order_id", None),
    ("reduce_only", "yes"),
    ("reduce_only", 1),
    ("timestamp_us", "now"),
    ("timestamp_us", 1.5),
    ("symbol", None),
]


def decode(fields: dict[str, Any]) -> Order:
    return msgspec.json.decode(json.dumps(fields), type=Order)


def test_an_order_reads_as_it_was_written() -> None:
    assert decode(_FIELDS) == order(1, order_id="x")


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_a_field_of_the_wrong_type_is_no_order(field: str, value: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode({**_FIELDS, field: value})


@pytest.mark.parametrize("field", ["order_id", "account_id", "symbol", "side", "quantity"])
def test_an_order_without_a_needed_field_is_none(field: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode({name: value for name, value in _FIELDS.items() if name != field})


@pytest.mark.parametrize("number", ["NaN", "sNaN", "-NaN", "Infinity", "-Infinity", "0", "-0", "-1", "-1E-12"])
def test_a_quantity_that_is_no_number_above_zero_is_refused(number: str) -> None:
    decision = check(order(number))
    assert (decision.approved, decision.reason) == (False, "invalid_order")
    assert "quantity" in decision.message


@pytest.mark.parametrize("number", ["NaN", "sNaN", "Infinity", "-Infinity", "-1"])
def test_a_price_that_is_no_number_from_zero_up_is_refused(number: str) -> None:
    decision = check(order(1, price=number))
    assert (decision.approved, decision.reason) == (False, "invalid_order")
    assert "price" in decision.message


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-3"])
def test_a_leverage_that_is_no_number_from_zero_up_is_refused(number: str) -> None:
    decision = check(order(1, leverage=number))
    assert (decision.approved, decision.reason) == (False, "invalid_order")
    assert "leverage" in decision.message


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
@examples(300)
def test_whatever_stands_for_a_quantity_is_a_number_above_zero_or_is_not_approved(value: Any) -> None:
    try:
        read = decode({**_FIELDS, "quantity": value})
    except msgspec.DecodeError:
        return
    assert not check(read).approved or (read.quantity > 0 and read.quantity.is_finite())


def test_a_number_never_goes_through_a_binary_float() -> None:
    read = msgspec.json.decode(json.dumps(_FIELDS).replace('"1"', "0.1", 1), type=Order)
    assert str(read.quantity) == "0.1"


def test_a_key_tells_two_exchanges_of_one_symbol_apart() -> None:
    keys = {position_key("BTC", ""), position_key("BTC", "binance"), position_key("BTC", "bybit")}
    assert len(keys) == 3


def test_a_state_reads_as_it_was_written() -> None:
    written = state(position("-1.50", exchange="binance"), equity="100.10", sequence=7)
    assert msgspec.json.decode(as_raw(written), type=AccountState) == written


def test_a_decision_reads_as_it_was_written() -> None:
    decision = check(order(1), at=state(position(1), equity=4_000, received_at_us=NOW))
    assert decision.violations
    assert msgspec.json.decode(encode_decision(decision), type=Decision) == decision
