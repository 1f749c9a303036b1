"""The drain's cursor passes only what the journal file of an embedded installation has on the disk."""

from __future__ import annotations

import errno
import os

import pytest

from audit import drain as module
from audit.copying import add_rows
from audit.drain import drain
from audit.models import JournalCursor, OrderDecision
from state.journal_file import JournalFile
from state.memory_store import MemoryStore
from state.store import JOURNAL_START, StateUnavailable
from tests.audit.subjects import decided
from tests.contract.subjects import change, commit

pytestmark = pytest.mark.django_db


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_begun", set())
    made = MemoryStore(journal=JournalFile(tmp_path))
    for _ in range(3):
        commit(made, change("desk-1"), journal=(decided(),))
    yield made
    made.close()


def test_everything_is_synced_before_the_first_row_is_inserted(store, monkeypatch):
    order: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _fd: order.append("synced"))

    def insert_and_note(rows):
        order.append("inserted")
        add_rows(rows)

    monkeypatch.setattr("audit.sealing.add_rows", insert_and_note)
    assert drain(store) == 3
    assert "synced" in order
    assert "synced" not in order[order.index("inserted") :]


def test_where_the_disk_fails_the_cursor_stays_and_nothing_is_kept(store, monkeypatch):
    def fail(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as failing:
        failing.setattr(os, "fsync", fail)
        with pytest.raises(StateUnavailable):
            drain(store)
    with pytest.raises(StateUnavailable):  # now the disk says that all is well, which is not to be believed
        drain(store)
    assert JournalCursor.objects.get().last_id == JOURNAL_START
    assert not OrderDecision.objects.exists()
