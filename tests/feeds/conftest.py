"""Both stores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from state.memory_store import MemoryStore
from state.redis_store import RedisStore
from state.store import Store
from tests.support.patience import REDIS_S


@pytest.fixture(params=["memory", "redis"])
def store(request) -> Iterator[Store]:
    """An empty store."""
    if request.param == "memory":
        yield MemoryStore()
        return
    found = RedisStore(request.getfixturevalue("clean_redis"), timeout_s=REDIS_S)
    yield found
    found.close()
