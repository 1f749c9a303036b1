"""What the life of a key says of a price's age, and what it does not where somebody gives another life."""

from __future__ import annotations

import pytest

from feeds.market_prices import KnownLife, Sight

LIFE_US = 5_000_000
LOOKS_APART_US = 1_000_000

# What one writer with a life of 60 s leaves behind, where 5 s are the rule: moments of the market, in seconds.
TRUE_LIFE_S = 60


class Looked:
    """Looks by KnownLife at one key, whose end and number are as a test wants them."""

    def __init__(self) -> None:
        self.writing = KnownLife(LIFE_US, LOOKS_APART_US)
        self.before: Sight | None = None

    def at(self, now_s: float, *, ends_s: float, value: bytes = b"1") -> float | None:
        """Return the age of the price in seconds, None where it is not taken."""
        now_us, ends_us = round(now_s * 1_000_000), round(ends_s * 1_000_000)
        sight = Sight(value, ends_us, now_us)
        written_us = self.writing.written_since_us("BTCUSDT", sight, self.before, now_us)
        self.before = sight
        return (now_us - written_us) / 1_000_000 if written_us else None


def test_the_last_seconds_of_a_key_that_was_seen_to_live_longer_make_it_no_younger():
    look = Looked()
    for age_s in (0, 30, 54, 55.5, 56, 59, 59.999):
        assert look.at(100 + age_s, ends_s=100 + TRUE_LIFE_S) is None


def test_nor_does_another_number_with_the_same_end():
    look = Looked()
    assert look.at(100, ends_s=160) is None
    assert look.at(156, ends_s=160) is None
    assert look.at(157, ends_s=160, value=b"2") is None


def test_a_later_key_of_who_gave_a_longer_life_is_not_trusted_either():
    """The next one is first looked at in its last seconds: it looks like one of the right life."""
    look = Looked()
    assert look.at(100, ends_s=160) is None
    assert look.at(217, ends_s=220) is None
    assert look.at(218, ends_s=220) is None


def test_once_it_is_seen_rewritten_with_the_right_life_it_counts():
    look = Looked()
    assert look.at(100, ends_s=160) is None
    assert look.writing.needs_looks("BTCUSDT")
    assert look.at(100.5, ends_s=105.25, value=b"2") == 0.25
    assert not look.writing.needs_looks("BTCUSDT")
    assert look.at(103, ends_s=105.25, value=b"2") == 2.75
    assert look.at(130, ends_s=133) == 2


def test_the_same_number_rewritten_is_seen_by_its_end_alone():
    look = Looked()
    assert look.at(100, ends_s=160) is None
    assert look.at(100.5, ends_s=105.25) is None  # the key may only have been given an earlier end
    assert look.at(101, ends_s=105.75) == 0.25


@pytest.mark.parametrize(
    ("now_s", "ends_s"),
    [(101.5, 106), (100.5, 104.9)],
    ids=["too long after the look before", "when the other one was still there"],
)
def test_a_writing_that_was_not_seen_proves_nothing(now_s, ends_s):
    look = Looked()
    assert look.at(100, ends_s=160) is None
    assert look.at(now_s, ends_s=ends_s, value=b"2") is None


def test_a_key_without_an_end_that_is_given_one_was_not_written():
    look = Looked()
    assert look.at(100, ends_s=0) is None
    assert look.at(100.5, ends_s=105.25) is None
    assert look.at(101, ends_s=105.75) == 0.25  # rewritten: its end has moved
