"""What a recorded decision comes to under a proposed book."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from policies.preview.replay import Apart, Flip, Kind, Replay, Replayed, told
from policies.preview.since import Since
from riskcore.book import Account, Book, Mode, OnBreach, PolicyType, Restriction
from riskcore.compiled import CompiledBook
from riskcore.decide import decide
from riskcore.journal import Inputs
from riskcore.reasons import Reason
from riskcore.schedule import ActiveWindow
from riskcore.types import Verdict
from tests.audit.subjects import inputs
from tests.policies.previewing import book, no_book, policy, recorded

# An order of desk-1 is half a coin at 50,000 (a notional of 25,000), on an equity of 100,000.
TIGHT, LOOSE = policy("order_notional", 20_000), policy("order_notional", 30_000)


def replay(before: Book, after: Book, *, alike: tuple[int, ...] = ()) -> Replay:
    return Replay(CompiledBook(before), CompiledBook(after), Since(CompiledBook(before), alike, no_book))


def replayed(before: Book, after: Book, given: Inputs | None = None, **order: Any) -> Replayed:
    return replay(before, after).of(*recorded(before, given, **order))


def flip(before: Book, after: Book, **order: Any) -> Flip:
    found = replayed(before, after, **order).flip
    assert found is not None
    return found


def test_an_order_that_is_decided_alike_is_no_flip():
    assert replayed(book(LOOSE), book(replace(LOOSE, threshold=Decimal(40_000)))) == Replayed()


def test_an_order_that_would_be_blocked_is_a_flip():
    found = flip(book(LOOSE), book(TIGHT))
    assert (found.kind, found.causes) == (Kind.BLOCKED, ("order_notional",))
    assert found.before.approved
    assert (found.after.reason, found.after.violations[0].threshold) == ("policy_violation", Decimal(20_000))


def test_an_order_that_would_be_approved_is_a_flip():
    found = flip(book(TIGHT), book(LOOSE))
    assert (found.kind, found.causes) == (Kind.APPROVED, ("order_notional",))
    assert found.after.approved


def test_a_flip_says_word_for_word_what_a_check_would():
    given = inputs(book(LOOSE))
    found = replayed(book(LOOSE), book(TIGHT), given).flip
    assert found is not None
    assert found.after == told(decide(given, CompiledBook(book(TIGHT))).decision)


def test_a_block_by_the_same_limit_at_another_threshold_is_no_flip():
    assert replayed(book(TIGHT), book(replace(TIGHT, threshold=Decimal(10_000)))).flip is None


def test_a_block_for_another_reason_is_told():
    restricted = book(TIGHT, restrictions=(Restriction(symbol="BTCUSDT", reason="news"),))
    found = flip(book(TIGHT), restricted)
    assert (found.kind, found.causes) == (Kind.REASON, ("symbol_blocked",))


def test_a_block_by_another_limit_is_told():
    found = flip(book(TIGHT), book(policy("order_quantity", "0.1")))
    assert (found.kind, found.causes) == (Kind.REASON, ("order_quantity",))


def test_a_block_by_one_limit_more_names_that_one_alone():
    """Both are limits of the account, of which each that fails is reported."""
    first, second = policy("gross_exposure", 20_000), policy("leverage", "0.1")
    found = flip(book(first), book(first, second))
    assert (found.kind, found.causes) == (Kind.REASON, ("leverage",))
    assert flip(book(first, second), book(first)).causes == ("leverage",)


def test_a_block_that_would_offer_a_smaller_quantity_is_told():
    found = flip(book(TIGHT), book(replace(TIGHT, on_breach=OnBreach.SCALE_DOWN)))
    assert (found.kind, found.after.decision) == (Kind.OFFERED, Verdict.SCALE_DOWN)


def test_an_approval_with_another_warning_is_told():
    found = flip(book(), book(replace(TIGHT, type=PolicyType.SOFT)))
    assert (found.kind, found.causes) == (Kind.WARNED, ("order_notional",))


def test_what_was_decided_under_an_older_book_is_held_against_the_one_in_force():
    """It was approved then; by now it is blocked, and the proposed book blocks it as well: no flip."""
    older, in_force = replace(book(), version=1), replace(book(TIGHT), version=2)
    proposed = replace(in_force, policies=(replace(TIGHT, threshold=Decimal(10_000)),))
    assert replay(in_force, proposed).of(*recorded(older)).flip is None


def test_a_recorded_answer_stands_where_the_book_in_force_says_the_same():
    """The text is taken for what the book in force decides: here it says something that this never would."""
    inputs_json, _ = recorded(book(LOOSE))
    _, blocked = recorded(book(TIGHT))
    proposed = book(replace(TIGHT, threshold=Decimal(10_000)))
    assert replay(book(LOOSE), proposed, alike=(1,)).of(inputs_json, blocked).flip is None
    assert replay(book(LOOSE), proposed).of(inputs_json, blocked).flip is not None


def test_a_difference_between_two_versions_of_the_program_is_no_flip():
    """The record says blocked, which this program never says under either book."""
    inputs_json, _ = recorded(book(LOOSE))
    _, blocked = recorded(book(TIGHT))
    after = book(replace(LOOSE, threshold=Decimal(40_000)))
    assert replay(book(LOOSE), after, alike=(1,)).of(inputs_json, blocked).flip is None


# ------------------------------------------------------------------------------------------------ shadow, hours, parts
def test_a_limit_in_shadow_is_told_and_blocks_nothing():
    found = flip(book(), book(replace(TIGHT, mode=Mode.SHADOW)))
    assert (found.kind, found.causes) == (Kind.SHADOWED, ("order_notional",))
    assert found.after.approved
    assert found.after.shadow_violations[0].threshold == 20_000


def test_a_limit_that_leaves_the_shadow_blocks():
    assert flip(book(replace(TIGHT, mode=Mode.SHADOW)), book(TIGHT)).kind is Kind.BLOCKED


def test_a_limit_of_some_hours_counts_at_the_hour_of_the_decision():
    """The decisions are of a Monday, 14:13 UTC."""
    in_time, too_early = (
        replace(TIGHT, active=(ActiveWindow(from_minute=hour * 60, to_minute=(hour + 1) * 60),)) for hour in (14, 13)
    )
    assert flip(book(), book(in_time)).kind is Kind.BLOCKED
    assert replayed(book(), book(too_early)).flip is None


def test_a_limit_on_a_part_of_the_accounts_blocks_those_that_it_has_reached():
    accounts = tuple(Account(id=f"desk-{number}", profile="wide") for number in range(40))
    before = book(accounts=accounts)
    after = replace(before, policies=(replace(TIGHT, rollout_percent=30),))
    kinds = [flip(before, after, account_id=each.id).kind for each in accounts]
    assert set(kinds) == {Kind.BLOCKED, Kind.SHADOWED}
    assert 4 <= kinds.count(Kind.BLOCKED) <= 20


# ------------------------------------------------------------------------------------------------ counted apart
def test_a_what_if_is_counted_apart_with_what_it_would_be_answered():
    found = replayed(book(LOOSE), book(TIGHT), what_if=True)
    assert found.apart is Apart.WHAT_IF
    assert found.flip is not None
    assert found.flip.kind is Kind.BLOCKED


@pytest.mark.parametrize(
    ("changed", "apart"),
    [
        ({"forced": Reason.CONTENTION}, Apart.MOMENT),
        ({"forced": Reason.RESERVATION_ENDED}, Apart.MOMENT),
        ({"forced": Reason.BATCH_REJECTED}, Apart.BATCH),
        ({"duplicate": True}, Apart.DUPLICATE),
    ],
)
def test_what_no_limit_decided_is_counted_apart(changed, apart):
    given = replace(inputs(book(LOOSE)), **changed)
    assert replayed(book(LOOSE), book(TIGHT), given) == Replayed(apart)


def test_an_account_that_neither_book_knows_is_counted_apart():
    assert replayed(book(LOOSE), book(TIGHT), account_id="nobody") == Replayed(Apart.UNKNOWN_ACCOUNT)


def test_an_account_that_the_proposed_book_adds_is_no_unknown_one():
    after = book(LOOSE, accounts=(*book().accounts, Account(id="desk-3", profile="wide")))
    found = flip(book(LOOSE), after, account_id="desk-3")
    assert (found.kind, found.causes) == (Kind.APPROVED, ("unknown_account",))


@pytest.mark.parametrize("text", ["", "{}", "null", '{"order": 1}'])
def test_what_cannot_be_read_is_counted_apart_and_says_why(text):
    found = replay(book(LOOSE), book(TIGHT)).of(text, "{}")
    assert found.apart is Apart.UNREADABLE
    assert found.problem


def test_a_damaged_answer_is_counted_apart_where_it_is_needed():
    inputs_json, _ = recorded(book(LOOSE))
    assert replay(book(LOOSE), book(TIGHT), alike=(1,)).of(inputs_json, "damaged").apart is Apart.UNREADABLE


def test_an_unreadable_state_is_blocked_alike():
    given = replace(inputs(book(LOOSE)), state=msgspec.Raw(b'"lost"'))
    assert replayed(book(LOOSE), book(TIGHT), given) == Replayed()
