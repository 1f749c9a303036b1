"""The prices in a reply of Redis are read once for as long as none of them moves."""

from __future__ import annotations

import pytest

from riskcore.ports import AccountQuery, Load, Loaded
from riskcore.remembered import Remembered
from state import redis_codec
from state.redis_codec import decode_loaded

LOAD = Load(accounts=(AccountQuery(account_id="A", symbols=("BTCUSDT",)),))


def loaded(price: str) -> Loaded:
    """What a load of an account that was never written brings, with one price."""
    prices = b'{"BTCUSDT":["%b",1,0]}' % price.encode()
    return decode_loaded([b"1", b"g", b"1", b"1", b"[]", b"1", prices, None, [None, None, None, None, None]], LOAD)


def test_prices_that_have_not_moved_are_the_same_ones() -> None:
    first, second, moved = (loaded(price).accounts[0].prices for price in ("100", "100", "101"))
    assert second is first
    assert (str(first["BTCUSDT"].price), str(moved["BTCUSDT"].price)) == ("100", "101")


def test_no_more_are_kept_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_codec, "_known_prices", Remembered(2))
    found = [loaded(price).accounts[0].prices["BTCUSDT"].price for price in ("1", "2", "3", "4")]
    assert found == [1, 2, 3, 4]
    assert len(redis_codec._known_prices) <= 2
