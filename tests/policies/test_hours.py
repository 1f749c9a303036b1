"""Active windows as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given

from policies.hours import format_window, parse_window
from riskcore.schedule import ActiveWindow
from tests.riskcore.test_schedule import WINDOWS


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("daily 00:00-24:00 UTC", ActiveWindow()),
        (
            "Mon-Fri 09:30-16:00 America/New_York",
            ActiveWindow(zone="America/New_York", days=(0, 1, 2, 3, 4), from_minute=570, to_minute=960),
        ),
        (
            "sat,SUN  22:00-06:00   Europe/London from 2026-12-01",
            ActiveWindow(zone="Europe/London", days=(5, 6), from_minute=1320, to_minute=360, since="2026-12-01"),
        ),
        (
            "Fri-Mon 08:00-09:00 UTC until 2026-12-24",
            ActiveWindow(days=(0, 4, 5, 6), from_minute=480, to_minute=540, until="2026-12-24"),
        ),
        ("Mon-Sun 08:00-09:00 UTC", ActiveWindow(from_minute=480, to_minute=540)),
        ("Wed,Mon 08:00-08:00 UTC", ActiveWindow(days=(0, 2), from_minute=480, to_minute=480)),
    ],
)
def test_a_line_is_read(text, window):
    assert parse_window(text) == window


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "write it as in Mon-Fri"),
        ("09:30-16:00", "write it as in Mon-Fri"),
        ("Mon 9:30-16:00 UTC", "write it as in Mon-Fri"),
        ("Mon 09:30-16:00 UTC forever", "write it as in Mon-Fri"),
        ("Mon 09:30-16:00 UTC until 2026-12-24 from 2026-12-01", "write it as in Mon-Fri"),
        ("Mon- 09:30-16:00 UTC", "'' is no day"),
        ("Monday 09:30-16:00 UTC", "'Monday' is no day"),
        ("Mon,,Tue 09:30-16:00 UTC", "'' is no day"),
        ("Mon 24:00-16:00 UTC", "24:00 is no time"),
        ("Mon 09:60-16:00 UTC", "09:60 is no time"),
        ("Mon 09:00-24:01 UTC", "24:01 is no time"),
        ("Mon 09:30-16:00 Mars/Olympus", "is no time zone"),
        ("Mon 09:30-16:00 ../etc/passwd", "is no time zone"),
        ("Mon 09:30-16:00 UTC from 2026-02-30", "is no date"),
        ("Mon 09:30-16:00 UTC from 2026-12-24 until 2026-12-01", "ends before it begins"),
    ],
)
def test_what_is_none_is_refused(text, problem):
    with pytest.raises(ValueError, match=problem):
        parse_window(text)


@given(WINDOWS.filter(lambda window: not (window.since and window.until) or window.since <= window.until))
def test_what_is_written_is_read_as_the_same(window):
    days = tuple(sorted(window.days))
    canonical = ActiveWindow(
        zone=window.zone,
        days=days if len(days) < 7 else (),
        from_minute=window.from_minute,
        to_minute=window.to_minute,
        since=window.since,
        until=window.until,
    )
    assert parse_window(format_window(canonical)) == canonical
