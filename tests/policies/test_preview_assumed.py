"""A limit that comes into force later is previewed as if it were in force, and the preview says so."""

from __future__ import annotations

from msgspec.structs import replace

from policies.preview.assumed import as_if_in_force
from tests.audit.subjects import NOW_US
from tests.policies.previewing import book, policy

HOUR_US = 3_600_000_000
LATER = policy("leverage", 2, effective_from_us=NOW_US + HOUR_US)


def test_a_limit_that_waits_for_its_day_is_taken_as_if_in_force():
    assumed, (note,) = as_if_in_force(book(), book(LATER), NOW_US)
    assert assumed.policies == (replace(LATER, effective_from_us=0),)
    assert "leverage comes into force at 2026-09-21 15:13:20 UTC" in note


def test_one_that_waits_already_and_is_not_changed_waits_on():
    assert as_if_in_force(book(LATER), book(LATER), NOW_US) == (book(LATER), ())


def test_one_that_is_in_force_by_now_keeps_its_beginning():
    """Decisions of the time before it were not taken by it, and are not held against it."""
    began = replace(LATER, effective_from_us=NOW_US - HOUR_US)
    assert as_if_in_force(book(), book(began), NOW_US) == (book(began), ())


def test_what_ends_later_is_said_and_holds_for_all_that_was_decided():
    ends = replace(LATER, effective_from_us=0, effective_until_us=NOW_US + HOUR_US)
    assumed, (note,) = as_if_in_force(book(), book(ends), NOW_US)
    assert assumed == book(ends)
    assert "What passes from then on is not shown" in note
