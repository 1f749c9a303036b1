"""How long something lasted: as a number in a cell, and in words."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from riskcore.decimals import FINEST, tidy

_MILLION = Decimal(1_000_000)
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


def seconds(begun: datetime | None, ended: datetime | None) -> Decimal | None:
    """Return the seconds between two moments, exactly; None where one of them is not known."""
    return None if begun is None or ended is None else in_seconds(ended - begun)


def in_seconds(lasted: timedelta) -> Decimal:
    """Return a duration in seconds, exactly."""
    return tidy((lasted // timedelta(microseconds=1) / _MILLION).quantize(FINEST))


def spoken(lasted: timedelta | None) -> str:
    """Return a duration as it is said, in its two largest units: "2 h 5 min", "0.25 s"."""
    if lasted is None:
        return "none"
    left = lasted.total_seconds()
    if left < 60:
        return f"{left:.3f}".rstrip("0").rstrip(".") + " s"
    parts = []
    for unit, size in _UNITS:
        number, left = divmod(left, size)
        parts.append(f"{number:.0f} {unit}" if number else "")
    first = next(place for place, part in enumerate(parts) if part)
    return " ".join(part for part in (*parts, f"{left:.0f} s" if left >= 1 else "")[first : first + 2] if part)
