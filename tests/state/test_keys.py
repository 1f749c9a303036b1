"""The texts by which Redis sorts open orders."""

from __future__ import annotations

from decimal import Context, Decimal

from hypothesis import given
from hypothesis import strategies as st

from riskcore.types import Reservation, Side
from state.keys import lane_of, own_member, own_price, plain_text, prefix

PRICES = st.decimals(min_value=0, max_value=Decimal(10) ** 30, allow_nan=False, places=None).filter(
    lambda price: len(f"{price:f}") < 99
)


def member(price: Decimal) -> str:
    return own_member(
        Reservation(
            order_id="o",
            account_id="a",
            symbol="S",
            side=Side.BUY,
            quantity=Decimal(1),
            price=price,
            valued_at=Decimal(1),
            margin_rate=Decimal(0),
            decision_id="d",
            created_at_us=0,
            expires_at_us=1,
        )
    )


@given(PRICES, PRICES)
def test_members_sort_as_their_prices_do(left, right):
    assert (member(left) < member(right)) == (left < right)
    assert (member(left) == member(right)) == (left == right)


@given(PRICES)
def test_a_price_is_read_back_exactly(price):
    assert Decimal(own_price(member(price).split(" ")[0])) == price


@given(PRICES)
def test_equal_numbers_are_written_alike(price):
    exact = Context(prec=200)
    longer = exact.add(price, Decimal("0." + "0" * 150))
    assert plain_text(price) == plain_text(exact.normalize(price)) == plain_text(longer)


def test_one_lane_holds_every_account():
    assert {lane_of(str(number), 1) for number in range(100)} == {0}


def test_lanes_share_the_accounts_between_them():
    counts = [sum(lane_of(f"account-{number}", 4) == lane for number in range(4000)) for lane in range(4)]
    assert min(counts) > 800


def test_all_keys_of_a_lane_have_one_hash_tag():
    assert prefix(2) == "risk:{L2}:"
