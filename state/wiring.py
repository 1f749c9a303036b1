"""The process's stores, as the settings say: Redis at REDIS_URL, memory and a journal file without one."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from pathlib import Path

from django.conf import settings

from state.async_memory_store import AsyncMemoryStore
from state.journal_file import JournalFile
from state.memory_store import MemoryStore
from state.redis_store import AsyncRedisStore, RedisStore
from state.stop_file import StopFile
from state.store import AsyncStore, Store


class _Stores:
    """The stores of this process, each built when it is first asked for."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        # A fork may have copied the lock while another thread held it, so it is made anew as well.
        self._lock = threading.RLock()
        self._store: RedisStore | MemoryStore | None = None
        self._async: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncStore]
        self._async = weakref.WeakKeyDictionary()

    def for_threads(self) -> RedisStore | MemoryStore:
        with self._lock:
            if self._store is None:
                self._store = _new_store()
            return self._store

    def for_tasks(self, loop: asyncio.AbstractEventLoop) -> AsyncStore:
        with self._lock:
            known = self._async.get(loop)
            if known is None:
                store = self.for_threads()
                known = AsyncMemoryStore(store) if isinstance(store, MemoryStore) else _new_async_store()
                self._async[loop] = known
            return known


_stores = _Stores()


def store() -> Store:
    """Return the store of this process, for its threads."""
    return _stores.for_threads()


def async_store() -> AsyncStore:
    """Return the store of the running event loop, for its tasks."""
    return _stores.for_tasks(asyncio.get_running_loop())


def forget_stores() -> None:
    """Make the next call build the stores anew: in the child of a fork, and in tests that change settings."""
    _stores.forget()


def _new_store() -> RedisStore | MemoryStore:
    if url := settings.REDIS_URL:
        return RedisStore(url, lanes=settings.RISK_LANES, timeout_s=settings.RISK_REDIS_TIMEOUT.total_seconds())
    data = Path(settings.RISK_DATA_DIR)
    return MemoryStore(journal=JournalFile(data / "journal"), keeper=StopFile(data / "stops"))


def _new_async_store() -> AsyncRedisStore:
    timeout_s = settings.RISK_REDIS_TIMEOUT.total_seconds()
    return AsyncRedisStore(settings.REDIS_URL, lanes=settings.RISK_LANES, timeout_s=timeout_s)


# A child must not speak on its parent's connections.
os.register_at_fork(after_in_child=forget_stores)
