"""Open orders: held until a commit removes them, expired or not, and never matched against once expired."""

from __future__ import annotations

from decimal import Decimal

import pytest

from riskcore.ports import Committed, Load, Loaded
from riskcore.types import Side, position_key
from state.store import Store
from tests.contract.subjects import FAR_US, PAST_US, change, commit, reservation, restored, view

ALPHA = "account-0"


def hold(store, *reservations) -> None:
    """Add reservations to the account."""
    assert commit(store, change(ALPHA, add=reservations)) == Committed()


def own(store, key: str = "BTCUSDT") -> tuple[str | None, str | None]:
    """Return the best own bid and ask."""
    found = view(store, ALPHA, keys=(key,))
    return found.own_bids.get(key), found.own_asks.get(key)


def now(store: Store) -> int:
    """Return the store's time."""
    return store.load(Load(accounts=())).now_us


def prices(*texts: str, side: Side = Side.BUY, **what):
    """Return one reservation for each price."""
    return [reservation(f"{side}{text}", side=side, price=Decimal(text), **what) for text in texts]


def test_reservations_are_listed_oldest_first_with_all_they_hold(store):
    first = reservation("a", created_at_us=1, price=Decimal("1E-8"), strategy_id="s", exchange="X")
    second = reservation("b", created_at_us=2, expires_at_us=PAST_US)
    hold(store, second, first)
    assert store.reservations(ALPHA) == (first, second)
    assert store.reservations("account-1") == ()


def test_a_removed_reservation_is_gone_for_good(store):
    hold(store, reservation("a"), reservation("b", price=Decimal(90)))
    assert commit(store, change(ALPHA, remove=(reservation("a"),))) == Committed()
    assert store.reservations(ALPHA) == (reservation("b", price=Decimal(90)),)
    assert own(store) == ("90", None)
    assert isinstance(commit(store, change(ALPHA, remove=(reservation("a"),))), Loaded)


def test_a_reservation_is_known_by_its_numbers_not_by_how_they_are_written(store):
    hold(store, reservation("a", price=Decimal("100.00"), quantity=Decimal("2.50")))
    same = reservation("a", price=Decimal("1E+2"), quantity=Decimal("2.5"))
    assert commit(store, change(ALPHA, remove=(same,))) == Committed()


def test_a_reservation_shrinks_in_one_commit(store):
    large, small = reservation("a"), reservation("a", quantity=Decimal("0.5"))
    hold(store, large)
    assert commit(store, change(ALPHA, remove=(large,), add=(small,))) == Committed()
    assert store.reservations(ALPHA) == (small,)
    assert isinstance(commit(store, change(ALPHA, remove=(large,))), Loaded)


def test_expired_reservations_come_with_every_load_until_they_are_removed(store):
    over = reservation("over", expires_at_us=PAST_US)
    hold(store, over, reservation("alive"))
    assert view(store, ALPHA).expired == (over,)
    commit(store, change(ALPHA, remove=(over,)))
    assert view(store, ALPHA).expired == ()


def test_a_reservation_is_alive_until_its_moment_and_over_from_then_on(store):
    end_us = now(store) + 150_000
    hold(store, reservation("soon", expires_at_us=end_us))
    assert (own(store)[0], view(store, ALPHA).expired) == ("100", ())
    while now(store) < end_us:
        pass
    assert own(store)[0] is None
    assert [one.order_id for one in view(store, ALPHA).expired] == ["soon"]


def test_at_most_64_expired_reservations_come_at_once_those_longest_over_first(store):
    hold(store, *(reservation(f"o{number:03}", expires_at_us=PAST_US + number) for number in range(100)))
    expected = [f"o{number:03}" for number in range(64)]
    assert [one.order_id for one in view(store, ALPHA).expired] == expected


def test_the_best_own_prices_are_the_highest_bid_and_the_lowest_ask(store):
    hold(store, *prices("9", "10", "9.5", "0.5"), *prices("110", "20", "10.5", side=Side.SELL))
    assert own(store) == ("10", "10.5")


def test_own_prices_are_kept_apart_by_symbol_and_exchange(store):
    hold(store, *prices("1"), *prices("2", symbol="ETHUSDT"), *prices("3", exchange="X"))
    expected = {("BTCUSDT", ""): "1", ("ETHUSDT", ""): "2", ("BTCUSDT", "X"): "3", ("BTCUSDT", "Y"): None}
    assert {names: own(store, position_key(*names)) for names in expected} == {
        names: (bid, None) for names, bid in expected.items()
    }


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("10000000000000000.1", "10000000000000000.2"),
        ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257828"),
        ("99999999999999999999", "100000000000000000000"),
        ("0", "0.000000000000000000000000000001"),
        ("1.05", "1.5"),
    ],
)
def test_best_prices_are_exact_where_doubles_are_equal_or_texts_sort_otherwise(store, low, high):
    hold(store, *prices(low, high), *prices(high, low, side=Side.SELL))
    assert own(store) == (high, low)


def test_an_expired_order_is_not_the_best_price_however_many_there_are(store):
    over = [
        reservation(f"{side}{number}", side=side, price=Decimal(price), expires_at_us=PAST_US)
        for number in range(100)
        for side, price in ((Side.BUY, 200 + number), (Side.SELL, 20 + number))
    ]
    hold(store, *over, *prices("150"), *prices("160", side=Side.SELL))
    assert own(store) == ("150", "160")


def test_of_orders_at_one_price_one_that_is_alive_counts(store):
    hold(
        store,
        reservation("a", expires_at_us=PAST_US),
        reservation("b", expires_at_us=FAR_US),
        reservation("c", side=Side.SELL, expires_at_us=PAST_US),
        reservation("d", side=Side.SELL, expires_at_us=FAR_US),
    )
    assert own(store) == ("100", "100")


@pytest.mark.parametrize("price", ["-1", "NaN", "Infinity", "1E+200"])
def test_an_open_order_whose_price_cannot_be_kept_is_refused(store, price):
    with pytest.raises(ValueError, match="cannot keep"):
        hold(store, reservation("a", price=Decimal(price)))
    assert store.reservations(ALPHA) == ()


def test_a_restore_leaves_reservations_alone(store):
    hold(store, reservation("a"))
    restored(store)
    assert store.reservations(ALPHA) == (reservation("a"),)
