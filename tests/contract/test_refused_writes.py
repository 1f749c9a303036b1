"""Redis does not undo what a script wrote before an error: a commit finds out before it writes."""

from __future__ import annotations

import pytest

from riskcore.ports import Committed
from state import keys
from state.store import StateUnavailable
from tests.contract.subjects import ANSWER, change, commit, reservation, restored


class TestWhatCannotBeWritten:
    """Redis does not undo what a script wrote before an error: the script finds out before it writes."""

    NAME = "account-0"

    @pytest.fixture
    def redis(self, redis_server):
        with redis_server.connect() as client:
            yield client

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda redis, prefix: redis.set(f"{prefix}journal", "a string"),
            lambda redis, prefix: redis.xadd(f"{prefix}journal", {"d": "x"}, id=f"{2**64 - 1}-{2**64 - 1}"),
            lambda redis, prefix: redis.set(f"{prefix}accounts", "a string"),
            lambda redis, prefix: redis.set(f"{prefix}reservations:account-0", "a string"),
            lambda redis, prefix: redis.set(f"{prefix}expiry:account-0", "a string"),
            lambda redis, prefix: redis.set(f"{prefix}own:9:account-0:B:BTCUSDT", "a string"),
        ],
        ids=["journal", "journal out of ids", "accounts", "reservations", "expiry", "own"],
    )
    def test_nothing_of_a_commit_is_written(self, redis_store, redis, spoil):
        control = restored(redis_store)
        prefix = keys.prefix(redis_store.lane_of(self.NAME))
        spoil(redis, prefix)
        before = {key: redis.dump(key) for key in redis.keys("*")}
        what = change(self.NAME, state=b"{}", ledger=b"{}", add=(reservation("o"),), answers={"o": ANSWER})
        with pytest.raises(StateUnavailable):
            commit(redis_store, what, expect=control, journal=(b"1",))
        assert {key: redis.dump(key) for key in redis.keys("*")} == before

    def test_it_is_once_it_can_be(self, redis_store, redis):
        control = restored(redis_store)
        key = keys.prefix(redis_store.lane_of(self.NAME)) + keys.JOURNAL
        redis.set(key, "a string")
        what = change(self.NAME, ledger=b"{}", answers={"o": ANSWER})
        with pytest.raises(StateUnavailable):
            commit(redis_store, what, expect=control, journal=(b"1",))
        redis.delete(key)
        assert commit(redis_store, what, expect=control, journal=(b"1",)) == Committed()
        assert [entry for _, entry in redis_store.read_journal(redis_store.lane_of(self.NAME), "0", 9)] == [b"1"]
