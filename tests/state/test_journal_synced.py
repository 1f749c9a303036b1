"""Entries are on the disk before they are handed out, and no decision waits for that."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from state.journal_file import JournalFile
from state.memory_store import MemoryStore
from state.store import StateUnavailable
from tests.contract.subjects import change, commit
from tests.support.patience import PATIENCE_S


class Disk:
    """Stands for os.fsync: notes what reached the disk, fails, or takes as long as a test wants."""

    def __init__(self) -> None:
        self.files: dict[Path, bytes] = {}
        self.names: dict[Path, set[str]] = {}
        self.syncs = 0
        self.error: OSError | None = None
        self.reached, self.may_end = threading.Event(), threading.Event()
        self.may_end.set()

    def fsync(self, fd: int) -> None:
        self.reached.set()
        assert self.may_end.wait(PATIENCE_S)
        if self.error is not None:
            raise self.error
        self.syncs += 1
        path = Path(os.readlink(f"/proc/self/fd/{fd}"))
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            self.names[path] = set(os.listdir(path))
        else:
            self.files[path] = path.read_bytes()

    def after_a_power_cut(self, directory: Path, into: Path) -> Path:
        """Write to a new directory what `directory` holds when the machine starts again, and return it."""
        into.mkdir()
        for name in self.names.get(directory, ()):
            if name.endswith(".journal"):
                (into / name).write_bytes(self.files.get(directory / name, b""))
        return into


@pytest.fixture
def disk(monkeypatch) -> Disk:
    fake = Disk()
    monkeypatch.setattr(os, "fsync", fake.fsync)
    return fake


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "journal"


@pytest.fixture
def store(disk, directory):
    made = MemoryStore(journal=JournalFile(directory, segment_bytes=200))
    yield made
    made.close()


def decide(store: MemoryStore, *entries: bytes) -> None:
    for entry in entries:
        commit(store, change("a", answers={}), journal=(entry,))


def read(store: MemoryStore, after: str = "0") -> list[bytes]:
    return [entry for _, entry in store.read_journal(0, after, 1000)]


def test_what_is_handed_out_survives_a_power_cut(store, disk, directory, tmp_path):
    entries = [b"entry %d" % number for number in range(50)]
    for number in (1, 20, 50):  # within a segment, and over several
        decide(store, *entries[len(read(store)) : number])
        handed_out = read(store)
        assert handed_out == entries[:number]
        found = JournalFile(disk.after_a_power_cut(directory, tmp_path / str(number)))
        assert [entry for _, entry in found.read(0, 1000)] == handed_out
        found.close()
    assert len(list(directory.glob("*.journal"))) > 3


def test_a_decision_waits_for_no_disk(store, disk):
    decide(store, b"1", b"2")
    before = disk.syncs
    decide(store, *(b"%d" % number for number in range(50)))
    assert disk.syncs == before


def test_what_is_on_the_disk_is_not_synced_again(store, disk):
    decide(store, b"1")
    read(store)
    before = disk.syncs
    assert (read(store), read(store, "1")) == ([b"1"], [])
    assert disk.syncs == before
    decide(store, b"2")
    read(store)
    assert disk.syncs == before + 1


def test_what_a_killed_process_left_is_synced_before_it_is_handed_out(store, disk, directory, tmp_path):
    decide(store, b"1", b"2")
    store.close()
    assert not disk.files.keys() & set(directory.glob("*.journal"))
    again = MemoryStore(journal=JournalFile(directory))
    assert read(again) == [b"1", b"2"]
    found = JournalFile(disk.after_a_power_cut(directory, tmp_path / "after"))
    assert [entry for _, entry in found.read(0, 10)] == [b"1", b"2"]
    found.close()
    again.close()


def test_a_segment_that_was_trimmed_needs_no_disk(store, disk):
    decide(store, *(b"%d" % number for number in range(50)))
    store.trim_journal(0, "40")
    assert len(read(store)) == 10


def test_where_the_disk_fails_nothing_is_handed_out_or_taken_though_it_says_later_that_all_is_well(
    store, disk, directory
):
    decide(store, b"1")
    disk.error = OSError(errno.EIO, "Input/output error")
    with pytest.raises(StateUnavailable, match="Input/output error"):
        read(store)
    disk.error = None  # the system reports such an error once
    for attempt in (lambda: read(store), lambda: decide(store, b"2"), lambda: store.journal_generation(0)):
        with pytest.raises(StateUnavailable, match="restart"):
            attempt()
    store.close()
    again = MemoryStore(journal=JournalFile(directory))
    assert read(again) == [b"1"]
    again.close()


def test_a_store_whose_journal_has_failed_says_so_when_it_is_asked(store, disk):
    store.ping()
    commit(store, change("A"), journal=(b"1",))
    disk.error = OSError(errno.EIO, "Input/output error")
    with pytest.raises(StateUnavailable):
        store.read_journal(0, "0", 10)
    disk.error = None
    with pytest.raises(StateUnavailable, match="restart the process"):
        store.ping()


def test_decisions_go_on_while_the_disk_is_waited_for_and_other_readers_wait(store, disk):
    decide(store, b"1")
    disk.reached.clear()
    disk.may_end.clear()
    handed_out: list[list[bytes]] = []
    readers = [threading.Thread(target=lambda: handed_out.append(read(store))) for _ in range(2)]
    try:
        for reader in readers:
            reader.start()
        assert disk.reached.wait(PATIENCE_S)
        decide(store, b"2")
        readers[1].join(0.2)
        assert handed_out == []
    finally:
        disk.may_end.set()
        for reader in readers:
            reader.join(PATIENCE_S)
    assert sorted(map(len, handed_out)) == [1, 2]
