"""Prices for tests: made up ones, and real ones from the folder with recordings."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np

from bench.machine import ROOT
from feeds.models import PriceBar
from riskcore.var import Floats

FIRST = date(2026, 1, 1)
SHARES = "us20_equities_adjclose_daily_1990_2022.csv.gz"
INDEX = "sp500_index_daily_1990_2022.csv.gz"


def keep(prices: Mapping[str, Mapping[date, float] | Sequence[float | None]], *, interval: str = "1d") -> None:
    """Keep closes by symbol: by date, or of one day after another from 2026-01-01, None for a day without."""
    rows = []
    for symbol, closes in prices.items():
        dated = closes if isinstance(closes, Mapping) else {FIRST + timedelta(n): each for n, each in enumerate(closes)}
        rows += [
            PriceBar(symbol=symbol, interval=interval, start=datetime.combine(day, time(), UTC), close=str(close))
            for day, close in dated.items()
            if close is not None
        ]
    PriceBar.objects.bulk_create(rows)


def walk(days: int, *, seed: int = 1) -> list[float]:
    """Return so many prices of a share that goes up and down."""
    steps = np.random.default_rng(seed).standard_t(4, days) * 0.01
    return [round(float(each), 4) for each in 100 * np.exp(np.cumsum(steps))]


def recording(name: str) -> Path:
    """Return where a recording of real prices is."""
    folder = os.environ.get("RISK_TEST_DATA")
    return (Path(folder) if folder else ROOT.parent / "shared" / "data") / name


def missing(*names: str) -> str:
    """Return why there is nothing to test with, empty where there is."""
    absent = [name for name in names if not recording(name).exists()]
    return f"{' and '.join(absent)} not in {recording('')} (RISK_TEST_DATA)" if absent else ""


def real_closes(name: str) -> tuple[list[str], list[str], Floats]:
    """Return symbols, dates and closes (days, symbols) of a recording, read without riskportal."""
    with gzip.open(recording(name), "rt") as stream:
        header, *lines = list(csv.reader(stream))
    return header[1:], [line[0] for line in lines], np.asarray([[float(cell) for cell in line[1:]] for line in lines])
