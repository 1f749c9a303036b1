"""When a policy is in force: on the clock of its zone, whatever that does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskcore.calendar import microseconds, moment
from riskcore.schedule import NEVER_US, ActiveWindow, is_active, next_change_us

NEW_YORK, LONDON = "America/New_York", "Europe/London"
# The New York exchange's hours.
OPEN = ActiveWindow(zone=NEW_YORK, days=(0, 1, 2, 3, 4), from_minute=9 * 60 + 30, to_minute=16 * 60)
NIGHT = ActiveWindow(zone=LONDON, days=(4,), from_minute=22 * 60, to_minute=6 * 60)


def at(text: str, zone: str = "UTC") -> int:
    return microseconds(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC))


def shown(at_us: int, zone: str = "UTC") -> str:
    return moment(at_us).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


def test_without_windows_it_is_always_active():
    assert is_active((), at("2026-11-21 03:00"))
    assert next_change_us((), at("2026-11-21 03:00")) == NEVER_US


@pytest.mark.parametrize(
    ("when", "active"),
    [
        ("2026-11-20 09:29:59.999999", False),
        ("2026-11-20 09:30", True),
        ("2026-11-20 15:59:59.999999", True),
        ("2026-11-20 16:00", False),
        ("2026-11-21 12:00", False),  # a Saturday
    ],
)
def test_hours_of_days(when, active):
    assert is_active([OPEN], at(when, NEW_YORK)) is active


@pytest.mark.parametrize(
    ("when", "active"),
    [
        ("2026-11-20 21:59", False),
        ("2026-11-20 22:00", True),  # a Friday
        ("2026-11-21 05:59", True),
        ("2026-11-21 06:00", False),
        ("2026-11-21 22:00", False),
    ],
)
def test_a_window_past_midnight_belongs_to_the_day_on_which_it_begins(when, active):
    assert is_active([NIGHT], at(when, LONDON)) is active


def test_a_whole_day_ends_with_it():
    day = ActiveWindow(days=(5,))
    assert not is_active([day], at("2026-11-20 23:59:59.999999"))
    assert is_active([day], at("2026-11-21 00:00"))
    assert is_active([day], at("2026-11-21 23:59:59.999999"))
    assert not is_active([day], at("2026-11-22 00:00"))


def test_the_same_minute_twice_is_a_whole_day():
    window = ActiveWindow(from_minute=600, to_minute=600, since="2026-11-20", until="2026-11-20")
    assert is_active([window], at("2026-11-21 09:59"))
    assert not is_active([window], at("2026-11-21 10:00"))


def test_dates_bound_it():
    window = ActiveWindow(since="2026-12-24", until="2026-12-26")
    assert not is_active([window], at("2026-12-23 23:59"))
    assert is_active([window], at("2026-12-24 00:00"))
    assert is_active([window], at("2026-12-26 23:59"))
    assert not is_active([window], at("2026-12-27 00:00"))


def test_one_of_several_is_enough():
    assert is_active([OPEN, ActiveWindow(days=(5,))], at("2026-11-21 12:00"))


def test_the_next_change_is_the_first_edge_of_any():
    now = at("2026-11-20 12:00", NEW_YORK)
    assert shown(next_change_us([OPEN], now), NEW_YORK) == "2026-11-20 16:00"
    assert shown(next_change_us([OPEN], at("2026-11-20 16:00", NEW_YORK)), NEW_YORK) == "2026-11-23 09:30"
    assert shown(next_change_us([OPEN, NIGHT], at("2026-11-20 21:30")), LONDON) == "2026-11-20 22:00"


def test_what_begins_in_years_is_known_and_what_is_over_never_changes():
    later = ActiveWindow(since="2029-01-01", days=(6,))
    assert shown(next_change_us([later], at("2026-11-20 00:00"))) == "2029-01-07 00:00"
    over = ActiveWindow(until="2020-01-01")
    assert next_change_us([over], at("2026-11-20 00:00")) == NEVER_US
    assert not is_active([over], at("2026-11-20 00:00"))


def test_hours_are_those_of_the_clock_on_both_sides_of_daylight_saving():
    # In 2026 New York puts its clocks back on 1 November: 09:30 is 13:30 UTC before, 14:30 UTC after.
    assert is_active([OPEN], at("2026-10-30 13:30"))
    assert not is_active([OPEN], at("2026-11-02 13:30"))
    assert is_active([OPEN], at("2026-11-02 14:30"))


def test_an_hour_that_is_skipped_is_begun_early_and_ended_late():
    # London skips 01:00 to 02:00 on 29 March 2026.
    begins = ActiveWindow(zone=LONDON, from_minute=90, to_minute=180)
    assert next_change_us([begins], at("2026-03-29 00:00")) == at("2026-03-29 00:30")
    ends = ActiveWindow(zone=LONDON, from_minute=0, to_minute=90)
    assert is_active([ends], at("2026-03-29 01:29"))
    assert not is_active([ends], at("2026-03-29 01:30"))


def test_an_hour_that_is_there_twice_is_begun_with_the_first_and_ended_with_the_second():
    # London has 01:00 to 02:00 twice on 25 October 2026: from 00:00 and from 01:00 UTC.
    window = ActiveWindow(zone=LONDON, from_minute=75, to_minute=105)
    assert not is_active([window], at("2026-10-25 00:14"))
    assert is_active([window], at("2026-10-25 00:15"))
    assert is_active([window], at("2026-10-25 01:44"))
    assert not is_active([window], at("2026-10-25 01:45"))


WINDOWS = st.builds(
    ActiveWindow,
    zone=st.sampled_from(["UTC", NEW_YORK, LONDON, "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"]),
    days=st.lists(st.integers(0, 6), max_size=4, unique=True).map(tuple),
    from_minute=st.integers(0, 1439),
    to_minute=st.integers(0, 1440),
    since=st.sampled_from(["", "2026-03-01", "2027-01-01"]),
    until=st.sampled_from(["", "2026-12-31", "2028-02-29"]),
)
MOMENTS = st.integers(at("2025-01-01"), at("2029-01-01"))


@given(st.lists(WINDOWS, max_size=3), MOMENTS, st.floats(0, 1))
def test_between_two_changes_nothing_changes(windows, now_us, where):
    change_us = min(next_change_us(windows, now_us), now_us + 400 * 86_400_000_000)
    between_us = now_us + int((change_us - 1 - now_us) * where)
    assert is_active(windows, between_us) is is_active(windows, now_us)


@given(WINDOWS, MOMENTS)
def test_changes_go_forward(window, now_us):
    change_us = next_change_us([window], now_us)
    assert change_us > now_us
    if change_us != NEVER_US:
        assert moment(change_us) - moment(now_us) < timedelta(days=3 * 366 + 8)
