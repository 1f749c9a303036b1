"""How often a key may ask: a token bucket for each, in each process by itself."""

from __future__ import annotations

import time


class RateLimits:
    """Token buckets by key; each holds one second's requests, so that a burst of as many is let through.

    Every process counts for itself: with n processes behind one address a key may ask up to n times as often.
    Exact enough for what the limit is for, which is to keep one client from starving the others.
    """

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key_id: str, per_second: int) -> bool:
        """Return whether the key may ask now, and count it if so."""
        now = time.monotonic()
        tokens, counted_at = self._buckets.get(key_id, (float(per_second), now))
        tokens = min(float(per_second), tokens + (now - counted_at) * per_second)
        allowed = tokens >= 1.0
        self._buckets[key_id] = (tokens - 1.0 if allowed else tokens, now)
        return allowed
