"""The exact text of a cell, the same in every format, and text that a spreadsheet takes for no formula."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

_LONGEST_PLAIN = 400  # digits, beyond which a number is written with its exponent

# What may come before a formula and is skipped by some reader: blanks, controls, signs without width, quotes.
_SKIPPED = r"[\s\x00-\x20\x7f\u200b-\u200f\u2060\ufeff'\"]*"
# What a spreadsheet takes for a formula (OWASP, "CSV Injection"), in its narrow, full-width and small shapes.
_FORMULA = rf"{_SKIPPED}[=+\-@＝＋－＠﹦﹢﹣﹫]"  # noqa: RUF001
_BEGINS = re.compile(rf"['\"]*[\t\r\n]|{_FORMULA}")
# Within a text: where a new cell begins for a reader that separates cells by semicolons or tabs, and goes by lines.
_PARTS = re.compile(r"[;\t\r\n]")
_AFTER_PART = re.compile(rf"(?<=[;\t\r\n])(?={_FORMULA})")
_DEFUSED_PART = re.compile(rf"(?<=[;\t\r\n])'(?={_FORMULA})")


def defused(text: str) -> str:
    """Return text with an apostrophe before whatever a spreadsheet would take for a formula."""
    if text.isalnum():
        return text
    if _PARTS.search(text):
        text = _AFTER_PART.sub("'", text)
    return f"'{text}" if _BEGINS.match(text) else text


def fused(text: str) -> str:
    """Return text as it was before it was defused."""
    if text.startswith("'") and _BEGINS.match(text, 1):
        text = text[1:]
    return _DEFUSED_PART.sub("", text)


def exact(number: int | Decimal) -> str:
    """Return a number with all its digits that matter: 100, 0.05, Infinity."""
    if isinstance(number, int) or not number.is_finite():
        return str(number)
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    if abs(exponent) > _LONGEST_PLAIN:
        return str(number)
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def moment(at: datetime) -> str:
    """Return a moment in UTC: 2026-01-31T14:03:07.000000+00:00. Raises ValueError where it has no zone."""
    if at.tzinfo is None:
        raise ValueError(f"a moment without a zone: {at}")
    return (at if at.tzinfo is UTC else at.astimezone(UTC)).isoformat(timespec="microseconds")
