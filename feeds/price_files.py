"""Files of prices: CSV, plain or compressed with gzip, understood to the last cell or refused with line and column.

Long: a line for each price, `symbol,date,close[,open,high,low,volume]` in any order; without a column of symbols all
are of the symbol that is given. Wide: a line for each date, `Date,SYM1,SYM2,...` with closes, an empty cell where
there is none.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import re
import zlib
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple, TextIO

from django.core.exceptions import ValidationError

from feeds.models import PRICE, VOLUME, Interval
from feeds.price_dates import DateProblem, Detector, Parser, parser_of
from feeds.price_layout import BESIDE, CLOSE, Layout, PriceFileError, Problem, Wanted, layout_of, symbol_of
from feeds.price_layout import VOLUME as VOLUME_NAME
from feeds.values import PLACES
from policies.validation import Between, kept_exactly
from riskcore.decimals import EXACT, FINEST

# More of what is wrong than this helps nobody.
MOST_PROBLEMS = 20
# All of a file is in memory before any of it is in the database.
MOST_BARS = 2_000_000

_PROGRESS_EVERY = 5_000
_NUMBER = re.compile(r"(-?[0-9]{1,40})(?:\.([0-9]{1,40}))?(?:[eE][+-]?[0-9]{1,2})?")
_STEPS = {
    Interval.DAY: timedelta(days=1),
    Interval.HOUR: timedelta(hours=1),
    Interval.MINUTE: timedelta(minutes=1),
}

Show = Callable[[int, int], None]


class Bar(NamedTuple):
    """One bar of a file. Prices and volume as in `feeds.models.PriceBar`."""

    symbol: str
    start: datetime
    open: Decimal | None
    high: Decimal | None
    low: Decimal | None
    close: Decimal
    volume: Decimal | None


@dataclass(frozen=True, kw_only=True)
class PriceFile:
    """What a file says: `bars` by symbol and time. `blanks`: cells without a price. `sha256` of its bytes."""

    bars: list[Bar]
    blanks: int
    layout: str
    date_format: str
    sha256: str


def read_prices(path: Path, wanted: Wanted, *, now: datetime, show: Show = lambda _done, _total: None) -> PriceFile:
    """Read all of a file.

    Parameters
    ----------
    path
        The file; gzip is told by its first bytes.
    wanted
        How to read it.
    now
        The present moment, timezone-aware: no bar begins after it.
    show
        Called with lines done and lines in all, now and then.

    Raises
    ------
    PriceFileError
        Something in it cannot be understood; nothing of it is returned.
    OSError
        It cannot be read at all.
    """
    layout, date_format, lines = _survey(path, wanted)
    reading = _Reading(layout, parser_of(date_format), wanted, now)
    with _rows(path) as rows:
        next(rows)
        for line, cells in rows:
            reading.take(line, cells)
            if line % _PROGRESS_EVERY == 0:
                show(line, lines)
    show(lines, lines)
    if reading.problems:
        raise PriceFileError(*reading.problems)
    if not reading.bars:
        raise PriceFileError(Problem(0, "", "there is no price in it"))
    return PriceFile(
        bars=sorted(reading.bars, key=lambda bar: bar[:2]),
        blanks=reading.blanks,
        layout=layout.name,
        date_format=date_format,
        sha256=_sha256(path),
    )


def _survey(path: Path, wanted: Wanted) -> tuple[Layout, str, int]:
    """Return the layout, the format of the dates, and the number of the last line."""
    with _rows(path) as rows:
        _, header = next(rows, (0, []))
        if not header:
            raise PriceFileError(Problem(0, "", "it is empty"))
        layout = layout_of(header, wanted)
        column, last, detector = layout.header[layout.date], 0, Detector()
        try:
            if wanted.date_format:
                parser_of(wanted.date_format)
            for line, cells in rows:
                last = line
                if not wanted.date_format and len(cells) == len(header):
                    detector.take(cells[layout.date].strip())
            last, lines = 0, last
            return layout, wanted.date_format or detector.result(), lines
        except DateProblem as error:
            raise PriceFileError(Problem(last, column, str(error))) from None


class _Reading:
    """What has been read of a file so far."""

    def __init__(self, layout: Layout, date_of: Parser, wanted: Wanted, now: datetime) -> None:
        self._layout, self._date_of, self._now = layout, date_of, now
        self._interval, self._missing = wanted.interval, wanted.missing
        self._lines: dict[tuple[str, datetime], int] = {}
        self.bars: list[Bar] = []
        self.blanks = 0
        self.problems: list[Problem] = []

    def take(self, line: int, cells: list[str]) -> None:
        """Read a line. Raises PriceFileError once too much is wrong with the file, or too much is in it."""
        try:
            self._take(line, cells)
        except PriceFileError as error:
            self.problems += error.problems
            if len(self.problems) >= MOST_PROBLEMS:
                raise PriceFileError(*self.problems) from None
        if len(self.bars) > MOST_BARS:
            raise PriceFileError(Problem(line, "", f"there are more than {MOST_BARS:,} prices: split the file"))

    def _take(self, line: int, cells: list[str]) -> None:
        layout = self._layout
        if len(cells) != len(layout.header):
            raise PriceFileError(Problem(line, "", f"it has {len(cells)} cells, the header {len(layout.header)}"))
        start = self._start(line, cells[layout.date].strip())
        nothing = self._missing | {""}
        beside = {name: _amount(line, name, cells[place], nothing) for name, place in layout.beside.items()}
        for place, symbol in layout.closes:
            column = layout.header[place]
            close = _amount(line, column, cells[place], nothing if layout.name == "wide" else self._missing)
            if close is None:
                self.blanks += 1
                continue
            if layout.symbol is not None:
                symbol = symbol_of(cells[layout.symbol].strip(), layout.header[layout.symbol], line)  # noqa: PLW2901
            _check_range(line, beside, close)
            high, low = beside.get("high"), beside.get("low")
            self._add(line, Bar(symbol, start, beside.get("open"), high, low, close, beside.get(VOLUME_NAME)))

    def _start(self, line: int, text: str) -> datetime:
        column = self._layout.header[self._layout.date]
        try:
            start = self._date_of(text)
        except ValueError:
            raise PriceFileError(Problem(line, column, f"{text!r} is no date in the format of the file")) from None
        if (start - datetime.combine(start, time(), UTC)) % _STEPS[self._interval]:
            raise PriceFileError(Problem(line, column, f"{text!r} is not the start of a {self._interval.label} in UTC"))
        if start > self._now:
            raise PriceFileError(Problem(line, column, f"{text!r} is in the future"))
        return start

    def _add(self, line: int, bar: Bar) -> None:
        before = self._lines.setdefault(bar[:2], line)
        if before != line or (self.bars and self.bars[-1][:2] == bar[:2]):
            column = self._layout.header[self._layout.date]
            raise PriceFileError(Problem(line, column, f"{bar.symbol} has a price of this date in line {before} too"))
        self.bars.append(bar)


def _amount(line: int, column: str, cell: str, nothing: AbstractSet[str]) -> Decimal | None:
    """Return a price, or the volume, exactly; None for a cell that says `nothing`."""
    text = cell.strip()
    if text in nothing:
        return None
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise PriceFileError(Problem(line, column, f"{text!r} is not a number" if text else "there is no price"))
    value = Decimal(text)
    bounds: Between = VOLUME if column.casefold() == VOLUME_NAME else PRICE
    try:
        bounds(value)
        _check_places(value)
        kept_exactly(value)
    except ValidationError as error:
        raise PriceFileError(Problem(line, column, " ".join(error.messages))) from None
    return value


def _check_places(value: Decimal) -> None:
    if value != value.quantize(FINEST, context=EXACT):
        raise ValidationError(f"{value} has more than {PLACES} digits after the point, which are not kept.")


def _check_range(line: int, beside: dict[str, Decimal | None], close: Decimal) -> None:
    """Raise PriceFileError where a price is above the bar's high or below its low."""
    prices = {CLOSE: close, **{name: beside[name] for name in BESIDE if beside.get(name) is not None}}
    for name, price in prices.items():
        high, low = prices.get("high"), prices.get("low")
        assert price is not None
        if high is not None and price > high:
            raise PriceFileError(Problem(line, name, f"{price} is above the high of {high}"))
        if low is not None and price < low:
            raise PriceFileError(Problem(line, name, f"{price} is below the low of {low}"))


@contextmanager
def _rows(path: Path) -> Iterator[Iterator[tuple[int, list[str]]]]:
    """Open a file for its lines that are not blank, each with its number."""
    with _opened(path) as stream:
        yield _numbered(stream)


def _numbered(stream: TextIO) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(stream, strict=True)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise PriceFileError(Problem(reader.line_num, "", f"this is not CSV: {error}")) from None
    except UnicodeDecodeError:
        raise PriceFileError(Problem(0, "", f"it is not UTF-8 text, somewhere after line {reader.line_num}")) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise PriceFileError(Problem(0, "", f"the compressed file is damaged: {error}")) from None


def _opened(path: Path) -> TextIO:
    with path.open("rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
    if compressed:
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _sha256(path: Path) -> str:
    with path.open("rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()
