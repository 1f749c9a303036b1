"""Which column of a file of prices is what, from its header and what is said about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from feeds import values
from feeds.malformed import Wrong
from feeds.models import Interval

DATE_NAMES = ("date", "day", "datetime", "timestamp", "time")
SYMBOL_NAMES = ("symbol", "ticker")
CLOSE = "close"
BESIDE = ("open", "high", "low")
VOLUME = "volume"


class Problem(NamedTuple):
    """What is wrong, and where: `line` from 1, 0 for the file as a whole; `column` by its header, empty for all."""

    line: int
    column: str
    message: str

    def __str__(self) -> str:
        places = [f"line {self.line}"] if self.line else []
        places += [f"column {self.column}"] if self.column else []
        return ": ".join([", ".join(places), self.message] if places else [self.message])


class PriceFileError(Exception):
    """The file cannot be understood. `problems` has the first of what is wrong with it."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """How to read a file where it does not say so itself; empty: as it says.

    `symbol`: what its prices are of, where no column says so. `column`: which has the closes (of a wide file: the only
    one to take). `date_column`: which has the dates. `date_format`: see `price_dates.parser_of`. `missing`: what a cell
    says that has no price; an empty one of a wide file has none either.
    """

    interval: Interval = Interval.DAY
    symbol: str = ""
    column: str = ""
    date_column: str = ""
    date_format: str = ""
    missing: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Places of cells. `closes`: those with closes, each with its symbol, empty where the cell at `symbol` says it.

    `name` is `long` or `wide`. `beside`: places of open, high, low and volume.
    """

    name: str
    header: list[str]
    date: int
    symbol: int | None
    closes: list[tuple[int, str]]
    beside: dict[str, int]


def layout_of(header: list[str], wanted: Wanted) -> Layout:
    """Return which cell is what. Raises PriceFileError where the header does not say, or says it twice."""
    header = [name.strip() for name in header]
    places = _places(header)
    date = _date(places, wanted)
    symbol = next((places[name] for name in SYMBOL_NAMES if name in places), None)
    if symbol is not None and wanted.symbol:
        raise _wrong(header[symbol], "the file says itself of what its prices are: leave --symbol out")
    if symbol is None and not wanted.symbol and CLOSE in places:
        raise _wrong("", "no column says of what the prices are: say --symbol")
    if symbol is None and not wanted.symbol:
        return _wide(header, date, wanted, places)
    close = _close(header, date, wanted, places)
    # Open, high and low are not adjusted where another column than theirs is.
    names = (*BESIDE, VOLUME) if header[close].casefold() == CLOSE else (VOLUME,)
    return Layout(
        name="long",
        header=header,
        date=date,
        symbol=symbol,
        closes=[(close, symbol_of(wanted.symbol, "--symbol") if wanted.symbol else "")],
        beside={name: places[name] for name in names if name in places},
    )


def symbol_of(text: str, column: str, line: int = 0) -> str:
    """Return a symbol as orders name it, in upper case. Raises PriceFileError where it is none."""
    try:
        return values.symbol(msgspec.json.encode(text))
    except Wrong as wrong:
        raise PriceFileError(Problem(line, column, f"{text!r} {wrong.message}")) from None


def _places(header: list[str]) -> dict[str, int]:
    """Return the place of every column by its name, whatever its case."""
    places: dict[str, int] = {}
    for place, name in enumerate(header):
        if name.casefold() in places:
            raise _wrong(name, "there are two columns of this name")
        places[name.casefold()] = place
    return places


def _named(places: dict[str, int], name: str, option: str) -> int:
    place = places.get(name.casefold())
    if place is None:
        raise _wrong("", f"there is no column {name!r} ({option}); there are {', '.join(places)}")
    return place


def _date(places: dict[str, int], wanted: Wanted) -> int:
    if wanted.date_column:
        return _named(places, wanted.date_column, "--date-column")
    found = [places[name] for name in DATE_NAMES if name in places]
    if not found:
        raise _wrong("", f"no column is called {', '.join(DATE_NAMES[:-1])} or {DATE_NAMES[-1]}: say --date-column")
    return found[0]


def _close(header: list[str], date: int, wanted: Wanted, places: dict[str, int]) -> int:
    if wanted.column:
        return _named(places, wanted.column, "--column")
    if CLOSE in places:
        return places[CLOSE]
    others = [place for place in range(len(header)) if place != date]
    if len(others) != 1:
        raise _wrong("", "no column is called close: say --column")
    return others[0]


def _wide(header: list[str], date: int, wanted: Wanted, places: dict[str, int]) -> Layout:
    others = [place for place in range(len(header)) if place != date]
    if wanted.column:
        others = [_named(places, wanted.column, "--column")]
    if not others:
        raise _wrong("", "there is no column of prices")
    closes = [(place, symbol_of(header[place], header[place], line=1)) for place in others]
    return Layout(name="wide", header=header, date=date, symbol=None, closes=closes, beside={})


def _wrong(column: str, message: str) -> PriceFileError:
    return PriceFileError(Problem(1, column, message))
