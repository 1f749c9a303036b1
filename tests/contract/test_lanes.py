"""Another number of lanes on a living Redis: nothing is approved until a restore, and nothing is lost on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from riskcore.ports import Control, Load, Loaded, Stop
from state.keys import CONTROL, prefix
from state.redis_store import RedisStore
from tests.contract.subjects import ANSWER, AsyncDoor, change, commit, query, reservation, restored, view
from tests.support.patience import REDIS_S

STOP = Stop(id="s")


@pytest.fixture(params=[partial(RedisStore, timeout_s=REDIS_S), AsyncDoor], ids=["redis", "async-redis"])
def with_lanes(request, clean_redis) -> Iterator[Callable[[int], RedisStore]]:
    """Return what opens the same Redis with some number of lanes."""
    opened: list[RedisStore] = []

    def open_store(lanes: int) -> RedisStore:
        opened.append(request.param(clean_redis, lanes=lanes))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


def account_in(store: RedisStore, lane: int) -> str:
    return next(name for name in map(str, range(100)) if store.lane_of(name) == lane)


def control_for(store: RedisStore, account_id: str) -> Control | None:
    return store.load(Load(accounts=(query(account_id),))).control


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (3, 2)])
class TestAnotherNumber:
    def test_has_no_control_until_it_is_restored(self, with_lanes, before, after):
        expect = restored(with_lanes(before))
        store = with_lanes(after)
        assert store.control() is None
        for lane in range(after):
            name = account_in(store, lane)
            assert control_for(store, name) is None
        store.claim_lanes()
        assert store.control() is None
        control = restored(store)
        assert control.epoch > expect.epoch
        assert [control_for(store, account_in(store, lane)) for lane in range(after)] == [control] * after

    def test_nothing_is_approved_any_more_with_the_old_one(self, with_lanes, before, after):
        old, new = with_lanes(before), with_lanes(after)
        expect = restored(old)
        new.claim_lanes()
        for lane in range(before):
            name = account_in(old, lane)
            assert control_for(old, name) is None
            assert isinstance(commit(old, change(name, ledger=b"{}"), expect=expect), Loaded)
        restored(new)
        for lane in range(before):
            name = account_in(old, lane)
            assert control_for(old, name) is None
            assert isinstance(commit(old, change(name, ledger=b"{}"), expect=expect), Loaded)

    def test_keeps_the_stops(self, with_lanes, before, after):
        old, new = with_lanes(before), with_lanes(after)
        restored(old)
        old.set_stops([STOP])
        new.claim_lanes()
        assert new.stops()[1] == (STOP,)
        assert restored(new).stops == (STOP,)

    def test_can_read_all_journals(self, with_lanes, before, after):
        old, new = with_lanes(before), with_lanes(after)
        restored(old)
        for lane in range(before):
            commit(old, change(account_in(old, lane)), journal=(b"%d" % lane,))
        new.claim_lanes()
        assert new.journal_lanes() == max(before, after)
        for lane in range(before):
            assert new.journal_generation(lane) == old.journal_generation(lane)
            ((entry_id, entry),) = new.read_journal(lane, "0", 10)
            assert entry == b"%d" % lane
            new.trim_journal(lane, entry_id)
            assert new.journal_length(lane) == 0

    def test_finds_nothing_outdated_in_a_lane_that_was_left(self, with_lanes, before, after):
        old, new = with_lanes(before), with_lanes(after)
        moved = next(name for name in map(str, range(100)) if old.lane_of(name) != new.lane_of(name))
        restored(old)
        held = reservation("o", moved)
        commit(old, change(moved, state=b"{}", ledger=b"{}", add=(held,), answers={"o": ANSWER}))
        new.claim_lanes()
        found = view(old, moved, keys=("BTCUSDT",), order_ids=("o",))
        assert (found.version, found.ledger, found.own_bids) == (0, None, {})
        assert found.answers == {"o": ANSWER}
        assert (old.reservations(moved), old.account_ids()) == ((), ())


def test_a_claim_of_the_same_number_changes_nothing(with_lanes):
    store = with_lanes(2)
    control = restored(store)
    names = [account_in(store, lane) for lane in range(2)]
    for name in names:
        commit(store, change(name, ledger=b"{}"))
    store.claim_lanes()
    assert store.control() == control
    assert [view(store, name).version for name in names] == [1, 1]


def test_a_claim_has_one_name_until_another_number_is_claimed(with_lanes):
    one, two = with_lanes(1), with_lanes(2)
    first = one.claim_lanes()
    assert one.claim_lanes() == with_lanes(1).claim_lanes() == first
    other = two.claim_lanes()
    assert two.claim_lanes() == other != first
    assert one.claim_lanes() not in (first, other)


def test_a_claim_of_a_store_that_was_emptied_has_another_name(with_lanes, redis_server):
    store = with_lanes(2)
    before = store.claim_lanes()
    with redis_server.connect() as client:
        client.flushall()
    assert store.claim_lanes() != before


def test_what_is_no_control_does_not_stop_a_claim(with_lanes, redis_server):
    store = with_lanes(2)
    restored(store)
    with redis_server.connect() as client:
        client.set(prefix(0) + CONTROL, "a string")
        client.set(prefix(1) + CONTROL, "a string")
    assert store.claim_lanes()
    assert restored(store).stops == ()


def test_it_is_warned_of_another_number_and_of_journals_left_behind(with_lanes):
    old, new = with_lanes(2), with_lanes(1)
    restored(old)
    commit(old, change(account_in(old, 1)), journal=(b"1",))
    other, left = new.warnings()
    assert "RISK_LANES=2" in other
    assert "journal of lane 1" in left
    restored(new)
    assert new.warnings() == [left]
    new.trim_journal(1, new.read_journal(1, "0", 1)[0][0])
    assert new.warnings() == []
