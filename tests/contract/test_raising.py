"""A stop is put in force in every lane at once, beside those that are, unless one is that will do."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from riskcore.ports import Load, Stop, StopScope
from riskcore.types import TradingState
from state.redis_codec import encode_stops
from state.redis_scripts import FOLLOW_STOPS, SET_STOPS
from state.redis_store import RedisStore
from state.store import StateUnavailable
from state.trading_state import change_stops
from tests.contract.subjects import restored
from tests.contract.test_control import controls, in_threads
from tests.support.patience import REDIS_S

REDUCING = Stop(id="s1", scope=StopScope.ACCOUNT, scope_id='é"]', state=TradingState.REDUCING)
HALTED = replace(REDUCING, id="s2", state=TradingState.HALTED)
OTHER = Stop(id="s3", unwind=True)

NOTE = '{"é":1}'.encode()


def now_us(store) -> int:
    found: int = store.load(Load(accounts=())).now_us
    return found


class TestIsInForce:
    def test_in_every_lane_beside_those_that_are(self, store):
        restored(store)
        store.set_stops([OTHER])
        assert store.raise_stop(REDUCING, NOTE).stops == (OTHER, REDUCING)
        expected = store.control()
        assert expected.stops == (OTHER, REDUCING)
        assert controls(store) == [expected] * store.lanes

    def test_where_there_were_none(self, store):
        restored(store)
        assert store.raise_stop(REDUCING, NOTE).stops == (REDUCING,)
        assert store.control().stops == (REDUCING,)

    def test_with_its_note(self, store):
        store.raise_stop(REDUCING, NOTE)
        assert store.stop_notes() == {"s1": NOTE}

    def test_in_a_greater_epoch(self, store):
        epoch = restored(store).epoch
        store.raise_stop(REDUCING, NOTE)
        assert store.control().epoch > epoch

    def test_since_the_moment_that_is_told(self, store):
        restored(store)
        before = now_us(store)
        at_us = store.raise_stop(REDUCING, NOTE).at_us
        assert before <= at_us <= now_us(store)

    def test_however_many_are_raised_at_once(self, store):
        restored(store)
        stops = [Stop(id=f"s{number}") for number in range(8)]
        in_threads(lambda stop: store.raise_stop(stop, NOTE), stops)
        assert sorted(one.id for one in store.control().stops) == [stop.id for stop in stops]
        assert controls(store) == [store.control()] * store.lanes

    def test_before_a_restore_and_after_it(self, store):
        assert store.raise_stop(REDUCING, NOTE).stops == (REDUCING,)
        assert store.control() is None
        assert restored(store).stops == (REDUCING,)


class TestIsLeftOut:
    def test_where_it_is_in_force_already(self, store):
        restored(store)
        store.raise_stop(REDUCING, NOTE)
        seen = store.control()
        assert store.raise_stop(REDUCING, b"{}").stops == (REDUCING,)
        assert (store.control(), store.stop_notes()) == (seen, {"s1": NOTE})

    def test_where_one_is_enough(self, store):
        restored(store)
        store.set_stops([OTHER, HALTED])
        seen = store.control()
        assert store.raise_stop(REDUCING, NOTE, unless=(REDUCING, HALTED)).stops == (OTHER, HALTED)
        assert (store.control(), store.stop_notes()) == (seen, {})

    def test_where_one_of_several_raised_at_once_is_enough(self, store):
        restored(store)
        stops = [Stop(id=f"s{number}") for number in range(8)]
        in_threads(lambda stop: store.raise_stop(stop, NOTE, unless=(stop,)), stops)
        (left,) = store.control().stops
        assert store.stop_notes() == {left.id: NOTE}

    def test_but_not_where_that_one_is_ignored(self, store):
        restored(store)
        store.set_stops([HALTED])
        asked = {"unless": (HALTED,), "ignoring": ("s2",)}
        assert store.raise_stop(REDUCING, NOTE, **asked).stops == (HALTED, REDUCING)

    def test_but_not_where_the_one_in_force_is_elsewhere_or_less(self, store):
        restored(store)
        there = (REDUCING, replace(HALTED, scope_id="another"), replace(HALTED, id="s4", scope=StopScope.SYMBOL))
        store.set_stops(there)
        asked = replace(HALTED, id="s5")
        assert store.raise_stop(asked, NOTE, unless=(asked,)).stops == (*there, asked)


class TestLanes:
    def test_what_is_in_force_in_the_first_alone_is_driven_into_all(self, redis_store):
        restored(redis_store)
        redis_store._run(SET_STOPS, 0, (encode_stops([OTHER]), "", 0))
        redis_store.raise_stop(replace(OTHER, id="s9"), NOTE, unless=(OTHER,))
        assert [one.stops for one in controls(redis_store)] == [(OTHER,)] * redis_store.lanes

    def test_a_first_lane_whose_clock_is_behind_leads_all_the_same(self, redis_store):
        ahead = restored(redis_store).epoch * 2
        for lane in range(1, redis_store.lanes):
            redis_store._run(FOLLOW_STOPS, lane, (b"[]", ahead))
        redis_store.raise_stop(OTHER, NOTE)
        assert [one.stops for one in controls(redis_store)] == [(OTHER,)] * redis_store.lanes

    def test_those_of_another_number_are_reached_too(self, clean_redis):
        with_three, with_one = (RedisStore(clean_redis, lanes=lanes, timeout_s=REDIS_S) for lanes in (3, 1))
        restored(with_three)
        with_one.raise_stop(OTHER, NOTE)
        assert [one.stops for one in controls(with_three)] == [(OTHER,)] * 3


class TestStopsThatCannotBeRead:
    def test_may_have_been_any_so_nothing_is_approved_until_a_restore(self, redis_store):
        for spoilt in ("[1]", "{", "[", '{"a":[]}', "null"):
            control = restored(redis_store)
            assert control is not None
            redis_store._checks.execute("HSET", "risk:{L0}:control", "stops", spoilt)
            redis_store.raise_stop(OTHER, NOTE)
            assert redis_store.control() is None
            assert controls(redis_store) == [None] * redis_store.lanes
            assert OTHER in restored(redis_store).stops

    def test_nor_where_they_are_gone(self, redis_store):
        restored(redis_store)
        redis_store._checks.execute("HDEL", "risk:{L0}:control", "stops")
        redis_store.raise_stop(OTHER, NOTE)
        assert redis_store.control() is None

    @pytest.mark.parametrize("spoil", [("HSET", "stops", "[{"), ("HSET", "stops", ""), ("HDEL", "stops")], ids=str)
    def test_are_not_taken_for_none_by_whoever_takes_one_down(self, redis_store, spoil):
        restored(redis_store, stops=(OTHER, REDUCING))
        what, *field = spoil
        redis_store._checks.execute(what, "risk:{L0}:control", *field)
        seen = redis_store._control._fields(0)
        with pytest.raises(StateUnavailable, match="stops that cannot be read"):
            change_stops(redis_store, lambda now: tuple(stop for stop in now if stop != OTHER))
        assert redis_store._control._fields(0) == seen
        assert redis_store.control() is None


class TestTrips:
    def test_it_takes_one_with_one_lane_and_two_with_several_though_redis_is_new_to_it(self, redis_store, monkeypatch):
        restored(redis_store)
        redis_store._checks.execute("SCRIPT", "FLUSH")
        trips: list[str] = []

        def counted(exchange):
            def exchanged(*told):
                trips.append(exchange.__name__)
                return exchange(*told)

            return exchanged

        line = redis_store._checks
        for each in (line._exchange, line._exchange_all):
            monkeypatch.setattr(line, each.__name__, counted(each))
        redis_store.raise_stop(HALTED, NOTE, unless=(HALTED,))
        assert len(trips) == (1 if redis_store.lanes == 1 else 2)
