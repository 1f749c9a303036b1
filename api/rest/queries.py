"""What an address asks for: its parts and its query, as strictly read as a body."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from django.http import QueryDict
from django.utils.dateparse import parse_datetime
from rest_framework.request import Request

from feeds import values
from feeds.malformed import FieldError, Malformed, Wrong
from riskcore.calendar import moment
from riskcore.types import Side

_side = values.choice(Side)

Parser: TypeAlias = Callable[[str], Any]


def read_query(request: Request, fields: Mapping[str, Parser]) -> dict[str, Any]:
    """Return what the query of a request says (`read_parameters`)."""
    return read_parameters(request.query_params, fields)


def read_parameters(parameters: QueryDict, fields: Mapping[str, Parser]) -> dict[str, Any]:
    """Return what a query says, by name. Raises Malformed, with every name that is unknown, repeated or wrong."""
    found: dict[str, Any] = {}
    errors: list[FieldError] = []
    for name, texts in parameters.lists():
        parse = fields.get(name)
        try:
            if parse is None:
                raise Wrong("there is no such parameter", "unknown_field")
            if len(texts) > 1:
                raise Wrong("is given more than once", "repeated_field")
            found[name] = parse(str(texts[0]))
        except Wrong as wrong:
            errors.append(FieldError(field=name, message=wrong.message, code=wrong.code))
    if errors:
        raise Malformed(errors)
    return found


def read_part(name: str, text: str, parse: Parser) -> Any:
    """Return a part of an address. Raises Malformed."""
    try:
        return parse(text)
    except Wrong as wrong:
        raise Malformed.of(name, wrong.message, wrong.code) from None


def identifier(text: str) -> str:
    """Return an account's or an order's id."""
    return values.checked_text(text, 64)


def symbol(text: str) -> str:
    """Return a symbol in upper case."""
    return values.symbol(f'"{text}"'.encode())


def side(text: str) -> Side:
    """Return BUY or SELL."""
    return _side(f'"{text}"'.encode())


def flag(text: str) -> bool:
    """Return true or false."""
    return values.flag(text.encode())


def whole(least: int, most: int) -> Parser:
    """Return a parser of whole numbers in a range."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and least <= int(text) <= most):
            raise Wrong(f"must be a whole number from {least} to {most}", "out_of_range")
        return int(text)

    return parse


def uuid(text: str) -> UUID:
    """Return the id of a decision."""
    try:
        return UUID(text)
    except ValueError:
        raise Wrong("must be a UUID", "not_a_uuid") from None


def instant(text: str) -> datetime:
    """Return a moment: ISO 8601 with its zone, or seconds, milliseconds or microseconds since the epoch."""
    if text.isascii() and text.isdecimal():
        return moment(values.moment_us(text.encode()))
    try:
        # A plus sign that was not escaped arrives as a blank.
        found = parse_datetime(text.replace(" ", "+"))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise Wrong("must be a moment with its zone, such as 2026-01-31T14:03:07Z", "not_a_moment")
    return found


def note(text: str) -> str:
    """Return a reason in free words."""
    return values.checked_text(text, 500)


# --------------------------------------------------------------------------------------------- cursors
def make_cursor(*parts: str) -> str:
    """Return where a list goes on, as text that clients hand back unread."""
    return base64.urlsafe_b64encode("\n".join(parts).encode()).decode().rstrip("=")


def read_cursor(count: int) -> Parser:
    """Return a parser of cursors of so many parts."""

    def parse(text: str) -> tuple[str, ...]:
        try:
            padded = text + "=" * (-len(text) % 4)
            parts = base64.b64decode(padded, altchars=b"-_", validate=True).decode().split("\n")
        except (binascii.Error, ValueError):
            parts = []
        if len(parts) != count:
            raise Wrong("is not one that a list has answered with", "not_a_cursor")
        return tuple(parts)

    return parse
