"""What the pages show at one moment, as each person may see it, and the difference between two moments."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import msgspec
from msgspec import Raw, Struct

# Rows as they travel, by their keys, by the names of their sections: {"accounts": {"desk-1": b'{"equity": ...}'}}.
Seen: TypeAlias = Mapping[str, Mapping[str, Raw]]

Use = TypeVar("Use")

_encoder = msgspec.json.Encoder()


class View(Struct, frozen=True):
    """What somebody may see and wants to: people with the same view are shown the same.

    `accounts`: those they are for, none named: all. `hidden`: sections that they may not see. `watched`: accounts that
    they want all of.
    """

    accounts: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    watched: frozenset[str] = frozenset()

    @property
    def fingerprint(self) -> str:
        """Return what tells it from other views."""
        said = ";".join(",".join(sorted(each)) for each in (self.accounts, self.hidden, self.watched))
        return hashlib.sha256(said.encode()).hexdigest()[:16]


class Section(Protocol):
    """Rows of one kind."""

    def seen(self, view: View) -> dict[str, Raw]:
        """Return the rows that may be seen, by their keys."""
        ...


class Row(Struct, frozen=True):
    """One row as it travels. `account_id` None: it is everybody's; empty: the firm's, for who may see all accounts.

    `outside` is what those who are for some accounts see of it instead, None where they see the same.
    """

    raw: Raw
    account_id: str | None = None
    outside: Raw | None = None


class Rows:
    """Rows by their keys, each seen by who may see its account."""

    def __init__(self, rows: Mapping[str, Row]) -> None:
        self.rows = rows

    def seen(self, view: View) -> dict[str, Raw]:
        return {key: _shown(row, view) for key, row in self.rows.items() if _is_seen(row, view)}


class Watched(Rows):
    """Rows of accounts, by their ids, seen by who may and watches them."""

    def seen(self, view: View) -> dict[str, Raw]:
        return {key: raw for key, raw in super().seen(view).items() if key in view.watched}


class Ranked(Generic[Use]):
    """Rows by their keys: of several uses for one key, the first whose account may be seen.

    Parameters
    ----------
    uses
        For each key, accounts (empty: the firm) with what there is to be written of them, in their order.
    write
        Makes a row of one of them; rows that nobody sees are not made.
    """

    def __init__(self, uses: Mapping[str, Sequence[tuple[str, Use]]], write: Callable[[str, Use], Row]) -> None:
        self._uses, self._write = uses, write

    def seen(self, view: View) -> dict[str, Raw]:
        found = {}
        for key, uses in self._uses.items():
            first = next((use for use in uses if not view.accounts or use[0] in view.accounts), None)
            if first is not None:
                found[key] = self._write(*first).raw
        return found


class Picture:
    """Everything that is shown at one moment, numbered from one.

    Parameters
    ----------
    number
        One more than that of the picture before.
    at
        When it was taken.
    sections
        By their names.
    """

    def __init__(self, number: int, at: datetime, sections: Mapping[str, Section]) -> None:
        self.number, self.at = number, at
        self._sections: Mapping[str, Section] | None = sections
        self._seen: dict[View, Seen] = {}

    def seen(self, view: View) -> Seen:
        """Return it as somebody may see it, worked out once for a view. Once it is settled, for those who saw it."""
        found = self._seen.get(view)
        if found is None:
            assert self._sections is not None, "nobody has seen it so, and nobody can any more"
            sections = self._sections.items()
            found = {name: section.seen(view) for name, section in sections if name not in view.hidden}
            self._seen[view] = found
        return found

    def settle(self) -> None:
        """Keep no more of it than what was seen: its sections know everything of every account."""
        self._sections = None

    def has_seen(self, view: View) -> bool:
        """Return whether somebody with this view may have been shown it."""
        return view in self._seen


def row(value: Any, account_id: str | None = None) -> Row:
    """Return a row of what msgspec can encode: decimals as text, moments as ISO 8601."""
    return Row(Raw(_encoder.encode(value)), account_id)


def delta(before: Seen, after: Seen) -> dict[str, dict[str, Any]]:
    """Return what changes one into the other, by sections: rows to `set` by their keys, and keys that are `gone`."""
    found: dict[str, dict[str, Any]] = {}
    for name in before.keys() | after.keys():
        old, new = before.get(name, {}), after.get(name, {})
        changed = {key: raw for key, raw in new.items() if key not in old or _differ(old[key], raw)}
        gone = sorted(old.keys() - new.keys())
        if changed or gone:
            found[name] = {"set": changed, "gone": gone}
    return found


def rounded(value: Decimal | None, places: int) -> Decimal | None:
    """Return a figure as precisely as anybody looks at it: what moves by less is not sent."""
    return None if value is None or not value.is_finite() else round(value, places)


def _differ(one: Raw, other: Raw) -> bool:
    return one is not other and bytes(one) != bytes(other)


def _is_seen(row: Row, view: View) -> bool:
    return row.account_id is None or not view.accounts or row.account_id in view.accounts


def _shown(row: Row, view: View) -> Raw:
    return row.outside if row.outside is not None and view.accounts else row.raw
