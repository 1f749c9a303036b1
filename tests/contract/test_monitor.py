"""What the monitor needs of a store: one alone at a time, and its signal beside every account."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import redis

from riskcore.ports import Load
from riskcore.types import RiskLevel
from state.store import StateUnavailable
from tests.contract.subjects import query, restored

MINUTE_US = 60_000_000


def signals(store) -> list[Any]:
    """Return the signal that a check of each lane would see."""
    by_lane = {store.lane_of(name): name for name in map(str, range(50))}
    return [store.load(Load(accounts=(query(name),))).signal for name in by_lane.values()]


class TestSignal:
    def test_before_the_first_there_is_none(self, store):
        restored(store)
        assert signals(store) == [None] * store.lanes

    def test_every_lane_has_it_with_the_time_it_was_written(self, store):
        restored(store)
        before = store.load(Load(accounts=(query("A"),))).now_us
        assert store.put_signal(RiskLevel.CRITICAL, action_required=True, token=1)
        found = signals(store)
        assert len(found) == store.lanes
        for one in found:
            assert (one.risk_level, one.action_required) == (RiskLevel.CRITICAL, True)
            assert before <= one.at_us <= store.load(Load(accounts=(query("A"),))).now_us

    def test_who_comes_too_late_changes_nothing(self, store):
        assert store.put_signal(RiskLevel.CRITICAL, action_required=True, token=8)
        assert not store.put_signal(RiskLevel.INFO, action_required=False, token=7)
        assert {one.risk_level for one in signals(store)} == {RiskLevel.CRITICAL}
        assert store.put_signal(RiskLevel.INFO, action_required=False, token=8)
        assert {one.risk_level for one in signals(store)} == {RiskLevel.INFO}

    def test_one_that_cannot_be_read_is_no_signal_that_all_is_well(self, redis_store, clean_redis):
        restored(redis_store)
        assert redis_store.put_signal(RiskLevel.INFO, action_required=False, token=1)
        with redis.Redis.from_url(clean_redis) as client:
            for key in client.keys("risk:*:signal"):
                client.set(key, "1\nnonsense")
        with pytest.raises(StateUnavailable):
            redis_store.load(Load(accounts=(query("A"),)))


class TestFirmParts:
    def test_before_the_first_there_is_none(self, store):
        assert store.firm_parts() == {}
        assert store.firm_parts("1/2") == {}

    def test_a_part_is_kept_with_the_time_it_was_written(self, store):
        restored(store)
        before = store.load(Load(accounts=())).now_us
        assert store.put_firm_part("1/2", b'{"a":\n1}', token=1)
        ((at_us, content),) = store.firm_parts("1/2", "0/2").values()
        assert content == b'{"a":\n1}'
        assert before <= at_us <= store.load(Load(accounts=())).now_us

    def test_each_part_has_its_own_token(self, store):
        assert store.put_firm_part("0/2", b"one", token=8)
        assert store.put_firm_part("1/2", b"other", token=3)
        assert not store.put_firm_part("0/2", b"late", token=7)
        assert store.put_firm_part("0/2", b"again", token=8)
        assert {name: content for name, (_, content) in store.firm_parts().items()} == {
            "0/2": b"again",
            "1/2": b"other",
        }

    def test_one_that_cannot_be_read_is_said_so(self, redis_store, clean_redis):
        with redis.Redis.from_url(clean_redis) as client:
            client.hset("risk:{L0}:firm-parts", "0/2", "nonsense")
        with pytest.raises(StateUnavailable, match="cannot be read"):
            redis_store.firm_parts()


class TestLease:
    def test_one_holds_it_and_renews_it_under_the_same_token(self, store):
        token = store.hold_lease("tick", "one", MINUTE_US)
        assert token
        assert store.hold_lease("tick", "other", MINUTE_US) is None
        assert store.hold_lease("tick", "one", MINUTE_US) == token

    def test_leases_of_other_things_are_their_own(self, store):
        assert store.hold_lease("tick", "one", MINUTE_US)
        assert store.hold_lease("tock", "other", MINUTE_US)

    def test_one_that_ran_out_is_taken_under_a_greater_token(self, store):
        first = store.hold_lease("tick", "one", 1)
        second = store.hold_lease("tick", "other", MINUTE_US)
        assert second > first
        assert store.hold_lease("tick", "one", MINUTE_US) is None

    def test_who_comes_back_after_it_ran_out_has_a_greater_token_too(self, store):
        first = store.hold_lease("tick", "one", 1)
        assert store.hold_lease("tick", "one", MINUTE_US) > first

    def test_of_many_at_once_one_gets_it(self, store):
        got = []
        threads = [
            threading.Thread(target=lambda name=name: got.append(store.hold_lease("tick", name, MINUTE_US)))
            for name in map(str, range(16))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len([token for token in got if token is not None]) == 1

    def test_tokens_grow_over_the_loss_of_all_memory(self, redis_store, clean_redis):
        before = redis_store.hold_lease("tick", "one", MINUTE_US)
        with redis.Redis.from_url(clean_redis) as client:
            client.flushall()
        assert redis_store.hold_lease("tick", "other", MINUTE_US) > before
