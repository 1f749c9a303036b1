"""Active windows as people write them: "Mon-Fri 09:30-16:00 America/New_York from 2026-12-01 until 2026-12-24"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from zoneinfo import ZoneInfo, available_timezones

from riskcore.schedule import MINUTES_OF_DAY, ActiveWindow

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
EVERY_DAY = "daily"
EXAMPLE = "Mon-Fri 09:30-16:00 America/New_York from 2026-12-01 until 2026-12-24"

_WINDOW = re.compile(
    r"(?P<days>\S+) (?P<begin>\d\d:\d\d)-(?P<end>\d\d:\d\d) (?P<zone>\S+)"
    r"(?: from (?P<since>\S+))?(?: until (?P<until>\S+))?\Z"
)


def parse_window(text: str) -> ActiveWindow:
    """Return the window that a line says. Raises ValueError, with a text for people, where it is none.

    Days are one, a range or several with commas (Mon, Mon-Fri, Mon,Wed), or "daily". Hours that end no later than they
    begin end on the next day.
    """
    found = _WINDOW.match(" ".join(text.split()))
    if found is None:
        raise ValueError(f"{text!r} is no window: write it as in {EXAMPLE}.")
    since, until = _date(found["since"]), _date(found["until"])
    if since and until and until < since:
        raise ValueError(f"{text!r} ends before it begins: {until} is earlier than {since}.")
    return ActiveWindow(
        zone=_zone(found["zone"]),
        days=_days(found["days"]),
        from_minute=_minute(found["begin"], last=MINUTES_OF_DAY - 1),
        to_minute=_minute(found["end"], last=MINUTES_OF_DAY),
        since=since,
        until=until,
    )


def format_window(window: ActiveWindow) -> str:
    """Return a window as a line, which `parse_window` reads as the same window."""
    begin, end = (f"{minute // 60:02}:{minute % 60:02}" for minute in (window.from_minute, window.to_minute))
    since = f" from {window.since}" if window.since else ""
    until = f" until {window.until}" if window.until else ""
    return f"{_listed(window.days)} {begin}-{end} {window.zone}{since}{until}"


def _days(text: str) -> tuple[int, ...]:
    if text.lower() == EVERY_DAY:
        return ()
    chosen = {day for part in text.split(",") for day in _range(part)}
    return () if len(chosen) == len(DAYS) else tuple(sorted(chosen))


def _range(text: str) -> Iterator[int]:
    """Yield the days of one part; one that goes over the end of the week goes on with its beginning."""
    first, dash, last = text.partition("-")
    day, end = _day(first), _day(last if dash else first)
    while day != end:
        yield day
        day = (day + 1) % len(DAYS)
    yield end


def _day(text: str) -> int:
    name = text.capitalize()
    if name not in DAYS:
        raise ValueError(f"{text!r} is no day: there are {', '.join(DAYS)}, and {EVERY_DAY}.")
    return DAYS.index(name)


def _minute(text: str, last: int) -> int:
    hours, minutes = map(int, text.split(":"))
    if minutes > 59 or hours * 60 + minutes > last:
        raise ValueError(f"{text} is no time of a day.")
    return hours * 60 + minutes


def _zone(name: str) -> str:
    # A name is a path to ZoneInfo: only those that are known are looked for.
    if name not in available_timezones():
        raise ValueError(f"{name!r} is no time zone: write its IANA name, as Europe/London.")
    return ZoneInfo(name).key


def _date(text: str | None) -> str:
    if text is None:
        return ""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ValueError(f"{text!r} is no date: write it as 2026-12-24.") from None


def _listed(days: tuple[int, ...]) -> str:
    if not days:
        return EVERY_DAY
    if len(days) > 2 and days[-1] - days[0] == len(days) - 1:
        return f"{DAYS[days[0]]}-{DAYS[days[-1]]}"
    return ",".join(DAYS[day] for day in days)
