"""Many accounts are read in loads of bounded size, beside which checks go on, each of one lane."""

from __future__ import annotations

from itertools import chain

from riskcore.ports import AccountQuery
from state.many import load_many
from state.redis_store import RedisStore
from tests.support.patience import REDIS_S


def test_every_account_is_loaded_once_whatever_its_lane(clean_redis):
    store = RedisStore(clean_redis, lanes=3, timeout_s=REDIS_S)
    account_ids = [f"account-{number}" for number in range(450)]
    loads = list(load_many(store, (AccountQuery(account_id=each) for each in account_ids)))
    store.close()
    loaded = [[view.account_id for view in each.accounts] for each in loads]
    assert sorted(chain.from_iterable(loaded)) == sorted(account_ids)
    assert {len({store.lane_of(account_id) for account_id in each}) for each in loaded} == {1}
    assert max(map(len, loaded)) == 25
