"""Notes about stops: kept with the flag in one step, and as long as the stops themselves."""

from __future__ import annotations

import pytest

from riskcore.ports import Stop
from state.store import StopsMoved
from tests.contract.subjects import restored

STOP = Stop(id="s1")


def test_there_are_none_at_first(store):
    assert store.stop_notes() == {}
    assert store.stop_notes("s1", "s2") == {}


def test_a_note_comes_with_the_stop(store):
    store.set_stops((STOP,), notes={"s1": '{"é":1}'.encode(), "s2": b"{}"})
    assert store.stop_notes() == {"s1": '{"é":1}'.encode(), "s2": b"{}"}
    assert store.stop_notes("s2", "s3") == {"s2": b"{}"}


def test_a_stop_that_is_refused_leaves_no_note(store):
    seen = restored(store)
    store.set_stops(())
    with pytest.raises(StopsMoved):
        store.set_stops((STOP,), expected_epoch=seen.epoch, notes={"s1": b"{}"})
    assert store.stop_notes() == {}


def test_a_note_takes_the_place_of_the_one_of_its_name(store):
    store.put_stop_notes({"a": b"1", "b": b"2"})
    store.put_stop_notes({"a": b"3"})
    assert store.stop_notes() == {"a": b"3", "b": b"2"}


def test_what_is_dropped_is_gone_and_nothing_else(store):
    store.put_stop_notes({"a": b"1", "b": b"2"})
    store.drop_stop_notes("a", "never there")
    store.drop_stop_notes()
    assert store.stop_notes() == {"b": b"2"}


def test_a_restore_keeps_them(store):
    store.set_stops((STOP,), notes={"s1": b"{}"})
    restored(store)
    assert store.stop_notes() == {"s1": b"{}"}
