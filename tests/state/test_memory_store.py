"""What the memory store does with the clock that it is given."""

from __future__ import annotations

import pytest

from riskcore.types import OrderTail
from state.journal_file import JournalFile
from state.memory_store import MemoryStore
from state.store import ANSWER_LIFE_S, StateUnavailable
from tests.contract.subjects import ANSWER, change, commit, reservation, restored, view

NOW_US = 1_790_000_000_000_000
TAIL = OrderTail(closed=True)


class Clock:
    now_us = NOW_US

    def __call__(self) -> int:
        return self.now_us


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock) -> MemoryStore:
    return MemoryStore(clock)


def test_an_answer_is_kept_for_a_day_and_no_longer(store, clock):
    commit(store, change("a", answers={"o": ANSWER}))
    clock.now_us += ANSWER_LIFE_S * 1_000_000 - 1
    assert view(store, "a", order_ids=("o",)).answers == {"o": ANSWER}
    clock.now_us += 1
    assert view(store, "a", order_ids=("o",)).answers == {}
    commit(store, change("a", answers={"o": ANSWER}))
    assert view(store, "a", order_ids=("o",)).answers == {"o": ANSWER}


def test_fills_and_tails_are_kept_for_a_day_and_no_longer(store, clock):
    commit(store, change("a", fills=("f",), tails={"o": TAIL}))
    clock.now_us += 5
    commit(store, change("a", 1, answers={"o": ANSWER}))
    clock.now_us += ANSWER_LIFE_S * 1_000_000 - 6
    assert view(store, "a", fills=("f",)).fills == {"f"}
    clock.now_us += 1
    found = view(store, "a", order_ids=("o",), fills=("f",))
    assert (found.fills, found.answers) == (frozenset(), {"o": ANSWER})


def test_a_reservation_expires_by_the_clock(store, clock):
    held = reservation("o", expires_at_us=NOW_US + 1)
    commit(store, change("a", add=(held,)))
    assert view(store, "a", keys=("BTCUSDT",)).own_bids == {"BTCUSDT": "100"}
    clock.now_us += 1
    found = view(store, "a", keys=("BTCUSDT",))
    assert (found.own_bids, found.expired) == ({}, (held,))


def test_loads_and_prices_carry_the_time_of_the_clock(store, clock):
    clock.now_us += 5
    store.put_prices({"BTCUSDT": ("1", 0)})
    assert store.prices(["BTCUSDT"])["BTCUSDT"].received_at_us == NOW_US + 5


def test_epochs_grow_though_the_clock_stands_still_or_goes_back(store, clock):
    first = restored(store).epoch
    second = store.set_stops([])
    clock.now_us -= 1_000_000
    assert first < second < store.set_stops([]) < restored(store).epoch


def test_a_commit_whose_journal_entry_cannot_be_written_changes_nothing(tmp_path):
    blocked = tmp_path / "a file, no directory"
    blocked.touch()
    store = MemoryStore(journal=JournalFile(blocked))
    with pytest.raises(StateUnavailable):
        commit(store, change("a", ledger=b"{}", answers={"o": ANSWER}), journal=(b"entry",))
    assert view(store, "a", order_ids=("o",)).answers == {}
    assert view(store, "a").version == 0


def test_journal_entries_outlive_the_store(tmp_path):
    first = MemoryStore(journal=JournalFile(tmp_path))
    commit(first, change("a"), journal=(b"1", b"2"))
    generation = first.journal_generation(0)
    first.close()
    second = MemoryStore(journal=JournalFile(tmp_path))
    commit(second, change("a"), journal=(b"3",))
    assert [entry for _, entry in second.read_journal(0, "0", 10)] == [b"1", b"2", b"3"]
    assert second.journal_generation(0) == generation
    assert second.control() is None
    second.close()
