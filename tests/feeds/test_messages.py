"""Account reports and prices as bodies."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from feeds.malformed import Malformed
from feeds.messages import FUTURE_US, read_prices, read_report
from riskcore.types import Position

NOW_US = 1_800_000_000_000_000
STATE: dict[str, Any] = {"equity": "100000", "margin_used": 10_000, "positions": []}


def read(home_exchange: str = "", **what: Any):
    body = json.dumps({**STATE, **what}).encode()
    return read_report("A", body, home_exchange=home_exchange, now_us=NOW_US)


def wrong(content: dict[str, Any]) -> set[str]:
    with pytest.raises(Malformed) as caught:
        read_report("A", json.dumps(content).encode(), home_exchange="", now_us=NOW_US)
    return {error.field for error in caught.value.errors}


def wrong_prices(*prices: Any) -> set[str]:
    with pytest.raises(Malformed) as caught:
        read_prices(json.dumps({"prices": prices}).encode(), now_us=NOW_US)
    return {error.field for error in caught.value.errors}


def held(symbol: str = "BTCUSDT", quantity: object = 1, **what: Any) -> dict[str, Any]:
    return {"symbol": symbol, "quantity": quantity, **what}


def test_what_is_not_said_is_not_known():
    report = read()

    assert (report.equity, report.margin_used) == (Decimal(100_000), Decimal(10_000))
    assert (report.balance, report.peak_equity, report.daily_start_equity) == (None, None, None)
    assert (report.sequence, report.sent_at_us) == (-1, 0)


def test_everything_may_be_said():
    report = read(
        balance="90000",
        peak_equity=105_000,
        daily_start_equity=98_000,
        weekly_start_equity=1,
        sequence=7,
        timestamp=1_799_999_999,
    )

    assert (report.balance, report.peak_equity) == (Decimal(90_000), Decimal(105_000))
    assert (report.daily_start_equity, report.weekly_start_equity) == (Decimal(98_000), Decimal(1))
    assert (report.sequence, report.sent_at_us) == (7, 1_799_999_999_000_000)


def test_equity_may_be_gone():
    assert read(equity="-1.5").equity == Decimal("-1.5")


def test_a_position_may_be_short():
    report = read(positions=[held("btcusdt", "-2.5", entry_price=1, mark_price="2", margin=3)])

    assert report.positions == {
        "BTCUSDT": Position(
            symbol="BTCUSDT", quantity=Decimal("-2.5"), entry_price=Decimal(1), mark_price=Decimal(2), margin=Decimal(3)
        )
    }


def test_a_position_of_nothing_is_none():
    assert read(positions=[held(quantity=0)]).positions == {}


def test_a_position_that_names_no_exchange_is_at_the_accounts_own():
    report = read(home_exchange="X", positions=[held(), held("ETHUSDT", exchange="Y")])

    assert {key: position.exchange for key, position in report.positions.items()} == {
        "BTCUSDT|X": "X",
        "ETHUSDT|Y": "Y",
    }


def test_the_same_symbol_may_be_held_on_two_exchanges():
    assert len(read(positions=[held(exchange="X"), held(exchange="Y")]).positions) == 2


@pytest.mark.parametrize("home_exchange", ["", "X"])
def test_a_position_given_twice_is_refused(home_exchange):
    with pytest.raises(Malformed) as caught:
        read(home_exchange, positions=[held(), held("ETHUSDT"), held(exchange=home_exchange)])

    assert [error.field for error in caught.value.errors] == ["positions[2].symbol"]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({}, {"equity", "margin_used", "positions"}),
        ({**STATE, "equity": None}, {"equity"}),
        ({**STATE, "margin_used": -1}, {"margin_used"}),
        ({**STATE, "sequence": -1}, {"sequence"}),
        ({**STATE, "sequence": 1.0}, {"sequence"}),
        ({**STATE, "frobnicate": 1}, {"frobnicate"}),
        ({**STATE, "positions": {}}, {"positions"}),
        ({**STATE, "positions": [1]}, {"positions[0]"}),
        (
            {**STATE, "positions": [held(), held("X", "many"), {}]},
            {"positions[1].quantity", "positions[2].symbol", "positions[2].quantity"},
        ),
        ({**STATE, "positions": [held(entry_price=-1)]}, {"positions[0].entry_price"}),
        ({**STATE, "timestamp": (NOW_US + FUTURE_US) // 1_000_000 + 1}, {"timestamp"}),
    ],
)
def test_what_is_wrong_is_named(content, named):
    assert wrong(content) == named


def test_prices_are_taken_exactly():
    (price,) = read_prices(
        b'{"prices":[{"symbol":"btcusdt","price":50000.000000000001,"timestamp":1799999999}]}', now_us=NOW_US
    )

    assert (price.symbol, price.price) == ("BTCUSDT", Decimal("50000.000000000001"))
    assert price.sent_at_us == 1_799_999_999_000_000


def test_wrong_prices_are_named():
    good = {"symbol": "A", "price": 1}

    assert wrong_prices(good, {"symbol": "B", "price": 0}) == {"prices[1].price"}
    assert wrong_prices(good, {"symbol": "a", "price": 2}) == {"prices[1].symbol"}
    assert wrong_prices(good, {**good, "symbol": "B", "timestamp": 4_000_000_000}) == {"prices[1].timestamp"}
    assert wrong_prices({"symbol": "A"}) == {"prices[0].price"}


def test_the_exchange_of_a_position_is_upper_cased():
    report = read(positions=[held(exchange="binance")])
    assert [position.exchange for position in report.positions.values()] == ["BINANCE"]
    assert [key.partition("|")[2] for key in report.positions] == ["BINANCE"]


def test_the_same_position_on_one_exchange_in_two_cases_is_refused():
    with pytest.raises(Malformed):
        read(positions=[held(exchange="binance"), held(exchange="BINANCE")])


def test_an_exchange_with_the_separator_is_refused():
    assert wrong({**STATE, "positions": [held(exchange="A|B")]}) == {"positions[0].exchange"}
