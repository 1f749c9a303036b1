"""Orders as bodies: what is accepted comes out exactly, everything else is refused by name."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.wire import ORDER_FIELDS, batch_reply, read_batch, read_order, with_time
from feeds.malformed import Malformed
from riskcore.batch import Answered
from riskcore.types import Order, OrderType, Side
from tests.api.world import order

IDS = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=64)
SYMBOLS = st.from_regex(r"[A-Za-z0-9./:_-]{1,32}", fullmatch=True)
AMOUNTS = st.decimals(min_value=Decimal("1E-12"), max_value=Decimal("99999999999999999999"), places=12)


def wrong_fields(content: bytes) -> list[str]:
    """Return the fields for which a body is refused, none where it is accepted."""
    try:
        read_order(content)
    except Malformed as malformed:
        return [error.field for error in malformed.errors]
    return []


@st.composite
def orders(draw) -> dict[str, object]:
    """Bodies that must be accepted."""
    kind = draw(st.sampled_from([*OrderType, None]))
    body: dict[str, object] = {
        "order_id": draw(IDS),
        draw(st.sampled_from(["account", "account_id"])): draw(IDS),
        "symbol": draw(SYMBOLS),
        "side": draw(st.sampled_from(["BUY", "sell", "Buy", "sElL"])),
        "quantity": f"{draw(AMOUNTS):f}",
    }
    if kind is not OrderType.MARKET and (kind is not None or draw(st.booleans())):
        body["price"] = f"{draw(AMOUNTS):f}"
    if kind is not None:
        body["order_type"] = draw(st.sampled_from([kind.value, kind.value.lower()]))
    optional = st.fixed_dictionaries(
        {},
        optional={
            "strategy_id": st.one_of(st.just(""), IDS),
            "exchange": st.from_regex(r"[A-Za-z]{0,10}", fullmatch=True),
            "reduce_only": st.booleans(),
            "what_if": st.booleans(),
            "leverage": st.integers(1, 100),
            "reservation_ttl": st.integers(1, 86_400),
        },
    )
    return {**body, **draw(optional)}


@given(orders(), st.booleans())
def test_an_accepted_order_comes_out_exactly(body, ascii_only):
    read = read_order(json.dumps(body, ensure_ascii=ascii_only).encode())

    price = Decimal(str(body.get("price", 0)))
    kind = str(body.get("order_type", "LIMIT" if price else "MARKET")).upper()
    assert read == Order(
        order_id=str(body["order_id"]),
        account_id=str(body.get("account_id", body.get("account"))),
        symbol=str(body["symbol"]).upper(),
        side=Side(str(body["side"]).upper()),
        quantity=Decimal(str(body["quantity"])),
        price=price,
        order_type=OrderType(kind),
        strategy_id=str(body.get("strategy_id", "")),
        exchange=str(body.get("exchange", "")).upper(),
        reduce_only=bool(body.get("reduce_only", False)),
        leverage=Decimal(str(body.get("leverage", 0))),
        ttl_us=int(str(body.get("reservation_ttl", 0))) * 1_000_000,
        what_if=bool(body.get("what_if", False)),
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(orders(), st.dictionaries(st.sampled_from([*ORDER_FIELDS, "frobnicate"]), JSON, min_size=1, max_size=3))
def test_any_other_json_is_refused_by_a_name_in_it(body, changes):
    named = wrong_fields(json.dumps({**body, **changes}).encode())

    assert {name.split("[")[0].split(".")[0] for name in named} <= {*ORDER_FIELDS, *changes}
    assert named or "frobnicate" not in changes


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_by_name(content):
    assert wrong_fields(content)


def test_equal_orders_are_equal_however_their_numbers_are_written():
    one, other = (
        read_order(json.dumps(order(quantity=quantity, price=price)).encode())
        for quantity, price in (("1.50", 50000), (1.5, "5e4"))
    )

    assert repr(one) == repr(other)


def test_both_names_of_the_account_may_be_given_if_they_agree():
    assert read_order(json.dumps(order(account="A")).encode()).account_id == "A"


@pytest.mark.parametrize(("price", "kind"), [("1", OrderType.LIMIT), (0, OrderType.MARKET), (None, OrderType.MARKET)])
def test_the_type_follows_from_the_price(price, kind):
    assert read_order(json.dumps(order(price=price)).encode()).order_type is kind


def test_the_time_is_appended_to_the_decision():
    assert json.loads(with_time(b'{"approved":true}', 7)) == {"approved": True, "processing_time_us": 7}


def test_a_batch_keeps_its_order():
    read = read_batch(json.dumps({"orders": [order("b"), order("a")], "atomic": True}).encode())

    assert [each.order_id for each in read.orders] == ["b", "a"]
    assert read.atomic is True


def test_a_batch_is_answered_in_its_order():
    answers = [
        Answered(order=read_order(json.dumps(order()).encode()), decision=decision, approved=True, reason=None)
        for decision in (b'{"n":1}', b'{"n":2}')
    ]

    assert [each["n"] for each in json.loads(batch_reply(answers, 5))["decisions"]] == [1, 2]
