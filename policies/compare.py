"""What one book says that another does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import UNSET, Struct

from riskcore.book import Book, Instrument, Parameters

# By what the items of each part are known from one book to the next, and called.
_PARTS = {
    "policies": ("id", "name"),
    "profiles": ("name", "name"),
    "accounts": ("id", "id"),
    "overrides": ("id", "account_id"),
    "instruments": ("symbol", "symbol"),
}
# Those that are compared in a way of their own.
_OTHERS = ("version", "parameters", "restrictions", "returns")

ADDED, REMOVED = "added", "removed"
RESTRICTED, LIFTED = "restricted", "lifted"

NOTHING = Book(version=0, parameters=Parameters())


class BookDifference(Struct, frozen=True):
    """One field of one item on either side.

    `old` and `new` are the item itself. Where it is only in one book, `field` says so (ADDED, REMOVED; of a
    restriction RESTRICTED, LIFTED), `before` and `after` are the item, and None on the side where it is not. An
    instrument that is not in a book has rules that are not known: it is compared field by field.
    """

    part: str
    name: str
    field: str
    before: Any
    after: Any
    old: Any
    new: Any


def compare_books(before: Book | None, after: Book) -> list[BookDifference]:
    """Return every difference of two books, part by part; None before the first."""
    old = before if before is not None else NOTHING
    found = list(_fields("parameters", "settings", old.parameters, after.parameters))
    for part, (key, label) in _PARTS.items():
        found += _items(part, _by(key, getattr(old, part)), _by(key, getattr(after, part)), label)
    found += _restrictions(old, after)
    return found + _whole(old, after)


def _items(part: str, old: dict[str, Any], new: dict[str, Any], label: str) -> Iterator[BookDifference]:
    for key in sorted({*old, *new}):
        one, other = old.get(key), new.get(key)
        if one == other:
            continue
        name = getattr(other or one, label)
        if part == "instruments":
            yield from _rules(name, one, other)
        elif one is None:
            yield BookDifference(part, name, ADDED, None, other, None, other)
        elif other is None:
            yield BookDifference(part, name, REMOVED, one, None, one, None)
        else:
            yield from _fields(part, name, one, other)


def _fields(part: str, name: str, old: Struct, new: Struct) -> Iterator[BookDifference]:
    """Yield the fields in which two versions of an item differ, None where one is left out; its number is no field."""
    for field in new.__struct_fields__:
        before, after = _said(getattr(old, field)), _said(getattr(new, field))
        if before != after and field != "version":
            yield BookDifference(part, name, field, before, after, old, new)


def _said(value: Any) -> Any:
    return None if value is UNSET else value


def _rules(symbol: str, old: Instrument | None, new: Instrument | None) -> list[BookDifference]:
    unknown = Instrument(symbol=symbol)
    found = list(_fields("instruments", symbol, old or unknown, new or unknown))
    if not found and old is None:
        return [BookDifference("instruments", symbol, ADDED, None, new, unknown, new)]
    if not found and new is None:
        return [BookDifference("instruments", symbol, REMOVED, old, None, old, unknown)]
    return found


def _restrictions(old: Book, new: Book) -> list[BookDifference]:
    """Restrictions have no name of their own: they are there or they are not."""
    before, after = set(old.restrictions), set(new.restrictions)
    gone = [each for each in old.restrictions if each not in after]
    come = [each for each in new.restrictions if each not in before]
    return [BookDifference("restrictions", each.symbol, LIFTED, each, None, each, None) for each in gone] + [
        BookDifference("restrictions", each.symbol, RESTRICTED, None, each, None, each) for each in come
    ]


def _whole(old: Book, new: Book) -> list[BookDifference]:
    """Compare what is of the book as a whole: the history of prices, and parts that this module has no words for."""
    found = []
    if _version(old.returns) != _version(new.returns):
        before, after = _version(old.returns), _version(new.returns)
        found.append(BookDifference("returns", "history of prices", "version", before, after, old.returns, new.returns))
    for part in sorted(set(new.__struct_fields__) - {*_PARTS, *_OTHERS}):
        before, after = getattr(old, part), getattr(new, part)
        if before != after:
            found.append(BookDifference(part, part, part, before, after, before, after))
    return found


def _version(returns: Any) -> str | None:
    return None if returns is UNSET else returns.version


def _by(key: str, items: Iterable[Any]) -> dict[str, Any]:
    return {getattr(item, key): item for item in items}
