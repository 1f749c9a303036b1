"""How long something lasted: as a number in a cell, and in words."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from riskcore.decimals import FINEST, tidy

_MILLION = Decimal(1_000_000)
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def seconds(begun: datetime | None, ended: datetime | None) -> Decimal | None:
    """Return the seconds between two moments, exactly; None where one of them is not known."""
    return None if begun is None or ended is None else in_seconds(ended - begun)


def in_seconds(lasted: timedelta) -> Decimal:
    """Return a duration in seconds, exactly."""
    return tidy((lasted // timedelta(microseconds=1) / _MILLION).quantize(FINEST))


def spoken(lasted: timedelta | None) -> str:
    """Return a duration as it is said, in its two largest units: "2 h 5 min", "0.25 ms"."""
    if lasted is None:
        return "none"
    if lasted < timedelta(seconds=59.5):
        in_ms = lasted < timedelta(seconds=1)
        number = lasted / timedelta(milliseconds=1) if in_ms else lasted.total_seconds()
        return f"{number:.3f}".rstrip("0").rstrip(".") + (" ms" if in_ms else " s")
    left = round(lasted.total_seconds())
    first = next(place for place, (_, size) in enumerate(_UNITS) if left >= size)
    parts = []
    for unit, size in _UNITS[first : first + 2]:
        number, left = divmod(left, size)
        parts.append(f"{number} {unit}" if number else "")
    return " ".join(part for part in parts if part)
