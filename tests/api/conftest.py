"""Both stores and all doors; every test of a door runs on each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from feeds.books import BOOKS
from state.async_memory_store import AsyncMemoryStore
from state.memory_store import MemoryStore
from state.redis_store import AsyncRedisStore, RedisStore
from state.store import StateUnavailable, Store
from state.wiring import forget_stores
from state.wiring import store as wired_store
from tests.api.nats_door import NatsDoor
from tests.api.world import AsgiDoor, Door, WsgiDoor, fill


@pytest.fixture(params=["redis", "memory"])
def store(request, settings, tmp_path) -> Iterator[Store]:
    """The store of this process, empty."""
    if request.param == "redis":
        settings.REDIS_URL = request.getfixturevalue("clean_redis")
    else:
        settings.REDIS_URL, settings.RISK_DATA_DIR = "", tmp_path
    forget_stores()
    BOOKS.forget()
    found = wired_store()
    yield found
    found.close()
    forget_stores()
    BOOKS.forget()


@pytest.fixture
def ready(store: Store) -> Store:
    """A store on which orders are approved."""
    fill(store)
    return store


@pytest.fixture(params=["wsgi", "asgi"])
def http_door(request, store: Store) -> Iterator[Door]:
    """A door to the store, for what is HTTP's own."""
    yield from _door(request, store)


@pytest.fixture(params=["wsgi", "asgi", "nats"])
def door(request, store: Store) -> Iterator[Door]:
    """A door to the store."""
    yield from _door(request, store)


def _door(request: pytest.FixtureRequest, store: Store) -> Iterator[Door]:
    if request.param == "wsgi":
        yield WsgiDoor()
        return
    found = AsgiDoor() if request.param == "asgi" else NatsDoor(request.getfixturevalue("nats_server").url)
    yield found
    found.close()


@pytest.fixture
def away(monkeypatch):
    """Call it, and the live state cannot be reached; named methods only, or all that doors use."""

    def go(*methods: str) -> None:
        async def refuse_later(*_args: object, **_named: object) -> None:
            raise StateUnavailable("connection refused")

        def refuse(*_args: object, **_named: object) -> None:
            raise StateUnavailable("connection refused")

        for name in methods or ("load", "commit", "control", "fetch_keys", "fetch_book", "ping"):
            for kind in (MemoryStore, RedisStore):
                monkeypatch.setattr(kind, name, refuse)
            for async_kind in (AsyncMemoryStore, AsyncRedisStore):
                monkeypatch.setattr(async_kind, name, refuse_later, raising=False)

    return go
