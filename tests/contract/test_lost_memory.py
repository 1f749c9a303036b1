"""What is missing or unreadable in Redis: nothing is approved on it, and a restore brings it back."""

from __future__ import annotations

import pytest

from riskcore.ports import Committed, Load, Loaded, Stop
from state import keys
from state.store import ANSWER_LIFE_S, StateUnavailable
from tests.contract.subjects import ANSWER, change, commit, query, reservation, restored, view

ALPHA = "account-0"


@pytest.fixture
def redis(redis_server):
    """A plain client of the server, which everybody may have."""
    with redis_server.connect() as client:
        yield client


@pytest.fixture
def prefix(redis_store) -> str:
    """The prefix of the lane of the account."""
    return keys.prefix(redis_store.lane_of(ALPHA))


def control_of_the_lane(store):
    return store.load(Load(accounts=(query(ALPHA),))).control


class TestControl:
    @pytest.mark.parametrize(
        "spoil",
        [
            lambda redis, key: redis.delete(key),
            lambda redis, key: redis.flushall(),
            lambda redis, key: redis.hdel(key, "generation"),
            lambda redis, key: redis.hdel(key, "epoch"),
            lambda redis, key: redis.hdel(key, "book"),
            lambda redis, key: redis.hdel(key, "stops"),
            lambda redis, key: redis.hdel(key, "lanes"),
            lambda redis, key: redis.hset(key, "lanes", 7),
            lambda redis, key: redis.hset(key, "generation", ""),
            lambda redis, key: redis.hset(key, "epoch", "many"),
            lambda redis, key: redis.hset(key, "book", "-1"),
            lambda redis, key: redis.hset(key, "book", "1.0"),
            lambda redis, key: redis.hset(key, "stops", "[{"),
            lambda redis, key: redis.hset(key, "stops", '[{"id":"s","state":"PAUSED"}]'),
            lambda redis, key: [redis.delete(key), redis.set(key, "a string")],
        ],
        ids=[
            "deleted",
            "flushed",
            "no generation",
            "no epoch",
            "no book",
            "no stops",
            "no lanes",
            "of another number of lanes",
            "empty generation",
            "epoch no number",
            "book below 0",
            "book a fraction",
            "stops no JSON",
            "stops of an unknown state",
            "another type",
        ],
    )
    def test_an_unreadable_control_is_none_until_a_restore(self, redis_store, redis, prefix, spoil):
        expect = restored(redis_store, stops=(Stop(id="s"),))
        spoil(redis, prefix + keys.CONTROL)
        assert control_of_the_lane(redis_store) is None
        assert redis_store.control() is None
        control = restored(redis_store, stops=(Stop(id="s"),))
        assert control_of_the_lane(redis_store) == control
        assert control.epoch > expect.epoch
        assert control.stops == (Stop(id="s"),)

    @pytest.mark.parametrize("field", ["generation", "epoch", "book", "stops", "lanes"])
    def test_a_commit_that_expects_a_control_is_refused_without_one(self, redis_store, redis, prefix, field):
        expect = restored(redis_store)
        redis.hdel(prefix + keys.CONTROL, field)
        reply = commit(redis_store, change(ALPHA, ledger=b"{}"), expect=expect)
        assert isinstance(reply, Loaded)
        assert reply.control is None
        assert view(redis_store, ALPHA).version == 0

    def test_lanes_that_differ_are_no_control_until_a_restore(self, redis_store, redis, prefix):
        before = restored(redis_store)
        redis.hset(prefix + keys.CONTROL, "epoch", before.epoch - 1)
        agreed = redis_store.control()
        assert agreed is None if redis_store.lanes > 1 else agreed.epoch == before.epoch - 1
        assert restored(redis_store).epoch > before.epoch

    def test_a_stop_reaches_a_lane_whose_epoch_is_ahead(self, redis_store, redis):
        before = restored(redis_store)
        ahead = before.epoch + 3_600_000_000
        redis.hset(keys.prefix(redis_store.lanes - 1) + keys.CONTROL, "epoch", ahead)
        epoch = redis_store.set_stops([Stop(id="s")])
        assert epoch > ahead
        assert redis_store.control().stops == (Stop(id="s"),)

    def test_a_restore_has_a_greater_epoch_than_any_that_it_finds(self, redis_store, redis):
        ahead = restored(redis_store).epoch + 3_600_000_000
        redis.hset(keys.prefix(redis_store.lanes - 1) + keys.CONTROL, "epoch", ahead)
        assert restored(redis_store).epoch > ahead

    def test_a_stop_in_an_emptied_store_has_a_greater_epoch_than_any_before(self, redis_store, redis):
        before = restored(redis_store).epoch
        redis.flushall()
        assert redis_store.set_stops([Stop(id="s")]) > before

    def test_a_first_lane_that_lost_its_stops_gets_them_from_the_others(self, redis_store, redis):
        restored(redis_store)
        redis_store.set_stops([Stop(id="s")])
        redis.delete(keys.prefix(0) + keys.CONTROL)
        stops = restored(redis_store).stops
        assert stops == ((Stop(id="s"),) if redis_store.lanes > 1 else ())


class TestRecords:
    @pytest.fixture(autouse=True)
    def written(self, redis_store):
        restored(redis_store)
        over, alive = reservation("over", expires_at_us=5), reservation("alive")
        what = change(ALPHA, state=b"{}", symbols=("BTCUSDT",), add=(over, alive), answers={"o": ANSWER})
        commit(redis_store, what)
        redis_store.put_prices({"BTCUSDT": ("1", 5)})

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda redis, prefix: redis.hset(f"{prefix}account:{ALPHA}", "version", "one"),
            lambda redis, prefix: redis.hset(f"{prefix}account:{ALPHA}", "version", "-1"),
            lambda redis, prefix: redis.hdel(f"{prefix}account:{ALPHA}", "version"),
            lambda redis, prefix: [
                redis.delete(f"{prefix}account:{ALPHA}"),
                redis.set(f"{prefix}account:{ALPHA}", "a string"),
            ],
            lambda redis, prefix: redis.set(f"{prefix}answer:9:{ALPHA}:o", "no fingerprint"),
            lambda redis, prefix: redis.hset(f"{prefix}reservations:{ALPHA}", "over", "{}"),
            lambda redis, prefix: redis.hdel(f"{prefix}reservations:{ALPHA}", "over"),
            lambda redis, prefix: redis.zadd(f"{prefix}own:9:{ALPHA}:B:BTCUSDT", {"zz": 0}),
            lambda redis, prefix: redis.hset(f"{prefix}prices", "BTCUSDT", "cheap"),
        ],
        ids=[
            "version no number",
            "version below 0",
            "no version",
            "account of another type",
            "answer without fingerprint",
            "expired reservation unreadable",
            "expired reservation missing",
            "own price unreadable",
            "price unreadable",
        ],
    )
    def test_an_unreadable_record_makes_the_state_unavailable(self, redis_store, redis, prefix, spoil):
        spoil(redis, prefix)
        with pytest.raises(StateUnavailable):
            view(redis_store, ALPHA, order_ids=("o",), keys=("BTCUSDT",))

    def test_a_missing_price_is_not_known(self, redis_store, redis, prefix):
        redis.hdel(f"{prefix}prices", "BTCUSDT")
        assert view(redis_store, ALPHA).prices == {}

    def test_an_unreadable_price_is_replaced_by_the_next(self, redis_store, redis, prefix):
        redis.hset(f"{prefix}prices", "BTCUSDT", "cheap")
        assert redis_store.put_prices({"BTCUSDT": ("2", 1)}) == 1
        assert str(view(redis_store, ALPHA).prices["BTCUSDT"].price) == "2"

    def test_an_account_is_gone_with_its_record(self, redis_store, redis, prefix):
        redis.flushall()
        found = view(redis_store, ALPHA, order_ids=("o",), keys=("BTCUSDT",))
        assert (found.version, found.state, found.answers, found.own_bids) == (0, None, {}, {})


def test_an_answer_is_kept_for_a_day(redis_store, redis, prefix):
    commit(redis_store, change(ALPHA, answers={"o": ANSWER}))
    left_s = redis.ttl(f"{prefix}answer:{len(ALPHA)}:{ALPHA}:o")
    assert ANSWER_LIFE_S - 60 < left_s <= ANSWER_LIFE_S


def test_every_key_is_in_the_lane_of_its_account(redis_store, redis, prefix):
    restored(redis_store)
    before = set(redis.keys("*"))
    what = change(ALPHA, state=b"{}", ledger=b"{}", add=(reservation("o"),), answers={"o": ANSWER})
    commit(redis_store, what, journal=(b"entry",))
    added = set(redis.keys("*")) - before
    assert len(added) == 7
    assert all(key.startswith(prefix) for key in added)


class TestJournal:
    def test_a_lost_journal_has_another_generation(self, redis_store, redis):
        lane = redis_store.lane_of(ALPHA)
        commit(redis_store, change(ALPHA), journal=(b"1",))
        before = redis_store.journal_generation(lane)
        redis.flushall()
        commit(redis_store, change(ALPHA), journal=(b"2",))
        assert redis_store.journal_generation(lane) != before
        assert [entry for _, entry in redis_store.read_journal(lane, "0", 10)] == [b"2"]

    def test_the_generation_of_a_journal_is_the_same_for_everybody(self, redis_store):
        found = {redis_store.journal_generation(0) for _ in range(3)}
        assert len(found) == 1


def test_scripts_that_redis_forgot_are_sent_again(redis_store, redis):
    control = restored(redis_store)
    redis.script_flush()
    assert commit(redis_store, change(ALPHA, ledger=b"{}"), expect=control) == Committed()
    redis.script_flush()
    assert view(redis_store, ALPHA).version == 1


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [("maxmemory-policy", "allkeys-lru", "evicts"), ("appendonly", "no", "append-only")],
)
def test_a_redis_that_may_forget_is_warned_of(redis_store, redis, name, value, word):
    before = redis.config_get(name)[name]
    redis.config_set(name, value)
    try:
        (warning,) = redis_store.warnings()
    finally:
        redis.config_set(name, before)
    assert word in warning


def test_a_full_redis_writes_nothing_of_a_commit(redis_store, redis):
    control = restored(redis_store)
    redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(StateUnavailable):
            commit(
                redis_store,
                change(ALPHA, ledger=b"{}", answers={"o": ANSWER}),
                expect=control,
                journal=(b"1",),
            )
    finally:
        redis.config_set("maxmemory", "0")
    assert view(redis_store, ALPHA, order_ids=("o",)).answers == {}
    assert view(redis_store, ALPHA).version == 0
