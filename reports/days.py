"""The trading day that a moment is in."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from riskcore.book import Parameters
from riskcore.calendar import DAY_US, day_end_us, microseconds, moment


class Day(Struct, frozen=True):
    """A trading day: `since` included and `until` not, in UTC."""

    since: datetime
    until: datetime


def trading_day(at: datetime, parameters: Parameters) -> Day:
    """Return the trading day of a moment, as the book of then has its zone and its roll-over."""
    at_us, zone, roll = microseconds(at), parameters.day_zone, parameters.day_roll_minute
    # Its beginning is the last roll-over by then: no two of them are two days apart.
    since_us = day_end_us(at_us - 2 * DAY_US, zone, roll)
    while (following_us := day_end_us(since_us, zone, roll)) <= at_us:
        since_us = following_us
    return Day(moment(since_us), moment(following_us))
