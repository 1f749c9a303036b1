"""Something that takes long to work out and is good for a while, however many ask for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from state.store import Store

Found = TypeVar("Found")


class Lasting(Generic[Found]):
    """What a look at a store finds, worked out by one at a time and kept for some seconds."""

    def __init__(self, look: Callable[[Store], Found], life_s: float) -> None:
        self._look, self._life_s = look, life_s
        self._lock = threading.Lock()
        self._last: tuple[Store, float, Found] | None = None

    def __call__(self, store: Store) -> Found:
        """Return what was found, not longer ago than its life. Raises what the look raises."""
        with self._lock:
            now = time.monotonic()
            if self._last is None or self._last[0] is not store or now - self._last[1] > self._life_s:
                self._last = (store, now, self._look(store))
            return self._last[2]
