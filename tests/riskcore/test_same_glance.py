"""What is said of many accounts at a glance is what a reading of each, limit by limit and leg by leg, says."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import localcontext
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskcore.decimals import EXACT
from riskcore.firm import FIRM
from riskcore.firm_sums import Adder, FirmPart, FirmSums, summand, together
from riskcore.glance import Glance, glance, unknown
from riskcore.held import Feed, Held, Valued, marks_of, read_held, value
from riskcore.limit_set import LimitSets
from riskcore.limits import describe
from riskcore.overview import shown_metrics
from riskcore.part import AccountPart
from riskcore.picture import Picture, take_picture
from riskcore.ports import AccountView
from riskcore.signal import glance_of, global_signal, read_account, read_firm
from tests.riskcore.builders import NOW
from tests.riskcore.firms import World
from tests.support.properties import examples

pytestmark = pytest.mark.no_cover  # coverage is what the tests of one fact each reach

SEEDED = 2_000
PARTS = 2
SHRINKABLE = 300


def slowly(world: World) -> tuple[list[Glance], Glance]:
    """Read every account by itself, and the firm."""
    pictures = [picture for view in world.views if (picture := _picture(view, world)) is not None]
    firm = read_firm(pictures, world.book, NOW)
    return [glance_of(read_account(picture)) for picture in pictures], glance_of(firm)


def _picture(view: AccountView, world: World) -> Picture | None:
    with localcontext(EXACT):
        picture = take_picture(view, world.book, NOW, view.expired)
    return picture if picture.state is not None and picture.state.received_at_us else None


def quickly(world: World, *, parts: int = 1) -> tuple[list[Glance], Glance]:
    """Look at all accounts, and at the firm by the sums over so many parts of it."""
    book, limits = world.book, LimitSets(world.book)
    feed = Feed(world.prices, NOW, book.parameters)
    found: list[Glance] = []
    valued: list[Valued] = []
    with localcontext(EXACT):
        for view in world.views:
            held = _held(view)
            if held is None:
                continue
            marks = marks_of(held, feed)
            if marks is None:
                found.append(unknown(view.account_id))
                continue
            of = limits.of(book.accounts[view.account_id])
            valued.append(value(held, marks))
            part = AccountPart(valued[-1], book, NOW, tail=bool(of.of_tail))
            found.append(glance(view.account_id, part, of, book.parameters))
        return found, _firm(valued, world, limits, parts)


def _held(view: AccountView) -> Held | None:
    try:
        return None if view.state is None else read_held(view.state, view.ledger, view.expired)
    except ValueError:  # it cannot be read
        return None


def _firm(valued: Sequence[Valued], world: World, limits: LimitSets, parts: int) -> Glance:
    shares = []
    for part in range(parts):
        adder = Adder()
        for each in valued[part::parts]:
            adder.add(summand(each, limits.of_firm))
        shares.append(adder.sums())
    # As they travel from one process to another.
    said = msgspec.json.decode(msgspec.json.encode(shares), type=list[FirmSums | None])
    sums = together(each for each in said if each is not None)
    if sums is None:
        return unknown(FIRM)
    firm = FirmPart(sums, world.book, NOW, tail=bool(limits.of_firm.of_tail))
    return glance(FIRM, firm, limits.of_firm, world.book.parameters)


def said(of: Glance) -> dict[str, Any]:
    """Return all that the monitor says of an account, as it travels."""
    broken = [
        (one.limit.policy.id, one.exchange, one.symbol, describe(finding), finding.value, finding.utilisation)
        for one in of.broken
        if (finding := one.finding) is not None
    ]
    with localcontext(EXACT):
        return {
            "account": of.account_id,
            "level": of.level,
            "score": msgspec.json.encode(of.score),
            "metrics": msgspec.json.encode(shown_metrics(of.whole, tail=False)),
            "exposure": None if of.whole is None else of.whole.exposure,
            # Of a limit on several exchanges, those come in no order that means anything.
            "broken": sorted(broken, key=lambda each: each[:2]),
        }


def assert_same(world: World, parts: int) -> None:
    (slow, slow_firm), (quick, quick_firm) = slowly(world), quickly(world, parts=parts)
    assert list(map(said, quick)) == list(map(said, slow))
    assert said(quick_firm) == said(slow_firm)
    signals = [global_signal(each, firm, world.book, NOW) for each, firm in ((quick, quick_firm), (slow, slow_firm))]
    assert signals[0] == signals[1]


@pytest.mark.parametrize("part", range(PARTS))
def test_a_glance_says_what_a_reading_says(part: int) -> None:
    levels = set()
    for seed in range(part, SEEDED, PARTS):
        world = World(Random(seed))
        assert_same(world, 1 + seed % 3)
        levels |= {one.level for one in quickly(world)[0]}
    assert len(levels) == 4


@given(st.randoms(use_true_random=False))
@examples(SHRINKABLE)
def test_no_firm_that_can_be_shrunk_differs_either(random: Random) -> None:
    assert_same(World(random), 2)
