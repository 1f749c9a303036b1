"""Every test of the contract runs on each store in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from state.memory_store import MemoryStore
from state.redis_store import RedisStore
from tests.contract.subjects import AsyncDoor
from tests.support.patience import REDIS_S

ON_REDIS: dict[str, Callable[[str], RedisStore]] = {
    "redis": lambda url: RedisStore(url, timeout_s=REDIS_S),
    "redis-3-lanes": lambda url: RedisStore(url, lanes=3, timeout_s=REDIS_S),
    "async-redis": lambda url: AsyncDoor(url, lanes=1),
    "async-redis-3-lanes": lambda url: AsyncDoor(url, lanes=3),
}


@pytest.fixture(params=["memory", *ON_REDIS])
def store(request) -> Iterator[MemoryStore | RedisStore]:
    """An empty store."""
    if request.param == "memory":
        yield MemoryStore()
        return
    found = ON_REDIS[request.param](request.getfixturevalue("clean_redis"))
    yield found
    found.close()


@pytest.fixture(params=ON_REDIS)
def redis_store(request, clean_redis) -> Iterator[RedisStore]:
    """An empty store in Redis."""
    found = ON_REDIS[request.param](clean_redis)
    yield found
    found.close()
