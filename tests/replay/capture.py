"""The recording: trades and best quotes of one market, as they arrived at the recorder.

The recorder's clock ran 1.2 s behind the exchange's. So every stamp of the exchange lies ahead of the clock by
which the rows are in order, and a price that is aged by its sender's stamp alone never grows old.
"""

from __future__ import annotations

import csv
import gzip
import heapq
import os
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from bench.machine import ROOT

SYMBOL = "BTCUSDT"
TRADES, TICKS = 21_313, 66_089

_NAME = "binance_usdm_btcusdt_20240808"


@dataclass(frozen=True)
class Tick:
    """A best quote. `ahead_us`: how far the exchange's stamp lies ahead of the recorder's clock."""

    at_ns: int
    ahead_us: int
    mid: Decimal


@dataclass(frozen=True)
class Trade:
    """A trade; its side is the taker's."""

    at_ns: int
    ahead_us: int
    trade_id: str
    side: str
    price: Decimal
    quantity: Decimal


def folder() -> Path:
    """Return where the recordings are."""
    named = os.environ.get("RISK_TEST_DATA")
    return Path(named) if named else ROOT.parent / "shared" / "data"


def missing() -> str:
    """Return why there is nothing to replay, empty where there is."""
    absent = [path.name for path in (_path("trades"), _path("book_ticker")) if not path.exists()]
    return f"{' and '.join(absent)} not in {folder()} (RISK_TEST_DATA)" if absent else ""


def events() -> Iterator[Tick | Trade]:
    """Yield the recording in the order of the recorder's stamps; of equal ones quotes first."""
    return heapq.merge(_ticks(), _trades(), key=lambda event: (event.at_ns, isinstance(event, Trade)))


def _ticks() -> Iterator[Tick]:
    for row in _rows("book_ticker"):
        at_ns = int(row["local_ts_ns"])
        mid = (Decimal(row["bid_price"]) + Decimal(row["ask_price"])) / 2
        yield Tick(at_ns, int(row["exch_event_ms"]) * 1000 - at_ns // 1000, mid)


def _trades() -> Iterator[Trade]:
    for row in _rows("trades"):
        at_ns = int(row["local_ts_ns"])
        yield Trade(
            at_ns=at_ns,
            ahead_us=int(row["exch_event_ms"]) * 1000 - at_ns // 1000,
            trade_id=row["trade_id"],
            side="SELL" if row["buyer_is_maker"] == "true" else "BUY",
            price=Decimal(row["price"]),
            quantity=Decimal(row["qty"]),
        )


def _rows(what: str) -> Iterator[dict[str, str]]:
    with gzip.open(_path(what), "rt", newline="") as file:
        yield from csv.DictReader(file)


def _path(what: str) -> Path:
    return folder() / f"{_NAME}_{what}.csv.gz"
