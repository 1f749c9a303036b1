"""Leases of OMSs in a store: each is written only in the place of what its writer has seen."""

from __future__ import annotations

import threading

from riskcore.ports import Load
from tests.contract.subjects import restored

MINUTE_US = 60_000_000


def test_there_are_none_at_first(store):
    assert store.oms_leases() == {}
    assert store.oms_leases("one", "other") == {}


def test_the_first_is_written_where_none_was_seen(store):
    assert store.swap_oms_lease("one", None, '{"é":1}'.encode())
    assert not store.swap_oms_lease("one", None, b"2")
    assert store.swap_oms_lease("other", None, b"3")
    assert store.oms_leases() == {"one": '{"é":1}'.encode(), "other": b"3"}
    assert store.oms_leases("other", "nobody") == {"other": b"3"}


def test_it_takes_the_place_of_the_one_that_was_seen_and_of_no_other(store):
    store.swap_oms_lease("one", None, b"1")
    assert not store.swap_oms_lease("one", b"2", b"3")
    assert store.oms_leases() == {"one": b"1"}
    assert store.swap_oms_lease("one", b"1", b"3")
    assert store.oms_leases() == {"one": b"3"}


def test_it_is_forgotten_as_it_was_seen(store):
    store.swap_oms_lease("one", None, b"1")
    assert not store.swap_oms_lease("one", b"2", None)
    assert store.swap_oms_lease("one", b"1", None)
    assert store.oms_leases() == {}
    assert not store.swap_oms_lease("one", b"1", b"2")


def test_a_restore_keeps_them(store):
    store.swap_oms_lease("one", None, b"1")
    restored(store)
    assert store.oms_leases() == {"one": b"1"}


def test_of_many_who_have_seen_the_same_one_writes(store):
    written = []

    def write(number: int) -> None:
        if store.swap_oms_lease("one", None, b"%d" % number):
            written.append(b"%d" % number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.oms_leases()["one"]] == written


class TestTurns:
    """What the check of these leases needs of the other kind: those by which one process at a time does something."""

    def test_one_that_is_given_back_is_free_at_once(self, store):
        first = store.hold_lease("leases", "one", MINUTE_US)
        store.hold_lease("leases", "one", 0)
        second = store.hold_lease("leases", "other", MINUTE_US)
        assert second is not None
        assert second > first

    def test_a_new_token_says_since_when_it_is_held(self, store):
        before = store.load(Load(accounts=())).now_us
        token = store.hold_lease("leases", "one", MINUTE_US)
        assert before <= token <= store.load(Load(accounts=())).now_us + 1
