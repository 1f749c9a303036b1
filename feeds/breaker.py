"""A circuit breaker: whoever does not answer is left alone for a while, so that nobody waits for him in vain."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import IntEnum


class BreakerState(IntEnum):
    """CLOSED: calls are made. OPEN: none is. HALF_OPEN: one is on its way to see whether the others may follow."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class CircuitBreaker:
    """Admits calls until so many failed in a row, then none for a pause, then one; for threads.

    Parameters
    ----------
    failures
        How many in a row open it, 1 or more.
    pause_s
        How long it stays open before a call is tried, in seconds; and how long that call may stay out before another
        one is tried.
    changed
        Is told of every new state.
    clock
        Seconds that only go forward.
    """

    def __init__(
        self,
        *,
        failures: int,
        pause_s: float,
        changed: Callable[[BreakerState], object] = lambda _state: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._pause_s, self._changed, self._clock = failures, pause_s, changed, clock
        self._lock = threading.Lock()
        self._state = BreakerState.CLOSED
        self._failures = 0
        self._until_s = 0.0

    @property
    def state(self) -> BreakerState:
        """Return what it is now."""
        return self._state

    def admits(self) -> bool:
        """Return whether a call may be made; who is admitted says afterwards how it ended."""
        if self._state is BreakerState.CLOSED:
            return True
        with self._lock:
            return self._admits_one()

    def _admits_one(self) -> bool:
        if self._state is BreakerState.CLOSED:
            return True
        now_s = self._clock()
        if now_s < self._until_s:
            return False
        self._until_s = now_s + self._pause_s
        self._become(BreakerState.HALF_OPEN)
        return True

    def succeeded(self) -> None:
        """Take note of a call that was answered."""
        if self._state is BreakerState.CLOSED and not self._failures:
            return
        with self._lock:
            self._failures = 0
            self._become(BreakerState.CLOSED)

    def failed(self) -> None:
        """Take note of a call that was not."""
        with self._lock:
            self._failures += 1
            if self._state is BreakerState.HALF_OPEN or self._failures == self._most:
                self._until_s = self._clock() + self._pause_s
                self._become(BreakerState.OPEN)

    def _become(self, state: BreakerState) -> None:
        if state is not self._state:
            self._state = state
            self._changed(state)
