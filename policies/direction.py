"""Whether a book is tighter than another: the direction of each of their differences.

What tightens, or is neutral, lets no order through that the book before would have blocked, whatever the account and
the order are (`tests/policies/test_direction_promise.py`). On this rests that one person may publish it alone. It is
said of each check by itself: an order that is blocked leaves room for later ones. And it is of limits as such: also a
limit that only warns gets tighter or looser.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from policies import direction_limits, direction_overrides, direction_rules, direction_settings
from policies.compare import ADDED, LIFTED, REMOVED, RESTRICTED, BookDifference, compare_books
from policies.verdict import Direction, Index, Rule, Sides, always, loosest_of, unclear
from riskcore.book import Book

__all__ = ["Direction", "Judged", "judge", "loosest"]


class Judged(Struct, frozen=True):
    """A difference of two books and its direction; `why` is a short sentence for people.

    `part` is the part of the book, `name` what the item is called. An item that is in one book only has one
    difference: `field` is "added" or "removed" (of a restriction "restricted" or "lifted"), `before` and `after` are
    the item or None.
    """

    part: str
    name: str
    field: str
    before: Any
    after: Any
    direction: Direction
    why: str


# The rule of every part and field. What has none, as a part or a field of a later version, cannot be told.
RULES: dict[str, dict[str, Rule]] = {
    "policies": {
        **direction_limits.LIMIT_RULES,
        ADDED: direction_limits.added,
        REMOVED: direction_limits.removed,
    },
    "profiles": {
        **direction_rules.PROFILE_RULES,
        ADDED: direction_rules.profile_added,
        REMOVED: direction_rules.profile_removed,
    },
    "accounts": {
        **direction_rules.ACCOUNT_RULES,
        ADDED: direction_rules.account_added,
        REMOVED: direction_rules.account_removed,
    },
    "instruments": {
        **direction_rules.INSTRUMENT_RULES,
        ADDED: direction_rules.instrument_without_rules,
        REMOVED: direction_rules.instrument_without_rules,
    },
    "restrictions": {RESTRICTED: direction_rules.restricted, LIFTED: direction_rules.lifted},
    "overrides": direction_overrides.OVERRIDE_RULES,
    "parameters": direction_settings.SETTING_RULES,
    "returns": {"version": direction_settings.history_of_prices},
}

_NO_RULE = always(unclear("there is no rule that says"))


def judge(before: Book, after: Book, *, at_us: int = 0) -> tuple[Judged, ...]:
    """Return every difference of two books with its direction.

    `at_us` is the moment from which checks go by the second, in microseconds since 1970: what was over by then lets no
    order through that comes later. 0: it is not known, and nothing counts as over.
    """
    indexes = Index(before), Index(after)
    found = compare_books(before, after)
    return tuple(_judged(Sides(difference, before, after, at_us, *indexes)) for difference in found)


def loosest(judged: Iterable[Judged]) -> Direction:
    """Return the loosest direction of some differences, NEUTRAL where there is none."""
    return loosest_of(each.direction for each in judged)


def _judged(sides: Sides) -> Judged:
    found: BookDifference = sides.difference
    rule = RULES.get(found.part, {}).get(found.field, _NO_RULE)
    verdict = rule(sides)
    return Judged(found.part, found.name, found.field, found.before, found.after, verdict.direction, verdict.why)
