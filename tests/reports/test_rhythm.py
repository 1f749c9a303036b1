"""When scheduled reports are due, and what they are about: by the clock on the wall, whatever is done to clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.models import Cadence
from reports.rhythm import Rhythm

NEW_YORK, BERLIN, APIA, BEIRUT = "America/New_York", "Europe/Berlin", "Pacific/Apia", "Asia/Beirut"
ZONES = ("UTC", NEW_YORK, BERLIN, "Asia/Kolkata", "Australia/Lord_Howe", BEIRUT, "Pacific/Kiritimati")


def rhythm(cadence: Cadence = Cadence.DAILY, *, day: int = 1, at: str = "06:30", zone: str = "UTC") -> Rhythm:
    hour, _, minute = at.partition(":")
    return Rhythm(cadence=cadence, day=day, minute=60 * int(hour) + int(minute), zone=zone)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("wanted", "after", "due"),
    [
        (rhythm(), "2026-01-31 06:29", "2026-01-31 06:30"),
        (rhythm(), "2026-01-31 06:30", "2026-02-01 06:30"),
        (rhythm(zone=NEW_YORK), "2026-01-31 06:30", "2026-01-31 11:30"),
        (rhythm(Cadence.WEEKLY, day=1), "2026-01-31 12:00", "2026-02-02 06:30"),
        (rhythm(Cadence.WEEKLY, day=7), "2026-02-01 06:30", "2026-02-08 06:30"),
        (rhythm(Cadence.MONTHLY, day=1), "2026-01-31 12:00", "2026-02-01 06:30"),
        (rhythm(Cadence.MONTHLY, day=31), "2026-01-31 12:00", "2026-02-28 06:30"),
        (rhythm(Cadence.MONTHLY, day=30), "2028-02-01 12:00", "2028-02-29 06:30"),
        (rhythm(Cadence.MONTHLY, day=31), "2026-12-31 12:00", "2027-01-31 06:30"),
    ],
)
def test_it_is_due_at_its_time(wanted, after, due):
    assert wanted.next_after(utc(after)) == utc(due)


def test_a_time_that_clocks_leave_out_is_an_hour_later():
    # In New York 02:30 is left out on 8 March 2026.
    assert rhythm(at="02:30", zone=NEW_YORK).next_after(utc("2026-03-08 05:00")) == utc("2026-03-08 07:30")


def test_a_time_that_comes_twice_is_the_first():
    wanted = rhythm(at="01:30", zone=NEW_YORK)  # on 1 November 2026
    first = wanted.next_after(utc("2026-11-01 04:00"))
    assert first == utc("2026-11-01 05:30")
    assert wanted.next_after(first) == utc("2026-11-02 06:30")


def test_the_day_on_which_clocks_change_is_a_whole_one():
    since, until = rhythm(zone=BERLIN).period_before(utc("2026-03-30 04:30"))
    assert (since, until) == (utc("2026-03-28 23:00"), utc("2026-03-29 22:00"))
    assert until - since == timedelta(hours=23)


def test_a_day_whose_midnight_is_left_out_begins_when_it_does():
    # In Beirut clocks go from 00:00 to 01:00 on 29 March 2026.
    since, _ = rhythm(zone=BEIRUT).period_before(utc("2026-03-30 04:30"))
    assert since.astimezone(ZoneInfo(BEIRUT)).isoformat() == "2026-03-29T01:00:00+03:00"


def test_a_week_is_from_monday_to_monday():
    due = utc("2026-02-04 06:30")  # a Wednesday
    assert rhythm(Cadence.WEEKLY, day=3).period_before(due) == (utc("2026-01-26 00:00"), utc("2026-02-02 00:00"))


def test_a_month_has_as_many_days_as_it_has():
    due = utc("2026-03-31 06:30")
    assert rhythm(Cadence.MONTHLY, day=31).period_before(due) == (utc("2026-02-01 00:00"), utc("2026-03-01 00:00"))


@given(
    cadence=st.sampled_from(Cadence),
    day=st.integers(1, 31),
    minute=st.integers(0, 24 * 60 - 1),
    zone=st.sampled_from(ZONES),
    start=st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - see timezones
)
def test_no_period_is_left_out_or_told_twice(cadence, day, minute, zone, start):
    wanted = Rhythm(cadence=cadence, day=min(day, 7) if cadence == Cadence.WEEKLY else day, minute=minute, zone=zone)
    due = wanted.next_after(start)
    for _ in range(14):
        following = wanted.next_after(due)
        assert following > due
        assert wanted.period_before(following)[0] == wanted.period_before(due)[1]
        assert wanted.period_before(due)[1] <= due
        due = following
