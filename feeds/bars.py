"""Keeps the bars that the live state makes of the prices it takes (state.bars, decision 0012).

A bar goes into the bars of its interval and of its day by a merge that does not mind what came before: highs and lows
are compared, the open is the price received first, the close the one received last. So the same bar twice, two tasks
at once, a bar in pieces because the live state was lost in the middle of it, and pieces in any order come to the same.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import DataError, IntegrityError, connection, transaction

from feeds import metrics
from feeds.metrics import Kept, Lost
from feeds.models import Interval, PriceBar
from riskcore.calendar import moment
from riskcore.ports import Load
from state.bars import MINUTE_US, Bar
from state.store import Store

logger = logging.getLogger(__name__)

_LENGTH_US = {Interval.MINUTE: MINUTE_US, Interval.HOUR: 60 * MINUTE_US, Interval.DAY: 24 * 60 * MINUTE_US}

_TABLE = PriceBar._meta.db_table
# What a file says (`first_at` is empty) stays as it is.
_MERGE = f"""
    INSERT INTO {_TABLE} ("symbol", "interval", "start", "open", "high", "low", "close", "first_at", "last_at")
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT ("symbol", "interval", "start") DO UPDATE SET
        "open" = CASE WHEN excluded."first_at" < {_TABLE}."first_at" THEN excluded."open" ELSE {_TABLE}."open" END,
        "high" = CASE WHEN excluded."high" > {_TABLE}."high" THEN excluded."high" ELSE {_TABLE}."high" END,
        "low" = CASE WHEN excluded."low" < {_TABLE}."low" THEN excluded."low" ELSE {_TABLE}."low" END,
        "close" = CASE WHEN excluded."last_at" < {_TABLE}."last_at" THEN {_TABLE}."close" ELSE excluded."close" END,
        "first_at" = CASE WHEN excluded."first_at" < {_TABLE}."first_at" THEN excluded."first_at"
                     ELSE {_TABLE}."first_at" END,
        "last_at" = CASE WHEN excluded."last_at" > {_TABLE}."last_at" THEN excluded."last_at"
                    ELSE {_TABLE}."last_at" END
    WHERE {_TABLE}."first_at" IS NOT NULL
"""  # noqa: S608 - the name of our own table


class _Row(NamedTuple):
    """The columns of a bar, as they are merged."""

    symbol: str
    interval: Interval
    start: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    first_at: datetime
    last_at: datetime


def keep_bars(store: Store, *, length: Interval, running: bool = False) -> int:
    """Write the bars that are over, of this length and of their day, and return how many minutes that were.

    Bars leave the live state once they are written: while the database is away they wait there. What the
    database refuses, and what has waited for too long, is counted as lost, and logged.

    Parameters
    ----------
    length
        Of the bars within a day.
    running
        Write the running minute too, as far as it has come: for a live state that ends with its process.

    Raises
    ------
    StateUnavailable
        And Django's OperationalError and InterfaceError. What is written until then stays so.
    """
    now_us = store.load(Load(accounts=())).now_us
    done = 0
    for start_us, count in store.bars.minutes().items():
        over = start_us + MINUTE_US <= now_us
        if not over and not running:
            continue
        bars = store.bars.of(start_us)
        if not bars and over:
            logger.error("the bars of %d symbols from %s waited too long to be kept", count, moment(start_us))
            metrics.count_lost(Kept.BARS, Lost.EXPIRED, count)
        _write(tuple(_rows(start_us, bars, length)))
        if over:
            store.bars.forget(start_us, bars)
            done += 1
    return done


def _rows(start_us: int, bars: Mapping[str, Bar], length: Interval) -> Iterator[_Row]:
    """Yield what a minute brings, in an order in which writers do not wait for each other in a circle."""
    for interval in dict.fromkeys((length, Interval.DAY)):
        start = moment(start_us - start_us % _LENGTH_US[interval])
        for symbol, bar in sorted(bars.items()):
            prices = (bar.open, bar.high, bar.low, bar.close)
            last_at_us = max(bar.first_at_us, bar.last_at_us)  # the clock may have been put back in between
            yield _Row(symbol, interval, start, *prices, moment(bar.first_at_us), moment(last_at_us))


def _write(rows: Sequence[_Row]) -> None:
    """Merge all of them, or where some are refused, the others."""
    try:
        _merge(rows)
    except (IntegrityError, DataError):
        for row in rows:
            _merge_alone(row)
    else:
        metrics.count_kept(Kept.BARS, len(rows))


def _merge_alone(row: _Row) -> None:
    try:
        _merge((row,))
    except (IntegrityError, DataError) as error:
        logger.error("a bar of %s from %s is not kept: %s", row.symbol, row.start, error)
        metrics.count_lost(Kept.BARS, Lost.REFUSED)
    else:
        metrics.count_kept(Kept.BARS)


@transaction.atomic
def _merge(rows: Sequence[_Row]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(_MERGE, [tuple(map(_adapted, row)) for row in rows])


def _adapted(value: Any) -> Any:
    """Return a value as the database takes it."""
    return connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value
