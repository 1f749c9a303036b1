"""Stops of an embedded process outlive it; a file that cannot be read halts everything."""

from __future__ import annotations

import pytest

from riskcore.ports import Stop, StopScope
from riskcore.types import TradingState
from state.memory_store import MemoryStore
from state.stop_file import StopFile
from state.store import StateUnavailable

STOPS = (Stop(id="s1"), Stop(id="s2", scope=StopScope.SYMBOL, scope_id="É", state=TradingState.REDUCING))
NOTES = {"s1": '{"é":1}'.encode(), "life": b"x"}


def reopened(directory) -> StopFile:
    return StopFile(directory)


def test_what_was_saved_last_is_loaded(tmp_path):
    file = StopFile(tmp_path / "stops")
    file.save((), {})
    file.save(STOPS, NOTES)
    file.close()
    assert reopened(tmp_path / "stops").load() == (STOPS, NOTES)


def test_where_there_is_no_file_nothing_is_stopped(tmp_path):
    assert StopFile(tmp_path / "stops").load() == ((), {})


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"stops":[{"id":"x","state":"?"}],"notes":{}}', b"[]"])
def test_a_file_that_cannot_be_read_halts_everything_and_is_kept(tmp_path, content):
    (tmp_path / "stops.json").write_bytes(content)
    (stop,), notes = StopFile(tmp_path).load()
    assert (stop.scope, stop.state, notes) == (StopScope.GLOBAL, TradingState.HALTED, {})
    (aside,) = tmp_path.glob("stops.unreadable-*")
    assert aside.read_bytes() == content


def test_a_draft_that_was_never_finished_changes_nothing(tmp_path):
    file = StopFile(tmp_path)
    file.save(STOPS, NOTES)
    (tmp_path / "stops.new").write_bytes(b"{torn")
    assert file.load() == (STOPS, NOTES)


@pytest.mark.parametrize("act", [lambda file: file.load(), lambda file: file.save(STOPS, {})])
def test_one_process_keeps_it_at_a_time(tmp_path, act):
    first = StopFile(tmp_path)
    first.save((), {})
    with pytest.raises(StateUnavailable, match="another process"):
        act(StopFile(tmp_path))
    first.close()
    act(StopFile(tmp_path))


def test_a_disk_that_fails_keeps_no_stop_from_being_in_force(tmp_path, caplog):
    (tmp_path / "stops").write_text("a file is where the directory should be")
    store = MemoryStore(keeper=StopFile(tmp_path / "stops"))
    store.set_stops(STOPS[:1], notes={"s1": b"{}"})
    assert [stop.id for stop in store.stops()[1]][-1:] == ["s1"]
    assert "not on the disk" in caplog.text


def test_another_process_can_stop_nothing_here(tmp_path):
    running = MemoryStore(keeper=StopFile(tmp_path))
    running.stops()
    other = MemoryStore(keeper=StopFile(tmp_path))
    with pytest.raises(StateUnavailable):
        other.set_stops(STOPS)
    assert running.stops() == (0, ())


def test_the_next_process_goes_on_with_the_stops_of_this_one(tmp_path):
    first = MemoryStore(keeper=StopFile(tmp_path))
    epoch = first.set_stops(STOPS, notes=NOTES)
    first.close()
    second = MemoryStore(keeper=StopFile(tmp_path))
    second.restore(book_version=1, content=b"{}", stops=(), keys=b"{}")
    control = second.control()
    assert control is not None
    assert control.stops == STOPS
    assert control.epoch > epoch
    assert second.stop_notes() == NOTES
