"""The periods that people ask for most, by trading days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

_DAY = timedelta(days=1)


class Preset(Struct, frozen=True):
    """A period with its word; the end is not part of it."""

    word: str
    since: datetime
    until: datetime


def presets(now: datetime, zone: str, roll_minute: int) -> tuple[Preset, ...]:
    """Return the periods around `now`, of days that end `roll_minute` minutes after midnight on the zone's clock.

    With a roll-over in the afternoon a day has the date on which it ends, as trading days have.
    """
    local = now.astimezone(ZoneInfo(zone))
    ends_later = roll_minute > 12 * 60

    def start(day: date) -> datetime:
        wall = day - _DAY if ends_later else day
        at = datetime(wall.year, wall.month, wall.day, roll_minute // 60, roll_minute % 60, tzinfo=local.tzinfo)
        return at.astimezone(UTC)

    today = local.date()
    if now < start(today):
        today -= _DAY
    elif now >= start(today + _DAY):
        today += _DAY
    month = today.replace(day=1)
    last_month = (month - _DAY).replace(day=1)
    return (
        Preset("Today", start(today), start(today + _DAY)),
        Preset("Yesterday", start(today - _DAY), start(today)),
        Preset("Last 7 days", start(today - 6 * _DAY), start(today + _DAY)),
        Preset("This month", start(month), start(today + _DAY)),
        Preset("Last month", start(last_month), start(month)),
    )
