"""Two shards, two beats and three workers: each shard is looked at once a second, and the firm is seen whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from monitoring.shards import Shard
from tests.e2e.installation import Production, production, wait_for
from tests.monitoring.test_processes import Cast, ask, episodes, feed

pytestmark = [pytest.mark.slow, pytest.mark.fault]

SHARDS = 2


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    data = tmp_path_factory.mktemp("production")
    settings = {"RISK_BREAKER_COUNT": "0", "RISK_RECOVERY_HOLD": "0s", "RISK_MONITOR_SHARDS": str(SHARDS)}
    with production(data, roles=("web", "asgi"), **settings) as made:
        yield made


def test_each_shard_is_looked_at_once_a_second_and_the_firm_is_the_sum_of_both(system: Production) -> None:
    accounts = [account_in(Shard(number, SHARDS)) for number in range(SHARDS)]
    for account_id in accounts:
        system.manage("create_account", account_id, "--profile", "aggressive")
        # 525,000 of the 500,000 that are allowed in BTCUSDT, and both together of the million that the firm may have.
        feed(system.wsgi, account_id, equity="200000", quantity="10.5")
    cast = Cast(system)
    cast.complete()
    try:
        seen = (*accounts, "")
        wait_for(lambda: all(longest(system, name) >= 6 for name in seen), what="six looks at each")
        for name in seen:
            for _name, observations, seconds, _over in episodes(system, name):
                # Looked at again after three fifths of a second at the earliest.
                assert 0.6 * (observations - 1) <= seconds
        assert ask(system.wsgi)["reason"] == "global_risk_critical"
    finally:
        cast.end()


def account_in(shard: Shard) -> str:
    """Return the name of an account that this shard has."""
    return next(name for number in range(100) if shard.has(name := f"sharded-{number}"))


def longest(system: Production, account_id: str) -> int:
    """Return how often the limit that is broken for longest was observed."""
    return max((row[1] for row in episodes(system, account_id)), default=0)
