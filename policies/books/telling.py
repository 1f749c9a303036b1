"""A book, and the differences of two, in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import UNSET, Struct

from policies.compare import compare_books
from policies.direction import Direction, judge
from policies.wording_items import field_title, item_sentence, settings_lines, shown_value
from riskcore.book import Book

# More of a part than anybody reads on a page: the rest is found by its name.
MOST_LINES = 300


class Line(Struct, frozen=True):
    """An item of a book in words."""

    name: str
    words: str


class Section(Struct, frozen=True):
    """A part of a book in words: the first lines of it, and how many there are."""

    title: str
    lines: tuple[Line, ...]
    count: int

    @property
    def hidden(self) -> int:
        return self.count - len(self.lines)


class Told(Struct, frozen=True):
    """A difference of two books in words."""

    part: str
    name: str
    field: str
    before: str
    after: str
    direction: Direction
    why: str


def sections_of(book: Book, wanted: str = "", most: int = MOST_LINES) -> tuple[Section, ...]:
    """Return all that a book says, part by part; `wanted` keeps what has this text in its name or its words."""
    limits = sorted(book.policies, key=lambda limit: (limit.priority, limit.name))
    parts: list[tuple[str, list[Line]]] = [
        ("Limits", [Line(limit.name, item_sentence(limit)) for limit in limits]),
        ("Capital profiles", [Line(each.name, item_sentence(each)) for each in book.profiles]),
        ("Accounts", [Line(each.id, item_sentence(each)) for each in book.accounts]),
        ("Restricted symbols", [Line(each.symbol, item_sentence(each)) for each in book.restrictions]),
        ("Overrides", [Line(each.account_id, item_sentence(each)) for each in book.overrides]),
        ("Instruments", [Line(each.symbol, item_sentence(each)) for each in book.instruments]),
        ("Settings that decisions depend on", [Line(*line) for line in settings_lines(book.parameters)]),
        ("History of prices", [] if book.returns is UNSET else [Line("Returns", item_sentence(book.returns))]),
    ]
    return tuple(_section(title, lines, wanted, most) for title, lines in parts)


def differences_of(before: Book, after: Book, *, at_us: int = 0) -> tuple[Told, ...]:
    """Return the differences of two books in words, with the direction of each at a moment; see `judge`."""
    found = zip(compare_books(before, after), judge(before, after, at_us=at_us), strict=True)
    return tuple(
        Told(
            part=_PARTS.get(one.part, one.part),
            name=one.name,
            field=field_title(one.field),
            before=shown_value(one.field, one.before, one.old),
            after=shown_value(one.field, one.after, one.new),
            direction=judged.direction,
            why=judged.why,
        )
        for one, judged in found
    )


def counted(told: Sequence[Told]) -> tuple[tuple[Direction, int], ...]:
    """Return how many differences go each way, the loosest first; directions that none has are left out."""
    counts = ((direction, sum(each.direction is direction for each in told)) for direction in reversed(Direction))
    return tuple((direction, count) for direction, count in counts if count)


_PARTS = {
    "policies": "Limit",
    "profiles": "Capital profile",
    "accounts": "Account",
    "instruments": "Instrument",
    "restrictions": "Restricted symbol",
    "overrides": "Override",
    "parameters": "Settings",
    "returns": "History of prices",
}


def _section(title: str, lines: Iterable[Line], wanted: str, most: int) -> Section:
    text = wanted.casefold()
    kept = [line for line in lines if text in line.name.casefold() or text in line.words.casefold()]
    return Section(title, tuple(kept[:most]), len(kept))
