"""Leases in this process: who alone does something, and until when."""

from __future__ import annotations

from collections.abc import Callable


class MemoryLeases:
    """Leases by name, each with its holder, its fencing token and its end. Not for threads by itself.

    Parameters
    ----------
    clock
        Returns the time in microseconds since the epoch.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[str, int, int]] = {}

    def hold(self, name: str, holder: str, life_us: int) -> int | None:
        """Take or renew a lease and return its token, None where another holds it (`state.store.Store.hold_lease`)."""
        now_us = self._clock()
        before, token, until_us = self._kept.get(name, ("", 0, 0))
        if until_us <= now_us:
            token = max(token + 1, now_us)
        elif before != holder:
            return None
        self._kept[name] = holder, token, now_us + life_us
        return token
