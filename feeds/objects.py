"""JSON objects with a fixed set of fields: unknown and repeated ones refused, every wrong one reported."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import Raw

from feeds.malformed import MOST_ERRORS, FieldError, Malformed, Wrong, not_json

# A field's parser raises Wrong, or Malformed where it is itself made of fields.
Parser: TypeAlias = Callable[[bytes], Any]
ItemT = TypeVar("ItemT")

_members = msgspec.json.Decoder(dict[str, Raw])
_items = msgspec.json.Decoder(list[Raw])


def read_object(content: bytes, fields: Mapping[str, Parser], required: Collection[str] = ()) -> dict[str, Any]:
    """Return the values of an object's fields by name.

    Raises Malformed, with every field that is unknown, given twice, wrong or missing.
    """
    values, errors = read_fields(content, fields, required)
    if errors:
        raise Malformed(errors)
    return values


def read_fields(
    content: bytes, fields: Mapping[str, Parser], required: Collection[str] = ()
) -> tuple[dict[str, Any], list[FieldError]]:
    """Return the values of the fields that are right, and what is wrong with the others.

    Raises Malformed where it is no object at all.
    """
    try:
        members = _members.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _not_an_object(content, error) from None
    values: dict[str, Any] = {}
    errors: list[FieldError] = []
    quotes = 2 * len(members)
    for name, member in members.items():
        if len(errors) >= MOST_ERRORS:
            return values, errors  # what else is wrong would not be told
        raw = bytes(member)
        quotes += 2 if raw[0] == 34 else raw.count(b'"')
        parse = fields.get(name)
        if parse is None:
            errors.append(FieldError(field=name or '""', message="there is no such field", code="unknown_field"))
            continue
        try:
            values[name] = parse(raw)
        except Wrong as wrong:
            errors.append(FieldError(field=name, message=wrong.message, code=wrong.code))
        except Malformed as malformed:
            errors += malformed.under(name).errors
    # Every member has its two quotes; where there are more, some text has escaped ones, or a field was given
    # twice and only its last value seen.
    if content.count(b'"') != quotes:
        errors += _repeated(content)
    for name in required:
        if name not in members:
            errors.append(FieldError(field=name, message="is missing", code="missing"))
    return values, errors


def read_list(raw: bytes, parse: Callable[[bytes], ItemT], *, most: int, least: int = 0) -> list[ItemT]:
    """Return the items of an array of `least` to `most` items, each read by `parse`.

    Raises Wrong where it is no such array, Malformed with every item that is wrong, as `[17].quantity`.
    """
    if raw[0] != 91:
        raise Wrong("must be an array", "not_an_array")
    items = _items.decode(raw)
    if not least <= len(items) <= most:
        raise Wrong(f"must have {least} to {most} items, not {len(items)}", "length")
    values: list[ItemT] = []
    errors: list[FieldError] = []
    for place, item in enumerate(items):
        if len(errors) >= MOST_ERRORS:
            break  # what else is wrong would not be told
        try:
            values.append(parse(bytes(item)))
        except Wrong as wrong:
            errors.append(FieldError(field=f"[{place}]", message=wrong.message, code=wrong.code))
        except Malformed as malformed:
            errors += malformed.under(f"[{place}]").errors
    if errors:
        raise Malformed(errors)
    return values


def _not_an_object(content: bytes, error: Exception) -> Malformed:
    if isinstance(error, msgspec.ValidationError):
        return Malformed.of("body", "must be a JSON object", "not_an_object")
    return not_json(content, error)


def _repeated(content: bytes) -> list[FieldError]:
    """Find the fields that are given more than once, by reading the object pair by pair."""
    try:
        pairs = json.loads(content, object_pairs_hook=list, parse_int=str, parse_float=str)
    except (RecursionError, ValueError):
        return [FieldError(field="body", message="is nested too deeply or not UTF-8", code="too_deep")]
    seen: set[str] = set()
    repeated: dict[str, None] = {}
    for name, _value in pairs:
        if name in seen:
            repeated[name] = None
        seen.add(name)
    return [FieldError(field=name, message="is given more than once", code="repeated_field") for name in repeated]
