"""How often something happened, over time: counted in at most about a hundred hours, days or months."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from django.db.models import DateTimeField
from django.db.models.functions import Trunc
from msgspec import Struct

# The longest period that is told by each unit, and how such a moment is written.
_UNITS = (
    ("minute", timedelta(minutes=90), "%H:%M"),
    ("hour", timedelta(days=4), "%d %b %H:00"),
    ("day", timedelta(days=100), "%d %b %Y"),
    ("month", timedelta(days=3_000), "%b %Y"),
    ("year", timedelta.max, "%Y"),
)
_STEPS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}


class Buckets(Struct, frozen=True):
    """Equal parts of a period, in UTC. `unit` is minute, hour, day, month or year."""

    unit: str
    first: datetime
    last: datetime
    written: str

    def of(self, field: str) -> Trunc:
        """Return what the database is asked for: the beginning of the part in which a moment is."""
        return Trunc(field, self.unit, output_field=DateTimeField(), tzinfo=UTC)

    def begins(self) -> Iterator[datetime]:
        """Yield the beginning of each part, those without anything too."""
        at, last = _floor(self.first, self.unit), _floor(self.last, self.unit)
        while at <= last:
            yield at
            at = _next(at, self.unit)

    def labels(self) -> tuple[str, ...]:
        """Return how the parts are called."""
        return tuple(f"{at:{self.written}}" for at in self.begins())

    def values(self, counts: Mapping[datetime, int]) -> tuple[float, ...]:
        """Return the counts by the beginning of a part as a series, 0 where there is none."""
        return tuple(float(counts.get(at, 0)) for at in self.begins())


def buckets(first: datetime, last: datetime) -> Buckets:
    """Return the parts in which what happened from `first` to `last` is counted."""
    unit, written = next((unit, written) for unit, longest, written in _UNITS if last - first <= longest)
    return Buckets(unit, first, last, written)


def _floor(at: datetime, unit: str) -> datetime:
    at = at.astimezone(UTC).replace(second=0, microsecond=0)
    match unit:
        case "minute":
            return at
        case "hour":
            return at.replace(minute=0)
        case "day":
            return at.replace(minute=0, hour=0)
        case "month":
            return at.replace(minute=0, hour=0, day=1)
        case _:
            return at.replace(minute=0, hour=0, day=1, month=1)


def _next(at: datetime, unit: str) -> datetime:
    match unit:
        case "month":
            return at.replace(year=at.year + at.month // 12, month=at.month % 12 + 1)
        case "year":
            return at.replace(year=at.year + 1)
        case _:
            return at + _STEPS[unit]
