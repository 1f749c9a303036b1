"""What one book says that another does not."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from riskcore.book import Book

# By what the items of each part are known from one book to the next, and called.
_PARTS = {
    "policies": ("id", "name"),
    "profiles": ("name", "name"),
    "accounts": ("id", "id"),
    "instruments": ("symbol", "symbol"),
}


class BookDifference(Struct, frozen=True):
    """One field of one item on either side; None where the item or the book is not there."""

    part: str
    name: str
    field: str
    before: Any
    after: Any


def compare_books(before: Book | None, after: Book) -> list[BookDifference]:
    """Return every field in which two books differ; added and removed items have all of theirs."""
    old: dict[str, Any] = msgspec.to_builtins(before) if before is not None else {}
    new: dict[str, Any] = msgspec.to_builtins(after)
    found = _fields("parameters", "settings", old.get("parameters") or {}, new["parameters"])
    for part, (key, label) in _PARTS.items():
        found += _items(part, _by(key, old.get(part, ())), _by(key, new[part]), label)
    return found + _restrictions(old.get("restrictions", ()), new["restrictions"])


def _items(part: str, old: dict[str, Any], new: dict[str, Any], label: str) -> list[BookDifference]:
    found: list[BookDifference] = []
    for key in sorted({*old, *new}):
        one, other = old.get(key, {}), new.get(key, {})
        found += _fields(part, (other or one)[label], one, other)
    return found


def _fields(part: str, name: str, old: dict[str, Any], new: dict[str, Any]) -> list[BookDifference]:
    return [
        BookDifference(part, name, field, old.get(field), new.get(field))
        for field in {**old, **new}
        if old.get(field) != new.get(field) and not (field == "version" and old and new)
    ]


def _restrictions(old: Any, new: Any) -> list[BookDifference]:
    """Restrictions have no name of their own: they are there or they are not."""
    gone = [each for each in old if each not in new]
    come = [each for each in new if each not in old]
    return [BookDifference("restrictions", each["symbol"], "lifted", each, None) for each in gone] + [
        BookDifference("restrictions", each["symbol"], "restricted", None, each) for each in come
    ]


def _by(key: str, items: Any) -> dict[str, Any]:
    return {item[key]: item for item in items}
