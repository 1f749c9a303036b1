"""When a policy is in force: its hours of the week on a zone's clock, and its first and last moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from riskcore.calendar import microseconds, moment

MINUTES_OF_DAY = 24 * 60

# Later than anything that is asked for.
NEVER_US = 1 << 62

_DAY = timedelta(days=1)


class ActiveWindow(Struct, frozen=True, kw_only=True, gc=False):
    """Hours of some days, as the clocks of a zone show them.

    Attributes
    ----------
    zone
        An IANA name, as Europe/London.
    days
        0 is Monday, 6 is Sunday: the days on which it begins. Empty: every day.
    from_minute, to_minute
        Minutes after midnight, 0..1440. Where it ends no later than it begins, it ends on the next day.
    since, until
        The first and the last date on which it begins, YYYY-MM-DD. Empty: no bound.
    """

    zone: str = "UTC"
    days: tuple[int, ...] = ()
    from_minute: int = 0
    to_minute: int = MINUTES_OF_DAY
    since: str = ""
    until: str = ""


def is_active(windows: Iterable[ActiveWindow], at_us: int) -> bool:
    """Return whether a moment is in one of the windows; one that is not restricted to any is always active."""
    chosen = tuple(windows)
    return not chosen or any(begin <= at_us < end for window in chosen for begin, end in _around(window, at_us))


def next_change_us(windows: Iterable[ActiveWindow], at_us: int) -> int:
    """Return the next moment after `at_us` at which a window begins or ends, NEVER_US where there is none."""
    edges = (edge for window in windows for span in _around(window, at_us) for edge in span)
    return min((edge for edge in edges if edge > at_us), default=NEVER_US)


def _around(window: ActiveWindow, at_us: int) -> Iterator[tuple[int, int]]:
    """Yield when a window begins and ends, from those that may hold this moment to the next one after it."""
    zone = ZoneInfo(window.zone)
    today = moment(at_us).astimezone(zone).date()
    first = today - 2 * _DAY  # what began the day before yesterday has ended, whatever the clocks did
    if window.since:
        first = max(first, date.fromisoformat(window.since))
    # Of any seven days one at least is chosen: the eleventh is after the next that begins.
    for day in (first + number * _DAY for number in range(11)):
        if window.until and day > date.fromisoformat(window.until):
            return
        if not window.days or day.weekday() in window.days:
            yield _span(window, day, zone)


def _span(window: ActiveWindow, day: date, zone: ZoneInfo) -> tuple[int, int]:
    """Return when the window that begins on this day begins and ends.

    Where a clock that is put forward does not show its minute, or one that is put back shows it twice, it begins at the
    earlier of the two moments that may be meant, and ends at the later: a limit holds rather too long.
    """
    last = day if window.to_minute > window.from_minute else day + _DAY
    begin = min(_moments(day, window.from_minute, zone))
    return begin, max(_moments(last, window.to_minute, zone))


def _moments(day: date, minute: int, zone: ZoneInfo) -> tuple[int, int]:
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - what a clock shows, in whatever zone
    wall = midnight + timedelta(minutes=minute)
    first, second = (microseconds(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)) for fold in (0, 1))
    return first, second
