"""Reads settings from the environment; a value that cannot be understood stops the start, with its name."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import NoReturn
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from zoneinfo import ZoneInfo

from django.core.exceptions import ImproperlyConfigured

_MICROSECOND = timedelta(microseconds=1)
_UNITS = {
    "us": _MICROSECOND,
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(us|ms|s|m|h|d)")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


def parse_duration(text: str) -> timedelta:
    """Return `100ms`, `5s`, `1.5m`, `12h` or `7d` as a duration of at least a microsecond.

    Raises ValueError where the text is not a number with one of the units us, ms, s, m, h, d.
    """
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError("expected a number and a unit, such as 100ms, 5s, 5m or 12h")
    duration = Decimal(found[1]) * (_UNITS[found[2]] // _MICROSECOND)
    if duration < 1 or duration != duration.to_integral_value():
        raise ValueError("expected a whole number of microseconds, at least one")
    return timedelta(microseconds=int(duration))


class Environment:
    """The environment as settings read it: by name, with a type, a range and a default.

    A blank value counts as absent, so that a name may stand empty in `.env`. Every method raises
    ImproperlyConfigured with the name of the setting, what it says and what was expected.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str, default: str = "") -> str:
        return self._values.get(name, "").strip() or default

    def names(self, name: str, default: str = "") -> list[str]:
        """Return a comma-separated list without its blanks."""
        return [part.strip() for part in self.text(name, default).split(",") if part.strip()]

    def choice(self, name: str, default: str, choices: Collection[str]) -> str:
        """Return one of the choices, in whichever case it was written."""
        text = self.text(name, default)
        for choice in choices:
            if text.lower() == choice.lower():
                return choice
        refuse(name, text, f"expected one of {', '.join(choices)}")

    def flag(self, name: str, *, default: bool) -> bool:
        text = self.text(name, str(default)).lower()
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        refuse(name, text, "expected true or false")

    def whole(self, name: str, default: int, *, least: int, most: int) -> int:
        text = self.text(name, str(default))
        expected = f"expected a whole number from {least} to {most}"
        if re.fullmatch(r"-?[0-9]{1,18}", text) is None:
            refuse(name, text, expected)
        if not least <= int(text) <= most:
            refuse(name, text, expected)
        return int(text)

    def decimal(self, name: str, default: str, *, most: str, positive: bool = False) -> Decimal:
        """Return an exact decimal from 0 to `most`; `positive` leaves 0 out."""
        text = self.text(name, default)
        try:
            value = Decimal(text)
        except InvalidOperation:
            value = Decimal("NaN")
        in_range = value.is_finite() and 0 <= value <= Decimal(most)
        if not in_range or (positive and not value):
            refuse(name, text, f"expected a number {'above' if positive else 'from'} 0, at most {most}")
        return value

    def duration(self, name: str, default: str, *, least: str = "1us", most: str = "365d") -> timedelta:
        text = self.text(name, default)
        try:
            value = parse_duration(text)
        except ValueError as error:
            refuse(name, text, str(error))
        if not parse_duration(least) <= value <= parse_duration(most):
            refuse(name, text, f"expected from {least} to {most}")
        return value

    def clock(self, name: str, default: str) -> int:
        """Return a time of day such as `17:00` as minutes after midnight."""
        text = self.text(name, default)
        found = _CLOCK.fullmatch(text)
        if found is None:
            refuse(name, text, "expected a time of day from 00:00 to 23:59")
        return int(found[1]) * 60 + int(found[2])

    def zone(self, name: str, default: str) -> str:
        text = self.text(name, default)
        try:
            return ZoneInfo(text).key
        except (KeyError, ValueError, OSError):
            refuse(name, text, "expected an IANA time zone such as UTC or Europe/London")

    def url(self, name: str, *schemes: str) -> str:
        """Return a URL of one of the schemes, or an empty string where there is none.

        Its text is not repeated in errors, since it may hold a password.
        """
        text = self.text(name)
        return self._checked_url(name, text, schemes) if text else ""

    def urls(self, name: str, *schemes: str) -> str:
        """Return URLs of the schemes with commas between them and no blanks, or an empty string where there are none.

        Each must name a host.
        """
        found = [self._checked_url(name, each, schemes) for each in self.names(name)]
        if not all(urlsplit(each).hostname for each in found):
            refuse(name, None, "expected a host in each URL")
        return ",".join(found)

    def address(self, name: str, *schemes: str) -> str:
        """Return a URL of one of the schemes that is a host and a port and nothing else, or an empty string."""
        text = self.url(name, *schemes)
        if text:
            parts = urlsplit(text)
            if not parts.hostname or not parts.port or parts.path.strip("/") or "@" in parts.netloc or parts.query:
                refuse(name, None, f"expected a host and a port, such as {schemes[0]}://localhost:50053")
        return text

    @staticmethod
    def _checked_url(name: str, text: str, schemes: Collection[str]) -> str:
        try:
            parts = urlsplit(text)
            _ = parts.port
        except ValueError as error:
            refuse(name, None, f"this is not a URL: {error}")
        if parts.scheme not in schemes:
            starts = " or ".join(f"{scheme}://" for scheme in schemes)
            refuse(name, None, f"expected a URL that starts with {starts}")
        return text


def redis_database(url: str, database: int) -> str:
    """Return the URL of another database of the same Redis; an empty string where there is none."""
    if not url:
        return ""
    base, _, query = url.partition("?")
    pairs = [pair for pair in parse_qsl(query) if pair[0] != "db"]
    if base.startswith("unix:"):
        pairs.append(("db", str(database)))
    else:
        base = urlunsplit(urlsplit(base)._replace(path=f"/{database}"))
    return f"{base}?{urlencode(pairs)}" if pairs else base


def refuse(name: str, value: str | None, reason: str) -> NoReturn:
    """Stop the start: raise ImproperlyConfigured that names the setting; `value` None is not shown."""
    said = "" if value is None else f" is {value!r}"
    raise ImproperlyConfigured(f"{name}{said}: {reason}")
