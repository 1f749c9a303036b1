"""The journal: what was committed is there, in order, until it is trimmed."""

from __future__ import annotations

from state.store import JOURNAL_START, Store
from tests.contract.subjects import change, commit

ALPHA = "account-0"


def write(store, *entries: bytes, account_id: str = ALPHA) -> None:
    commit(store, change(account_id), journal=entries)


def read(store: Store, after: str = JOURNAL_START, count: int = 1000) -> list[tuple[str, bytes]]:
    return store.read_journal(store.lane_of(ALPHA), after, count)


def test_entries_are_read_in_the_order_of_their_commits_byte_for_byte(store):
    write(store, b'{"a":1}', b"line\nline\x00\xff")
    write(store, b"third")
    assert [entry for _, entry in read(store)] == [b'{"a":1}', b"line\nline\x00\xff", b"third"]


def test_an_empty_journal_has_no_entries(store):
    assert read(store) == []
    assert store.journal_length(store.lane_of(ALPHA)) == 0


def test_a_reader_goes_on_after_the_last_id_it_saw(store):
    write(store, *(b"%d" % number for number in range(10)))
    after, seen = JOURNAL_START, []
    while entries := read(store, after, 3):
        assert len(entries) <= 3
        seen += [entry for _, entry in entries]
        after = entries[-1][0]
    assert seen == [b"%d" % number for number in range(10)]
    write(store, b"later")
    assert [entry for _, entry in read(store, after)] == [b"later"]


def test_trimming_forgets_the_entries_through_an_id(store):
    write(store, b"1", b"2", b"3")
    lane = store.lane_of(ALPHA)
    store.trim_journal(lane, read(store)[1][0])
    assert [entry for _, entry in read(store)] == [b"3"]
    assert store.journal_length(lane) == 1
    store.trim_journal(lane, read(store)[0][0])
    assert (read(store), store.journal_length(lane)) == ([], 0)


def test_ids_go_on_after_everything_was_trimmed(store):
    write(store, b"1")
    ((first_id, _),) = read(store)
    store.trim_journal(store.lane_of(ALPHA), first_id)
    write(store, b"2")
    assert [entry for _, entry in read(store, first_id)] == [b"2"]


def test_the_generation_stays_while_entries_come_and_go(store):
    lane = store.lane_of(ALPHA)
    before = store.journal_generation(lane)
    write(store, b"1")
    store.trim_journal(lane, read(store)[0][0])
    assert store.journal_generation(lane) == before


def test_a_conflict_leaves_no_entry(store):
    commit(store, change(ALPHA, 5, ledger=b"{}"), journal=(b"never",))
    assert read(store) == []


def test_each_lane_has_a_journal_of_its_own(store):
    names = [str(number) for number in range(50)]
    for name in names:
        write(store, name.encode(), account_id=name)
    for lane in range(store.lanes):
        found = [entry.decode() for _, entry in store.read_journal(lane, JOURNAL_START, 100)]
        assert found == [name for name in names if store.lane_of(name) == lane]
    assert len({store.journal_generation(lane) for lane in range(store.lanes)}) == store.lanes
