"""Stops, books and generations: the same in every lane, never backwards, and none is worse than any."""

from __future__ import annotations

import threading

import pytest

from riskcore.ports import Committed, Load, Stop, StopScope
from riskcore.types import TradingState
from state.store import StopsMoved
from state.trading_state import change_stops
from tests.contract.subjects import change, commit, query, restored
from tests.support.patience import PATIENCE_S

STOP = Stop(id="s1", scope=StopScope.ACCOUNT, scope_id="é", state=TradingState.REDUCING)
OTHER = Stop(id="s2", unwind=True)


def controls(store):
    """Return the control that a check of each lane would see."""
    by_lane = {store.lane_of(name): name for name in map(str, range(50))}
    assert len(by_lane) == store.lanes
    return [store.load(Load(accounts=(query(name),))).control for name in by_lane.values()]


def in_threads(work, items) -> None:
    """Do the work for every item in a thread of its own, raising what went wrong."""
    errors = []

    def one(item) -> None:
        try:
            work(item)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(item,)) for item in items]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


class TestStops:
    def test_a_stop_is_in_force_in_every_lane(self, store):
        restored(store)
        epoch = store.set_stops([STOP, OTHER])
        expected = store.control()
        assert (expected.epoch, expected.stops) == (epoch, (STOP, OTHER))
        assert controls(store) == [expected] * store.lanes

    def test_every_change_has_a_greater_epoch(self, store):
        epochs = [restored(store).epoch, *(store.set_stops([]) for _ in range(5)), restored(store).epoch]
        assert epochs == sorted(set(epochs))

    def test_stops_that_moved_are_not_replaced_by_who_did_not_see_them(self, store):
        seen = restored(store)
        store.set_stops([STOP])
        with pytest.raises(StopsMoved):
            store.set_stops([OTHER], expected_epoch=seen.epoch)
        assert store.control().stops == (STOP,)

    def test_stops_as_expected_are_replaced(self, store):
        epoch = store.set_stops([], expected_epoch=restored(store).epoch)
        assert store.control().epoch == epoch

    def test_no_stop_of_several_set_at_once_is_lost(self, store):
        restored(store)
        stops = [Stop(id=f"s{number}") for number in range(8)]
        in_threads(lambda stop: change_stops(store, lambda now: (*now, stop)), stops)
        assert sorted(one.id for one in store.control().stops) == [stop.id for stop in stops]
        assert controls(store) == [store.control()] * store.lanes

    def test_stops_set_before_the_restore_are_in_force_after_it(self, store):
        change_stops(store, lambda now: (*now, STOP))
        epoch = change_stops(store, lambda now: (*now, OTHER))
        assert store.stops() == (epoch, (STOP, OTHER))
        assert store.control() is None
        assert sorted(one.id for one in restored(store).stops) == ["s1", "s2"]

    def test_an_empty_store_has_no_stops(self, store):
        assert store.stops() == (0, ())

    def test_nothing_is_approved_on_the_old_control_once_a_stop_call_has_returned(self, store):
        control = restored(store)
        stopped, finished = threading.Event(), threading.Event()
        begun_before_the_stop = []

        def approve(name: str) -> None:
            version = 0
            while not finished.is_set():
                before = not stopped.is_set()
                if commit(store, change(name, version, ledger=b"{}"), expect=control) != Committed():
                    return
                begun_before_the_stop.append(before)
                version += 1

        threads = [threading.Thread(target=approve, args=(name,)) for name in "abcdef"]
        for thread in threads:
            thread.start()
        while len(begun_before_the_stop) < 50:
            pass
        store.set_stops([STOP])
        stopped.set()
        for thread in threads:
            thread.join(PATIENCE_S)
        finished.set()
        assert all(begun_before_the_stop)
        assert not any(thread.is_alive() for thread in threads)


class TestBook:
    def test_a_published_book_is_current_in_every_lane_and_can_be_fetched(self, store):
        restored(store)
        assert store.publish_book(7, b"seven\x00\xff") == 7
        assert [one.book_version for one in controls(store)] == [7] * store.lanes
        assert store.fetch_book(7) == b"seven\x00\xff"

    def test_an_older_book_does_not_become_current(self, store):
        restored(store, book_version=10)
        assert store.publish_book(9, b"nine") == 10
        assert store.control().book_version == 10

    def test_publishing_does_not_move_the_epoch(self, store):
        before = restored(store)
        store.publish_book(2, b"{}")
        assert store.control().epoch == before.epoch

    def test_a_book_that_was_never_published_is_not_there(self, store):
        assert store.fetch_book(1) is None

    def test_the_last_fifty_books_are_kept(self, store):
        for version in range(1, 61):
            store.publish_book(version, b"%d" % version)
        assert [version for version in range(1, 61) if store.fetch_book(version)] == list(range(11, 61))


class TestRestore:
    def test_an_empty_store_has_no_control(self, store):
        assert store.control() is None
        assert controls(store) == [None] * store.lanes

    def test_a_restore_brings_book_stops_and_keys(self, store):
        generation = store.restore(book_version=4, content=b"four", stops=(STOP,), keys=b"keys")
        control = store.control()
        assert (control.generation, control.book_version, control.stops) == (generation, 4, (STOP,))
        assert controls(store) == [control] * store.lanes
        assert (store.fetch_book(4), store.fetch_keys()) == (b"four", b"keys")

    def test_every_restore_is_a_new_generation(self, store):
        first = restored(store)
        assert restored(store).generation != first.generation
        assert commit(store, change("a", ledger=b"{}"), expect=first) != Committed()

    def test_a_restore_lifts_no_stop_that_it_does_not_know(self, store):
        restored(store)
        store.set_stops([STOP])
        control = restored(store, stops=(OTHER,))
        assert sorted(one.id for one in control.stops) == ["s1", "s2"]

    def test_a_restore_may_go_back_to_an_older_book(self, store):
        restored(store, book_version=9)
        assert restored(store, book_version=8, content=b"eight").book_version == 8
        assert store.fetch_book(8) == b"eight"

    def test_a_stop_and_a_book_that_come_before_the_restore_are_in_force_after_it(self, store):
        store.set_stops([STOP])
        store.publish_book(5, b"five")
        assert store.control() is None
        control = restored(store, book_version=4, stops=(OTHER,))
        assert sorted(one.id for one in control.stops) == ["s1", "s2"]
        assert control.book_version == 5
        assert controls(store) == [control] * store.lanes

    def test_a_stop_set_during_restores_is_in_force_after_them(self, store):
        restored(store)
        stops = [Stop(id=f"s{number}") for number in range(10)]

        def work(stop: Stop | None) -> None:
            if stop is None:
                for version in range(10):
                    store.restore(book_version=version, content=b"{}", stops=(), keys=b"{}")
            else:
                change_stops(store, lambda now: (*now, stop))

        in_threads(work, [None, *stops])
        assert sorted(one.id for one in store.control().stops) == sorted(one.id for one in stops)
        assert controls(store) == [store.control()] * store.lanes


def test_api_keys_are_replaced_whole(store):
    assert store.fetch_keys() is None
    store.put_keys(b"first")
    store.put_keys(b"second")
    assert store.fetch_keys() == b"second"


def test_a_store_in_order_answers_a_ping_and_warns_of_nothing(store):
    store.ping()
    assert store.warnings() == []
