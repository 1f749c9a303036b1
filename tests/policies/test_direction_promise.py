"""The promise that lets one person publish what tightens: no order passes then that was blocked before."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from policies.direction import Direction, judge, loosest
from riskcore.compiled import CompiledBook
from riskcore.decide import decide
from tests.policies.changed_books import Desk
from tests.riskcore.properties import examples

ORDERS = 12


def outcomes(seed: int) -> tuple[Direction, list[tuple[bool, bool]], str]:
    """Judge one random change, and decide orders under both books: approved before, approved after."""
    desk = Desk(Random(seed))
    changed = desk.changed()
    judged = judge(desk.book, changed)
    before, after = CompiledBook(desk.book), CompiledBook(changed)
    asked = [desk.asked() for _ in range(ORDERS)]
    decided = [(decide(one, before).decision.approved, decide(one, after).decision.approved) for one in asked]
    return loosest(judged), decided, "; ".join(f"{each.name} {each.field}: {each.why}" for each in judged)


@examples(1_000)
@given(st.integers(0, 2**32))
def test_what_tightens_or_is_neutral_lets_nothing_through_that_was_blocked(seed):
    direction, decided, whys = outcomes(seed)
    assert direction.counts_as_looser or (False, True) not in decided, whys


def test_the_changes_tried_are_of_all_kinds_and_matter():
    seen: Counter[tuple[Direction, bool, bool]] = Counter()
    for seed in range(400):
        direction, decided, _ = outcomes(seed)
        seen.update((direction, before, after) for before, after in decided)
    assert min(seen[direction, False, False] for direction in Direction) > 100
    assert seen[Direction.TIGHTENS, True, False] > 20, "what tightens blocks orders that passed before"
    assert seen[Direction.LOOSENS, False, True] > 20, "what loosens lets orders through that were blocked before"
    assert seen[Direction.TIGHTENS, True, True] > 100
