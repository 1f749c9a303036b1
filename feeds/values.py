"""One JSON value as its raw bytes in, what it means out: strictly, exactly, and in a microsecond.

Every function takes the bytes of one sound JSON value and raises Wrong where it is not what it should be.
Numbers are read from their digits, never by way of a binary float.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

import msgspec

from feeds.malformed import Wrong
from riskcore.calendar import moment
from riskcore.decimals import EXACT
from riskcore.types import KEY_SEPARATOR

MemberT = TypeVar("MemberT", bound=StrEnum)

# What an amount may have before and after its decimal point.
WHOLE_DIGITS = 20
PLACES = 12
_FLAGS = {b"true": True, b"false": False}

_LONGEST_NUMBER = 100

# A number as JSON writes it, alone or in quotes. Bytes: `[0-9]` and nothing else is a digit.
_plain_number = re.compile(rb'"?((?:0|[1-9][0-9]{0,19})(?:\.[0-9]{1,12})?)"?').fullmatch
_any_number = re.compile(rb'"?(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,4})?)"?').fullmatch
_whole_number = re.compile(rb"-?(?:0|[1-9][0-9]{0,18})").fullmatch

# Printable ASCII without quote and backslash, no blank at either end.
_plain_text = re.compile(rb'"([!#-\[\]-~](?:[ !#-\[\]-~]*[!#-\[\]-~])?)"').fullmatch

# Visible ASCII without quote, backslash, braces, @ and the | that joins symbol and exchange in a position's key.
_symbol = re.compile(rb'"([!#-?A-\[\]-z~]{1,32})"').fullmatch

# Printable ASCII without quote, backslash and that |, no blank at either end. Other scripts have letters that look like
# these, or become several when upper-cased.
_exchange = re.compile(rb'"((?:[!#-\[\]-{}~](?:[ !#-\[\]-{}~]{0,62}[!#-\[\]-{}~])?)?)"').fullmatch
assert KEY_SEPARATOR == "|"

_text_decoder = msgspec.json.Decoder(str)

# Moments: seconds, milliseconds or microseconds since the epoch are told apart by their size.
_LAST_SECOND = 10**11
_LAST_MILLISECOND = 10**14
_LAST_MICROSECOND = 2**53  # in the year 2255; stores compare moments as doubles


def decimal(raw: bytes) -> Decimal:
    """Return a number of any sign: JSON's own or text in the same form; equal numbers give equal digits."""
    plain = _plain_number(raw)
    if plain is None:
        return _careful_decimal(raw)
    text = plain[1]
    if text[-1] == 48 and b"." in text:
        text = text.rstrip(b"0").rstrip(b".")
    return Decimal(text.decode())


def decimal_text(raw: bytes) -> str:
    """Return a number of any sign as exact text in digits."""
    return f"{decimal(raw):f}"


def _careful_decimal(raw: bytes) -> Decimal:
    found = _any_number(raw)
    if found is None:
        raise Wrong('must be a number, such as 1.5 or "1.5"', "not_a_number")
    if len(raw) > _LONGEST_NUMBER:
        raise Wrong(f"must have at most {WHOLE_DIGITS} digits before and {PLACES} after the point", "out_of_range")
    value = Decimal(found[1].decode())
    if not value:
        if value.is_signed():
            raise Wrong("must not be minus zero", "not_a_number")
        return Decimal(0)
    value = value.normalize(EXACT) if len(value.as_tuple().digits) <= EXACT.prec else value
    places = -int(value.as_tuple().exponent)
    if places > PLACES or value.adjusted() >= WHOLE_DIGITS:
        raise Wrong(f"must have at most {WHOLE_DIGITS} digits before and {PLACES} after the point", "out_of_range")
    return value if places >= 0 else value.quantize(Decimal(1), context=EXACT)


def positive(raw: bytes) -> Decimal:
    """Return a number above zero."""
    value = decimal(raw)
    if value <= 0:
        raise Wrong("must be greater than 0", "out_of_range")
    return value


def not_negative(raw: bytes) -> Decimal:
    """Return a number that is zero or more."""
    value = decimal(raw)
    if value < 0:
        raise Wrong("must be 0 or more", "out_of_range")
    return value


def whole(raw: bytes) -> int:
    """Return a whole number, zero or more, that is a JSON number."""
    if _whole_number(raw) is None:
        raise Wrong("must be a whole number", "not_a_whole_number")
    if raw[0] == 45:
        raise Wrong("must be 0 or more", "out_of_range")
    return int(raw)


def moment_us(raw: bytes) -> int:
    """Return a moment in microseconds; it is sent in seconds, milliseconds or microseconds since the epoch."""
    value = whole(raw)
    if value < _LAST_SECOND:
        value *= 1_000_000
    elif value < _LAST_MILLISECOND:
        value *= 1_000
    if not 0 < value < _LAST_MICROSECOND:
        raise Wrong("must be seconds, milliseconds or microseconds since 1970", "out_of_range")
    return value


def instant(raw: bytes) -> datetime:
    """Return a moment: ISO 8601 text with its zone, or a number since the epoch."""
    if raw[0] != 34:
        return moment(moment_us(raw))
    try:
        found = datetime.fromisoformat(any_text(raw))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise Wrong("must be a moment with its zone, such as 2026-01-31T14:03:07Z", "not_a_moment")
    return found


def flag(raw: bytes) -> bool:
    """Return true or false."""
    value = _FLAGS.get(raw)
    if value is None:
        raise Wrong("must be true or false", "not_a_flag")
    return value


def text(longest: int, *, blank: bool = False) -> Callable[[bytes], str]:
    """Return a parser of text of 1 to `longest` printable characters without blanks around it.

    `blank`: the empty text is taken as well.
    """

    def parse(raw: bytes) -> str:
        plain = _plain_text(raw)
        if plain is not None and len(raw) <= longest + 2:
            return plain[1].decode()
        if blank and raw == b'""':
            return ""
        return _careful_text(raw, longest)

    return parse


def _careful_text(raw: bytes, longest: int) -> str:
    return checked_text(any_text(raw), longest)


def checked_text(value: str, longest: int) -> str:
    """Return text that came by another way than JSON, such as a name in an address, if it may be a name."""
    if not 1 <= len(value) <= longest:
        raise Wrong(f"must have 1 to {longest} characters", "length")
    if not value.isprintable() or value != value.strip():
        raise Wrong("must be printable, without blanks around it", "not_printable")
    return value


def any_text(raw: bytes) -> str:
    """Return the text of a JSON string, whatever is in it."""
    if raw[0] != 34:
        raise Wrong("must be text", "not_text")
    try:
        return _text_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Wrong("must be UTF-8 text", "not_utf8") from None


def symbol(raw: bytes) -> str:
    """Return a symbol in upper case."""
    found = _symbol(raw)
    if found is not None:
        return found[1].decode().upper()
    if raw[0] != 34:
        raise Wrong("must be text", "not_text")
    raise Wrong('must have 1 to 32 visible ASCII characters, none of them { | } @ " or \\', "not_a_symbol")


def exchange(raw: bytes) -> str:
    """Return the name of an exchange in upper case, empty where none is named."""
    found = _exchange(raw)
    if found is not None:
        return found[1].decode().upper()
    if raw[0] != 34:
        raise Wrong("must be text", "not_text")
    raise Wrong('must have at most 64 printable ASCII characters, none of them | " or \\', "not_an_exchange")


def choice(kind: type[MemberT]) -> Callable[[bytes], MemberT]:
    """Return a parser of the values of an enumeration, in any case."""
    known = {
        f'"{spelling}"'.encode(): member
        for member in kind
        for spelling in (member.value, member.value.lower(), member.value.upper())
    }
    expected = f"must be one of {', '.join(member.value for member in kind)}"

    def parse(raw: bytes) -> MemberT:
        member = known.get(raw) or known.get(raw.upper())
        if member is None:
            raise Wrong(expected, "not_a_choice")
        return member

    return parse
