"""Recorded markets: played as they were recorded, or refused with the file, the line and what is wrong."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from simulator.ticks import RecordedMarket, Unreadable
from tests.replay import capture

QUOTES = """timestamp,symbol,bid,ask,bid_size,ask_size
1700000000,btcusdt,100.10,100.20,1,2
1700000001,btcusdt,100.30,100.40,3,4
1700000002.5,ethusdt,10.01,10.02,5,6
1700000004,btcusdt,99.90,100.00,7,8
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ticks.csv"
    path.write_text(QUOTES)
    return path


def test_a_recording_is_played_at_its_own_pace(file):
    market = RecordedMarket([file])
    assert [str(quote.bid) for quote in market.quotes.values()] == ["100.10"]
    assert market.step(0.9) == []
    assert [str(quote.ask) for quote in market.step(0.2)] == ["100.40"]
    assert [quote.symbol for quote in market.step(1.5)] == ["ETHUSDT"]
    assert not market.has_ended
    assert [quote.bid_size for quote in market.step(10)] == [7]
    assert market.has_ended
    assert market.step(10) == []
    assert sorted(market.quotes) == sorted(market.listings) == ["BTCUSDT", "ETHUSDT"]
    assert market.listings["BTCUSDT"].tick == Decimal("0.01")


def test_a_recording_is_played_faster(file):
    assert len(RecordedMarket([file], speed=10).step(0.25)) == 2


def test_a_packed_file_is_read_whatever_it_is_called(tmp_path):
    path = tmp_path / "ticks"
    path.write_bytes(gzip.compress(QUOTES.encode()))
    assert len(RecordedMarket([path]).step(5)) == 3


def test_several_files_are_one_market(file, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text("ts_ms,price\n1700000000500,7\n1700000003000,8\n")
    market = RecordedMarket([file, other], symbol="sol")
    assert {symbol: str(quote.bid) for symbol, quote in market.quotes.items()} == {"BTCUSDT": "100.10", "SOL": "7"}
    played = market.step(10)
    assert [quote.symbol for quote in played] == ["SOL", "BTCUSDT", "ETHUSDT", "SOL", "BTCUSDT"]


def test_a_trade_is_both_bid_and_ask(tmp_path):
    path = tmp_path / "trades.csv"
    path.write_text("when,last\n2024-08-08T00:00:00Z,2.5\n2024-08-08 00:00:01,3\n")
    market = RecordedMarket([path], symbol="X", columns={"time": "when", "price": "last"})
    quote = market.quotes["X"]
    assert (quote.bid, quote.ask) == (Decimal("2.5"), Decimal("2.5"))
    assert quote.bid_size * quote.bid > 1000
    assert [each.ask for each in market.step(1)] == [3]


@pytest.mark.parametrize("written", ["1700000000", "1700000000000", "1700000000000000", "1700000000000000000"])
def test_times_are_told_apart_by_their_size(tmp_path, written):
    path = tmp_path / "t.csv"
    second = {10: "1700000001", 13: "1700000001000", 16: "1700000001000000", 19: "1700000001000000000"}[len(written)]
    path.write_text(f"time,price\n{written},1\n{second},2\n")
    market = RecordedMarket([path], symbol="X")
    assert market.step(0.999) == []
    assert len(market.step(0.002)) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "no column for time, bid and ask, or price, symbol (or --symbol)"),
        ("time,bid,symbol\n", "no column for bid and ask, or price"),
        ("time,price\n1700000000,1\n", "symbol (or --symbol)"),
        ("time,price,symbol\n", "no row below the header"),
        ("time,price,symbol\n1700000000,1,X\n1700000001,nan,X\n", "line 3: price is 'nan'"),
        ("time,price,symbol\n1700000000,1,X\n1700000001,-1,X\n", "line 3: price is '-1'"),
        ("time,price,symbol\n1700000000,1,X\n1700000001,0,X\n", "line 3: bid 0 and ask 0 must be above 0"),
        ("time,price,symbol\n1700000000,1,X\nnoon,1,X\n", "line 3: the time is 'noon'"),
        ("time,price,symbol\n1700000000,1,X\n-5,1,X\n", "line 3: the time '-5' is none since 1970"),
        ("time,price,symbol\n1700000000,1,X\n1700000001,1\n", "line 3: there is no symbol"),
        ("time,bid,ask,symbol\n1700000000,1,2,X\n1700000001,3,2,X\n", "the bid not above the ask"),
    ],
)
def test_what_is_no_recording_is_refused_with_its_place(tmp_path, content, says):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(Unreadable) as caught:
        RecordedMarket([path]).step(1e9)
    assert str(path) in str(caught.value)
    assert says in str(caught.value)


def test_a_column_that_is_not_there_is_named(file):
    with pytest.raises(Unreadable, match="no column best for bid; there are timestamp, symbol"):
        RecordedMarket([file], columns={"bid": "best"})


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Unreadable, match=r"absent\.csv: .*No such file"):
        RecordedMarket([tmp_path / "absent.csv"])


def test_a_packed_file_that_is_cut_off_is_named(tmp_path):
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(gzip.compress(QUOTES.encode() * 100)[:60])
    with pytest.raises(Unreadable, match=r"cut\.csv\.gz: "):
        RecordedMarket([path]).step(10)


@pytest.mark.skipif(bool(capture.missing()), reason=capture.missing())
def test_a_real_recording_is_played_whole():
    market = RecordedMarket([capture.folder() / "binance_usdm_btcusdt_20240808_book_ticker.csv.gz"], speed=1000)
    played = 1
    while not market.has_ended:
        played += len(market.step(0.01))
    assert played == capture.TICKS
    assert str(market.listings["BTCUSDT"].tick) == "0.01"
