"""Reading all accounts again and again: what comes, and what does not."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from state.changes import UNKNOWN, AccountRecord
from state.store import EXPIRED_LIMIT, LOST_LEDGER, StateUnavailable, Store
from tests.contract.subjects import PAST_US, accounts, change, commit, reservation, restored

A, B = "account-0", "account-1"


def records(store: Store, known: dict[str, str], generation: str) -> dict[str, AccountRecord]:
    """Return what has changed of the accounts that are known by these editions."""
    return {one.account_id: one for part in store.changed(generation, known) for one in part.records}


def editions(found: dict[str, AccountRecord]) -> dict[str, str]:
    return {name: one.edition for name, one in found.items()}


def read(store: Store, *names: str) -> dict[str, AccountRecord]:
    return records(store, dict.fromkeys(names, UNKNOWN), "")


class TestChanged:
    def test_without_accounts_nothing_is_asked(self, store):
        assert read(store) == {}

    def test_what_is_not_known_comes_as_it_is_kept(self, store):
        control = restored(store)
        commit(store, change(A, state=b'{"s":1}', ledger=b"{}"))
        (part,) = store.changed(control.generation, {A: UNKNOWN})
        (found,) = part.records
        assert (found.account_id, found.version, found.state, found.ledger) == (A, 1, b'{"s":1}', b"{}")
        assert found.expired == ()
        assert part.generation == control.generation
        assert part.now_us > PAST_US

    def test_what_was_never_written_is_known_as_that(self, store):
        control = restored(store)
        found = read(store, A)
        assert (found[A].version, found[A].state, found[A].ledger) == (0, None, None)
        assert records(store, editions(found), control.generation) == {}

    def test_what_is_known_does_not_come(self, store):
        control = restored(store)
        commit(store, change(A, state=b"1"))
        commit(store, change(B, state=b"2"))
        known = editions(read(store, A, B))
        assert records(store, known, control.generation) == {}
        commit(store, change(B, 1, state=b"3"))
        found = records(store, known, control.generation)
        assert {name: one.state for name, one in found.items()} == {B: b"3"}

    def test_in_another_life_of_the_store_everything_comes(self, store):
        restored(store)
        commit(store, change(A, state=b"1"))
        known = editions(read(store, A))
        assert records(store, known, "another").keys() == {A}

    def test_a_store_that_has_lost_its_memory_knows_no_life(self, store):
        commit(store, change(A, state=b"1"))
        known = editions(read(store, A))
        (part,) = store.changed("", known)
        assert part.generation == ""
        assert len(part.records) == 1

    def test_a_reservation_that_is_over_makes_another_edition_once(self, store):
        control = restored(store)
        alive, over = reservation("alive"), reservation("over", expires_at_us=PAST_US + 1)
        commit(store, change(A, ledger=b"{}", add=(alive,)))
        known = editions(read(store, A))
        commit(store, change(A, 1, ledger=b"{}", add=(over,)))
        found = records(store, known, control.generation)
        assert found[A].expired == (over,)
        assert records(store, editions(found), control.generation) == {}
        assert found[A].edition != f"{found[A].version} 0"

    def test_of_many_that_are_over_some_come(self, store):
        restored(store)
        held = [reservation(f"o-{number}", expires_at_us=PAST_US + number) for number in range(EXPIRED_LIMIT + 2)]
        commit(store, change(A, ledger=b"{}", add=tuple(held)))
        found = read(store, A)[A]
        assert found.expired == tuple(held[:EXPIRED_LIMIT])
        assert found.edition == f"1 {EXPIRED_LIMIT + 2}"

    def test_a_ledger_that_was_lost_is_none(self, store):
        restored(store)
        commit(store, change(A, state=b"1", add=(reservation("o-1"),)))
        assert read(store, A)[A].ledger == LOST_LEDGER

    def test_accounts_of_all_lanes_come_also_where_they_are_many(self, store):
        control = restored(store)
        names = [f"account-{number}" for number in range(450)]
        for name in names:
            commit(store, change(name, state=name.encode()))
        found = read(store, *names)
        assert {name: one.state for name, one in found.items()} == {name: name.encode() for name in names}
        assert records(store, editions(found), control.generation) == {}

    def test_whoever_stops_reading_half_way_may_ask_anything_next(self, store):
        control = restored(store)
        names = accounts(store, 450)
        reading = store.changed(control.generation, dict.fromkeys(names, UNKNOWN))
        next(reading)
        reading.close()
        assert store.control() == control


class TestTrouble:
    @pytest.fixture
    def client(self, clean_redis) -> Any:
        with redis.Redis.from_url(clean_redis) as client:
            yield client

    def test_a_record_without_a_version_is_none(self, redis_store, client):
        restored(redis_store)
        commit(redis_store, change(A, state=b"1"))
        for key in client.keys("risk:*:account:*"):
            client.hdel(key, "version")
        with pytest.raises(StateUnavailable, match="cannot be read"):
            read(redis_store, A)

    def test_a_record_of_another_type_is_none(self, redis_store, client):
        restored(redis_store)
        for lane in range(redis_store.lanes):
            client.set(f"risk:{{L{lane}}}:account:{A}", "text")
        with pytest.raises(StateUnavailable):
            read(redis_store, A)

    def test_an_error_half_way_leaves_the_connection_usable(self, redis_store, client):
        control = restored(redis_store)
        names = accounts(redis_store, 350)
        lane = redis_store.lane_of(names[0])
        client.set(f"risk:{{L{lane}}}:account:{names[150]}", "text")
        with pytest.raises(StateUnavailable):
            read(redis_store, *names)
        assert redis_store.all_prices() == {}
        assert redis_store.control() == control

    def test_scripts_that_were_flushed_half_way_are_there_again_for_the_next(self, redis_store, client, monkeypatch):
        restored(redis_store)
        monkeypatch.setattr("state.redis_changes._TOGETHER", 1)
        names = [f"account-{number}" for number in range(9)]
        reading = redis_store.changed("", dict.fromkeys(names, UNKNOWN))
        next(reading)
        client.script_flush()
        with pytest.raises(StateUnavailable):
            list(reading)
        assert read(redis_store, *names).keys() == set(names)
