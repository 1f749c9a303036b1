"""The one form in which an audit event is hashed, whatever the database made of its JSON."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TypeAlias
from uuid import UUID

from riskcore.decimals import tidy

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"

GENESIS = "0" * 64


def plain(value: object) -> Json:
    """Return `value` as JSON that keeps its meaning exactly: decimals and moments as text, tuples as lists.

    Raises TypeError for a float, which has no exact text, and for anything else that JSON does not know, and
    ValueError for text with a NUL character, which PostgreSQL does not store.
    """
    match value:
        case None | bool():
            return value
        case int():
            return int(value)
        case str():
            if "\0" in value:
                raise ValueError("text with a NUL character cannot be recorded")
            return str(value)
        case Decimal():
            return f"{tidy(value):f}" if value.is_finite() else str(value)
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds")
        case date() | UUID():
            return str(value)
        case list() | tuple():
            return [plain(each) for each in value]
        case dict():
            return {str(key): plain(each) for key, each in value.items()}
    raise TypeError(f"a {type(value).__name__} has no exact form in the audit log: {value!r}")


def digest(content: dict[str, object]) -> str:
    """Return the SHA-256 (hex) of `content` in canonical JSON: sorted names, no blanks, UTF-8."""
    text = json.dumps(plain(content), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
