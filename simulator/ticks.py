"""Recorded markets: best quotes or trades from CSV files, plain or gzip, replayed at their own pace or faster."""

from __future__ import annotations

import csv
import gzip
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import chain
from pathlib import Path
from typing import TextIO

from simulator.amounts import ZERO
from simulator.market import Listing, Quote

# What columns are called in files that we know; the first one that is there is taken.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "time": ("local_ts_ns", "timestamp", "time", "ts", "ts_s", "ts_ms", "ts_us", "ts_ns"),
    "symbol": ("symbol",),
    "bid": ("bid", "bid_price"),
    "ask": ("ask", "ask_price"),
    "bid_size": ("bid_size", "bid_qty"),
    "ask_size": ("ask_size", "ask_qty"),
    "price": ("price", "last", "close"),
}

_GZIP = b"\x1f\x8b"
_LAST_S, _LAST_MS, _LAST_US = 10**11, 10**14, 10**17

# In currency: what a quote is good for where the file does not say, and the most that a lot is worth.
_SIZE, _LOT = Decimal(20_000), Decimal(10)


class Unreadable(Exception):
    """A file is no recording; the message has its name, the line where there is one, and what to do."""


@dataclass(frozen=True)
class Tick:
    """A quote, `at_ns` nanoseconds since the epoch."""

    at_ns: int
    quote: Quote


class RecordedMarket:
    """Plays files, begun at their first row and `speed` times as fast; ends with their last.

    What a file begins with is known from the start, also where another one begins before it.

    Parameters
    ----------
    files
        Each of one market and in the order of time; those of several are merged by their times.
    symbol
        The symbol of files that have no such column.
    columns
        The column of each thing in COLUMNS that is called otherwise.

    Raises
    ------
    Unreadable
        A file is not there, or no recording. `step` raises it for a row that comes later.
    """

    def __init__(
        self, files: Sequence[Path], *, symbol: str = "", columns: Mapping[str, str] | None = None, speed: float = 1.0
    ) -> None:
        self.listings: dict[str, Listing] = {}
        self.quotes: dict[str, Quote] = {}
        self._speed = speed
        readings = [_begun(file, read_ticks(file, symbol=symbol, columns=columns or {})) for file in files]
        for first, _ticks in readings:
            self._know(first.quote)
        self._ticks = heapq.merge(*(ticks for _first, ticks in readings), key=lambda tick: tick.at_ns)
        self._next: Tick | None = next(self._ticks)
        self._now_ns = self._next.at_ns
        self._advance()

    @property
    def has_ended(self) -> bool:
        """Whether the last row has been played."""
        return self._next is None

    def step(self, seconds: float) -> Sequence[Quote]:
        """Let `seconds` (> 0) of our own time pass; return the quotes that came, the oldest first."""
        self._now_ns += int(seconds * self._speed * 1e9)
        return self._advance()

    def _advance(self) -> list[Quote]:
        found = []
        while self._next is not None and self._next.at_ns <= self._now_ns:
            self._know(self._next.quote)
            found.append(self._next.quote)
            self._next = next(self._ticks, None)
        return found

    def _know(self, quote: Quote) -> None:
        self.listings.setdefault(quote.symbol, _listing(quote))
        self.quotes[quote.symbol] = quote


def _begun(file: Path, ticks: Iterator[Tick]) -> tuple[Tick, Iterator[Tick]]:
    """Return a file's first tick, and all of them. Raises Unreadable where there is none."""
    first = next(ticks, None)
    if first is None:
        raise Unreadable(f"{file}: no row below the header")
    return first, chain([first], ticks)


def read_ticks(file: Path, *, symbol: str = "", columns: Mapping[str, str]) -> Iterator[Tick]:
    """Yield a file's ticks as they are read. A row whose time is before the last one's is taken to be of that time."""
    try:
        with _opened(file) as lines:
            yield from _ticks_of(lines, symbol, columns)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, Unreadable) as error:
        raise Unreadable(f"{file}: {error}") from error


def _opened(file: Path) -> TextIO:
    with file.open("rb") as raw:
        packed = raw.read(2) == _GZIP
    return gzip.open(file, "rt", newline="") if packed else file.open(newline="")


def _ticks_of(lines: Iterable[str], symbol: str, columns: Mapping[str, str]) -> Iterator[Tick]:
    rows = csv.DictReader(lines)
    place = _places(rows.fieldnames or (), columns, symbol)
    last_ns = 0
    for row in rows:
        try:
            quote = _quote(row, place, symbol)
            last_ns = max(last_ns, _nanoseconds(row[place["time"]] or ""))
        except ValueError as error:
            raise Unreadable(f"line {rows.line_num}: {error}") from None
        yield Tick(last_ns, quote)


def _places(names: Sequence[str], columns: Mapping[str, str], symbol: str) -> dict[str, str]:
    """Return the column of each thing that is there. Raises Unreadable where one is missing that is needed."""
    for what, name in columns.items():
        if name not in names:
            raise Unreadable(f"no column {name} for {what}; there are {', '.join(names)}")
    known = {what: next((name for name in usual if name in names), "") for what, usual in COLUMNS.items()}
    place = {what: name for what, name in {**known, **columns}.items() if name}
    priced = "price" in place or {"bid", "ask"} <= place.keys()
    missing = [
        *(["time"] if "time" not in place else []),
        *(["bid and ask, or price"] if not priced else []),
        *(["symbol (or --symbol)"] if "symbol" not in place and not symbol else []),
    ]
    if missing:
        raise Unreadable(f"no column for {', '.join(missing)}: name it with --columns; there are {', '.join(names)}")
    return place


def _quote(row: Mapping[str, str | None], place: Mapping[str, str], symbol: str) -> Quote:
    """Return a row's quote. Raises ValueError."""

    def amount(what: str) -> Decimal:
        return _amount(row[place[what]], place[what])

    if {"bid", "ask"} <= place.keys():
        bid, ask = amount("bid"), amount("ask")
    else:
        bid = ask = amount("price")
    if not ZERO < bid <= ask:
        raise ValueError(f"bid {bid} and ask {ask} must be above 0, and the bid not above the ask")
    name = ((row[place["symbol"]] if "symbol" in place else symbol) or "").strip().upper()
    if not name:
        raise ValueError("there is no symbol")
    usual = Decimal(1).scaleb((_SIZE / bid).adjusted())
    sizes = (amount(what) if what in place else usual for what in ("bid_size", "ask_size"))
    return Quote(name, bid, ask, *sizes)


def _amount(text: str | None, column: str) -> Decimal:
    try:
        value = Decimal(text or "")
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value < ZERO:
        raise ValueError(f"{column} is {text!r}; it must be a number, 0 or more")
    return value


def _nanoseconds(text: str) -> int:
    """Return a moment in nanoseconds: a number of seconds, ms, us or ns since the epoch, or ISO 8601 (UTC if not said).

    Raises ValueError.
    """
    try:
        value = Decimal(text)
        if not 0 < value < 2 * 10**18:
            raise ValueError(f"the time {text!r} is none since 1970")
    except InvalidOperation:
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"the time is {text!r}; it must be a number since 1970, or ISO 8601") from None
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        return int(found.timestamp() * 1_000_000) * 1000
    unit = next((unit for last, unit in ((_LAST_S, 10**9), (_LAST_MS, 10**6), (_LAST_US, 10**3)) if value < last), 1)
    return int(value * unit)


def _listing(quote: Quote) -> Listing:
    """Return a listing for what the file does not tell: the digits of its prices, and lots worth a few units."""
    tick = Decimal(1).scaleb(min(int(quote.bid.as_tuple().exponent), int(quote.ask.as_tuple().exponent), 0))
    return Listing(quote.symbol, tick, Decimal(1).scaleb((_LOT / quote.bid).adjusted()))
