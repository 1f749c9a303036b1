"""Dates of a file of prices: in one format throughout, which is given or follows from the whole file, never guessed."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

Parser = Callable[[str], datetime]

_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_SLASHES = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})(?: ([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?)?")


class DateProblem(ValueError):
    """A text is no date in the format, or a file has no format or several."""


def _iso(text: str) -> datetime:
    if _ISO.fullmatch(text) is None:
        raise ValueError
    return _in_utc(datetime.fromisoformat(text))


def _month_first(text: str) -> datetime:
    month, day, year, hour, minute, second = _slashes(text)
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


def _day_first(text: str) -> datetime:
    day, month, year, hour, minute, second = _slashes(text)
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


def _slashes(text: str) -> list[int]:
    found = _SLASHES.fullmatch(text)
    if found is None:
        raise ValueError
    return [int(part or 0) for part in found.groups()]


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


# What is looked for where no format is given.
FORMATS: dict[str, Parser] = {"iso": _iso, "mdy": _month_first, "dmy": _day_first}
_SHOWN = {"iso": "YYYY-MM-DD", "mdy": "month/day/year", "dmy": "day/month/year"}


def parser_of(name: str) -> Parser:
    """Return what reads a format: `iso`, `mdy`, `dmy`, or a pattern of strptime such as `%Y%m%d`.

    It returns moments in UTC, which is also what a date without a zone is taken to be in, and raises ValueError
    where a text is none. Raises DateProblem for another name.
    """
    if name in FORMATS:
        return FORMATS[name]
    if "%" not in name:
        raise DateProblem(f"{name!r} is no date format: expected iso, mdy, dmy or a pattern such as %Y%m%d")
    return lambda text: _in_utc(datetime.strptime(text, name))  # noqa: DTZ007 - the zone is added


class Detector:
    """Finds the one format in which all dates of a file are dates."""

    def __init__(self) -> None:
        self._left = dict(FORMATS)
        self._seen = False

    def take(self, text: str) -> None:
        """Take a date of the file. Raises DateProblem where no format is left that reads it and all before it."""
        left = {name: parse for name, parse in self._left.items() if _reads(parse, text)}
        if not left:
            before = " or ".join(_SHOWN[name] for name in self._left)
            raise DateProblem(
                f"{text!r} is no date, all before it being {before}"
                if self._seen
                else f"{text!r} is no date that is known here ({before}); say --date-format"
            )
        self._left, self._seen = left, True

    def result(self) -> str:
        """Return the format's name, any where there was no date. Raises DateProblem where several read every date."""
        if self._seen and len(self._left) > 1:
            either = " or ".join(_SHOWN[name] for name in self._left)
            names = " or ".join(self._left)
            raise DateProblem(f"every date in it may be {either}; say --date-format {names}")
        return next(iter(self._left))


def _reads(parse: Parser, text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True
