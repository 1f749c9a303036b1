"""The bars of a minute that prices make on their way into the live state, by the store's own clock.

A store makes them because it is where all prices meet, whichever door or process they came through, in the order in
which they are in force: so a bar is whole with any number of processes, and one that ends loses nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol

from msgspec import Struct

from state.keys import plain_text

MINUTE_US = 60_000_000

# Bars that nobody has fetched are kept this long, so that what cannot be written does not fill the memory.
BARS_LIFE_S = 24 * 60 * 60


class Bar(Struct, frozen=True):
    """The prices of a symbol in a minute, exact, and when the first and the last of them was received.

    Of the same price many times running only the first counts as received.
    """

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    first_at_us: int
    last_at_us: int


class PriceBars(Protocol):
    """The bars that a store keeps until they are fetched. Every method raises StateUnavailable.

    A minute is named by its start, in microseconds since the epoch.
    """

    def minutes(self) -> dict[int, int]:
        """Return the minutes that have bars, oldest first, each with how many symbols it has.

        The running minute too. A minute stays here until it is forgotten, also where its bars ran out of time.
        """
        ...

    def of(self, start_us: int) -> dict[str, Bar]:
        """Return the bars of a minute by symbol; none where it has run out of time."""
        ...

    def forget(self, start_us: int, bars: Mapping[str, Bar]) -> None:
        """Forget bars of a minute that are as given, and the minute where that was all. One that grew stays."""
        ...


def minute_of(at_us: int) -> int:
    """Return the start of the minute that a moment is in, both in microseconds."""
    return at_us - at_us % MINUTE_US


def with_price(bar: Bar | None, price: Decimal, now_us: int) -> Bar:
    """Return the bar after one more price, received now."""
    if bar is None:
        return Bar(price, price, price, price, now_us, now_us)
    if price == bar.close:
        return bar
    return Bar(bar.open, max(bar.high, price), min(bar.low, price), price, bar.first_at_us, now_us)


def bar_price(price: Decimal) -> str:
    """Return a price as bars have it, empty where it makes none: it is not above 0, or too long to be a price."""
    if price <= 0:
        return ""
    try:
        return plain_text(price)
    except ValueError:
        return ""


def encode_bar(bar: Bar) -> str:
    """Return a bar as the scripts write it."""
    prices = (plain_text(price) for price in (bar.open, bar.high, bar.low, bar.close))
    return f"{' '.join(prices)} {bar.first_at_us} {bar.last_at_us}"


def decode_bar(record: bytes) -> Bar:
    """Return the bar in a record. Raises ValueError or ArithmeticError where it is none."""
    opened, high, low, close, first_at_us, last_at_us = record.decode().split(" ")
    return Bar(Decimal(opened), Decimal(high), Decimal(low), Decimal(close), int(first_at_us), int(last_at_us))
