"""When something is to go live, as people write it: a day and a time in the zone of the trading day."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError


def read_moment(text: str, zone: str) -> datetime:
    """Return the moment of a day and a time (2026-03-29T09:30) in an IANA zone.

    Raises ValidationError where it is none, or where the clocks are changed and this time is not there or comes twice:
    nobody could tell which is meant.
    """
    try:
        written = datetime.fromisoformat(text.strip())
    except ValueError:
        written = None
    if written is None or not 1970 <= written.year < 2200:
        raise ValidationError({"at": "Expected a day and a time, such as 2026-03-29T09:30."})
    if written.tzinfo is not None:
        return written.astimezone(UTC)
    first = written.replace(tzinfo=ZoneInfo(zone), fold=0)
    second = first.replace(fold=1)
    if first.utcoffset() == second.utcoffset():
        return first.astimezone(UTC)
    gone = first.astimezone(UTC).astimezone(first.tzinfo).replace(tzinfo=None) != written
    why = "is left out" if gone else "comes twice"
    raise ValidationError({"at": f"This time {why} on that day, as the clocks of {zone} are changed: choose another."})
