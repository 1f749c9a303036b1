"""The memory store as tasks use it."""

from __future__ import annotations

from riskcore.ports import Commit, Committed, Load, Loaded
from state.memory_store import MemoryStore


class AsyncMemoryStore:
    """A MemoryStore as the tasks of an event loop use it: nothing in it takes long enough to wait for."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    @property
    def lanes(self) -> int:
        return self._store.lanes

    def lane_of(self, account_id: str) -> int:
        return self._store.lane_of(account_id)

    async def load(self, load: Load) -> Loaded:
        return self._store.load(load)

    async def commit(self, commit: Commit) -> Committed | Loaded:
        return self._store.commit(commit)

    async def fetch_book(self, version: int) -> bytes | None:
        return self._store.fetch_book(version)

    async def fetch_keys(self) -> bytes | None:
        return self._store.fetch_keys()

    async def ping(self) -> None:
        self._store.ping()

    async def close(self) -> None:
        """The store belongs to the process, which closes it."""
