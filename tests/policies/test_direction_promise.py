"""The promise that lets one person publish what tightens: no order passes then that was blocked before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from policies.direction import Direction, judge, loosest
from riskcore.book import Book
from riskcore.compiled import CompiledBook
from riskcore.decide import decide
from riskcore.journal import Inputs
from tests.policies.changed_books import Desk
from tests.support.properties import examples

ORDERS, CHANGES = 10, 6


class Change(NamedTuple):
    """A change from one book to another: how it is judged, and of some orders whether they pass before and after."""

    direction: Direction
    decided: list[tuple[bool, bool]]
    whys: str


def changes(seed: int) -> Iterator[Change]:
    """Yield random changes of one book and the ways back, with the same orders decided under every book."""
    desk = Desk(Random(seed))
    asked = [desk.asked() for _ in range(ORDERS)]
    before = _approved(asked, desk.book)
    for _ in range(CHANGES):
        changed = desk.changed()
        after = _approved(asked, changed)
        yield _change(desk.book, changed, list(zip(before, after, strict=True)))
        yield _change(changed, desk.book, list(zip(after, before, strict=True)))


def _approved(asked: list[Inputs], book: Book) -> list[bool]:
    under = CompiledBook(book)
    return [decide(each, under).decision.approved for each in asked]


def _change(before: Book, after: Book, decided: list[tuple[bool, bool]]) -> Change:
    judged = judge(before, after)
    return Change(loosest(judged), decided, "; ".join(f"{each.name} {each.field}: {each.why}" for each in judged))


@examples(700)
@given(st.integers(0, 2**32))
def test_what_tightens_or_is_neutral_lets_nothing_through_that_was_blocked(seed):
    for change in changes(seed):
        assert change.direction.counts_as_looser or (False, True) not in change.decided, change.whys


def test_the_changes_tried_are_of_all_kinds_and_matter():
    seen: Counter[tuple[Direction, bool, bool]] = Counter()
    for seed in range(60):
        for change in changes(seed):
            seen.update((change.direction, before, after) for before, after in change.decided)
    assert min(seen[direction, False, False] for direction in Direction) > 100
    assert seen[Direction.TIGHTENS, True, False] > 30, "what tightens blocks orders that passed before"
    assert seen[Direction.LOOSENS, False, True] > 30, "what loosens lets orders through that were blocked before"
    assert seen[Direction.TIGHTENS, True, True] > 100
