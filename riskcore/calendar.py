"""The trading day and week: when they end, in a zone that may have daylight saving."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

DAY_US = 86_400_000_000

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(at_us: int) -> datetime:
    """Return microseconds since the epoch as an aware UTC datetime, exactly."""
    return _EPOCH + at_us * _MICROSECOND


def microseconds(at: datetime) -> int:
    """Return an aware datetime as microseconds since the epoch, exactly."""
    return (at - _EPOCH) // _MICROSECOND


def day_end_us(now_us: int, zone: str, roll_minute: int) -> int:
    """Return the first roll-over after `now_us`: `roll_minute` minutes after midnight on the zone's clock."""
    local = moment(now_us).astimezone(ZoneInfo(zone))
    for days in (0, 1, 2):
        roll = _roll_of(local + timedelta(days=days), roll_minute)
        if roll > now_us:
            return roll
    raise AssertionError("a day has a roll-over within two days")  # pragma: no cover


def week_end_us(now_us: int, zone: str, roll_minute: int) -> int:
    """Return the first Monday's roll-over after `now_us`."""
    local = moment(now_us).astimezone(ZoneInfo(zone))
    monday = local + timedelta(days=-local.weekday())
    for weeks in (0, 1, 2):
        roll = _roll_of(monday + timedelta(weeks=weeks), roll_minute)
        if roll > now_us:
            return roll
    raise AssertionError("a week has a roll-over within two weeks")  # pragma: no cover


def _roll_of(day: datetime, roll_minute: int) -> int:
    wall = day.replace(hour=roll_minute // 60, minute=roll_minute % 60, second=0, microsecond=0, fold=0)
    return microseconds(wall)
