"""Prices: the last one sent wins, whatever order they arrive in."""

from __future__ import annotations

from decimal import Decimal

import pytest

from riskcore.ports import Load
from tests.contract.subjects import view


def test_a_price_is_read_as_it_was_written_with_the_moment_of_its_receipt(store):
    before_us = store.load(Load(accounts=())).now_us
    assert store.put_prices({"BTCUSDT": ("50000.10", 7), 'E"TH': ("1E-8", 0)}) == 2
    after_us = store.load(Load(accounts=())).now_us
    found = store.prices(["BTCUSDT", "XRPUSDT", 'E"TH'])
    assert list(found) == ["BTCUSDT", 'E"TH']
    bitcoin = found["BTCUSDT"]
    assert (str(bitcoin.price), bitcoin.sent_at_us) == ("50000.10", 7)
    assert before_us <= bitcoin.received_at_us <= after_us
    assert found['E"TH'].price == Decimal("0.00000001")
    assert view(store, "a", symbols=("BTCUSDT",)).prices == {"BTCUSDT": bitcoin}


def test_no_price_is_known_of_a_symbol_that_none_was_put_for(store):
    assert store.prices(["BTCUSDT"]) == store.prices([]) == {}


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        (10, 11, "2"),
        (10, 10, "2"),
        (11, 10, "1"),
        (1_795_178_167_294_791, 1_795_178_167_294_790, "1"),
        (10, 0, "2"),
        (0, 10, "2"),
    ],
    ids=[
        "later",
        "same moment",
        "earlier",
        "earlier by a microsecond",
        "without a stamp",
        "after one without",
    ],
)
def test_only_a_price_that_was_sent_before_is_left_out(store, first, second, kept):
    store.put_prices({"BTCUSDT": ("1", first)})
    assert store.put_prices({"BTCUSDT": ("2", second)}) == (kept == "2")
    assert store.prices(["BTCUSDT"])["BTCUSDT"].price == Decimal(kept)


def test_all_prices_are_there_to_be_read(store):
    assert store.all_prices() == {}
    store.put_prices({"BTCUSDT": ("1", 5), 'E"TH': ("2", 0)})
    assert store.all_prices() == store.prices(["BTCUSDT", 'E"TH'])


@pytest.mark.parametrize("price", [("NaN", 0), ("1,5", 0), ("", 0), ("-Infinity", 0), ("1", -1), ("1", 2**53)])
def test_what_is_no_price_is_refused_and_nothing_is_written(store, price):
    with pytest.raises(ValueError, match="is not a"):
        store.put_prices({"ETHUSDT": ("1", 0), "BTCUSDT": price})
    assert store.prices(["ETHUSDT", "BTCUSDT"]) == {}


def test_thousands_of_prices_are_put_at_once(store):
    symbols = [f"S{number}" for number in range(2500)]
    assert store.put_prices(dict.fromkeys(symbols, ("1", 5))) == 2500
    assert len(store.prices(symbols)) == 2500
