"""Where a store in memory keeps its journal and stops: on disk (journal_file, stop_file), or while it lives."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from riskcore.ports import Stop


class Journal(Protocol):
    """Where a MemoryStore keeps its journal: JournalFile, or memory."""

    @property
    def generation(self) -> str: ...

    def append(self, entries: Sequence[bytes]) -> None: ...

    def read(self, after: int, count: int) -> list[tuple[int, bytes]]: ...

    def begin_sync(self) -> Callable[[], None]: ...

    def trim(self, through: int) -> None: ...

    def __len__(self) -> int: ...

    def close(self) -> None: ...


class MemoryJournal:
    """A journal that ends with its process."""

    def __init__(self) -> None:
        self.generation = uuid.uuid4().hex
        self._first_id = 1
        self._entries: list[bytes] = []

    def append(self, entries: Sequence[bytes]) -> None:
        self._entries += entries

    def read(self, after: int, count: int) -> list[tuple[int, bytes]]:
        start = max(after + 1 - self._first_id, 0)
        return list(enumerate(self._entries[start : start + count], self._first_id + start))

    def begin_sync(self) -> Callable[[], None]:
        return _nothing

    def trim(self, through: int) -> None:
        done = min(max(through + 1 - self._first_id, 0), len(self._entries))
        del self._entries[:done]
        self._first_id += done

    def __len__(self) -> int:
        return len(self._entries)

    def close(self) -> None:
        """Nothing is held."""


class StopKeeper(Protocol):
    """Where a MemoryStore keeps its stops and their notes beyond its process: StopFile, or nowhere."""

    def load(self) -> tuple[tuple[Stop, ...], dict[str, bytes]]: ...

    def save(self, stops: Sequence[Stop], notes: Mapping[str, bytes]) -> None: ...

    def close(self) -> None: ...


class NoStopKeeper:
    """Stops that end with their process."""

    def load(self) -> tuple[tuple[Stop, ...], dict[str, bytes]]:
        return (), {}

    def save(self, stops: Sequence[Stop], notes: Mapping[str, bytes]) -> None:
        """Nothing outlives the process."""

    def close(self) -> None:
        """Nothing is held."""


def _nothing() -> None:
    """Memory has no disk to wait for."""
