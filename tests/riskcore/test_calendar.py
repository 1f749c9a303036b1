"""The trading day and week, in zones with and without daylight saving."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskcore.calendar import day_end_us, microseconds, moment, week_end_us
from tests.support.properties import examples

BERLIN, NEW_YORK, KATHMANDU = "Europe/Berlin", "America/New_York", "Asia/Kathmandu"
ZONES = ("UTC", BERLIN, NEW_YORK, KATHMANDU, "Australia/Lord_Howe", "America/Sao_Paulo")
MOMENTS = st.integers(microseconds(datetime(2000, 1, 1, tzinfo=UTC)), microseconds(datetime(2040, 1, 1, tzinfo=UTC)))


def at(zone: str, *when: int, fold: int = 0) -> int:
    return microseconds(datetime(*when, tzinfo=ZoneInfo(zone), fold=fold))  # type: ignore[misc,arg-type]


def day_end(now: int, zone: str = "UTC", minute: int = 0) -> int:
    return day_end_us(now, zone, minute)


def test_a_moment_and_its_microseconds_are_the_same_thing() -> None:
    assert moment(1) == datetime(1970, 1, 1, microsecond=1, tzinfo=UTC)
    assert microseconds(moment(1_767_787_200_123_456)) == 1_767_787_200_123_456


def test_the_day_ends_at_the_next_midnight() -> None:
    assert day_end(at("UTC", 2026, 1, 7, 12)) == at("UTC", 2026, 1, 8)


def test_the_moment_of_a_roll_over_belongs_to_the_new_day() -> None:
    assert day_end(at("UTC", 2026, 1, 8)) == at("UTC", 2026, 1, 9)
    assert day_end(at("UTC", 2026, 1, 8) - 1) == at("UTC", 2026, 1, 8)


def test_a_roll_over_in_the_evening_ends_todays_day_before_it_and_tomorrows_after_it() -> None:
    five_pm = 17 * 60
    assert day_end(at(NEW_YORK, 2026, 1, 7, 16, 59), NEW_YORK, five_pm) == at(NEW_YORK, 2026, 1, 7, 17)
    assert day_end(at(NEW_YORK, 2026, 1, 7, 17), NEW_YORK, five_pm) == at(NEW_YORK, 2026, 1, 8, 17)


def test_the_day_in_which_clocks_go_forward_has_23_hours() -> None:
    start = at(BERLIN, 2026, 3, 29)
    assert day_end(start, BERLIN) - start == timedelta(hours=23) // timedelta(microseconds=1)


def test_the_day_in_which_clocks_go_back_has_25_hours() -> None:
    start = at(BERLIN, 2026, 10, 25)
    assert day_end(start, BERLIN) - start == timedelta(hours=25) // timedelta(microseconds=1)


def test_a_roll_over_in_the_hour_that_is_left_out_comes_when_the_hour_would_have() -> None:
    # 02:30 does not exist in Berlin on 2026-03-29: the clock goes from 02:00 to 03:00.
    assert day_end(at(BERLIN, 2026, 3, 29, 1), BERLIN, 150) == at(BERLIN, 2026, 3, 29, 3, 30)


def test_a_roll_over_in_the_hour_that_comes_twice_happens_once() -> None:
    first, second = at(BERLIN, 2026, 10, 25, 2, 30), at(BERLIN, 2026, 10, 25, 2, 30, fold=1)
    assert second - first == 3600 * 1_000_000
    assert day_end(first - 1, BERLIN, 150) == first
    assert day_end(first, BERLIN, 150) == day_end(second - 1, BERLIN, 150) == at(BERLIN, 2026, 10, 26, 2, 30)


def test_the_week_ends_with_mondays_roll_over() -> None:
    wednesday = at("UTC", 2026, 1, 7, 12)
    assert week_end_us(wednesday, "UTC", 0) == at("UTC", 2026, 1, 12)
    assert week_end_us(at("UTC", 2026, 1, 12), "UTC", 0) == at("UTC", 2026, 1, 19)


def test_monday_before_its_roll_over_is_still_last_week() -> None:
    five_pm = 17 * 60
    monday = at(NEW_YORK, 2026, 1, 12, 16)
    assert week_end_us(monday, NEW_YORK, five_pm) == at(NEW_YORK, 2026, 1, 12, 17)
    assert week_end_us(at(NEW_YORK, 2026, 1, 12, 17), NEW_YORK, five_pm) == at(NEW_YORK, 2026, 1, 19, 17)


def test_the_week_in_which_clocks_go_forward_is_an_hour_shorter() -> None:
    start = at(BERLIN, 2026, 3, 23)
    assert week_end_us(start, BERLIN, 0) - start == (7 * 24 - 1) * 3600 * 1_000_000


@given(MOMENTS, st.sampled_from(ZONES), st.integers(0, 1439))
@examples(300)
def test_days_follow_each_other_without_gap_or_overlap(now: int, zone: str, minute: int) -> None:
    end = day_end(now, zone, minute)
    assert now < end <= now + 26 * 3600 * 1_000_000
    assert day_end(end - 1, zone, minute) == end
    following = day_end(end, zone, minute)
    assert 22 * 3600 * 1_000_000 <= following - end <= 26 * 3600 * 1_000_000


@given(MOMENTS, st.sampled_from(ZONES), st.integers(0, 1439))
@examples(300)
def test_a_week_ends_where_one_of_its_days_does(now: int, zone: str, minute: int) -> None:
    end = week_end_us(now, zone, minute)
    day = now
    for _ in range(8):
        day = day_end(day, zone, minute)
        if day == end:
            break
    assert day == end
    assert moment(end).astimezone(ZoneInfo(zone)).weekday() == 0


@pytest.mark.parametrize("zone", ZONES)
def test_every_zone_rolls_over_365_times_in_2026(zone: str) -> None:
    ends, now = 0, at(zone, 2026, 1, 1)
    last = at(zone, 2027, 1, 1)
    while now < last:
        now = day_end(now, zone)
        ends += 1
    assert (ends, now) == (365, last)
