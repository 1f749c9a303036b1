"""What the doors have done in the last minute, by the difference of their counters."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from api.statistics import Counted, counted, percentile

_WINDOW_S = 60.0


class LastMinute:
    """Remembers what was counted at each look.

    Parameters
    ----------
    count
        Returns what was counted since the counters began.
    clock
        Seconds that only go forward.
    """

    def __init__(self, count: Callable[[], Counted] = counted, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._count, self._clock = count, clock
        self._looks: deque[tuple[float, Counted]] = deque()
        self.journal_lag_s: float | None = None

    def look(self) -> dict[str, Any]:
        """Return checks a second, approvals, blocks by reason and percentiles in microseconds; null without checks."""
        now_s, seen = self._clock(), self._count()
        self.journal_lag_s = seen.journal_lag_s
        if self._looks and seen.checked < self._looks[-1][1].checked:
            self._looks.clear()  # the doors were started anew
        self._looks.append((now_s, seen))
        while now_s - self._looks[0][0] > _WINDOW_S:
            self._looks.popleft()
        since_s, before = self._looks[0]
        return _between(before, seen, now_s - since_s)


def _between(before: Counted, after: Counted, seconds: float) -> dict[str, Any]:
    checked, approved = after.checked - before.checked, after.approved - before.approved
    buckets = {bound: count - before.buckets.get(bound, 0.0) for bound, count in after.buckets.items()}
    reasons = {name: count - before.by_reason.get(name, 0) for name, count in after.by_reason.items()}
    return {
        "per_s": round(checked / seconds, 1) if seconds else None,
        "approved": approved,
        "rejected": after.rejected - before.rejected,
        "approval_rate": round(approved / checked, 4) if checked else None,
        "p50_us": percentile(buckets, 0.5),
        "p99_us": percentile(buckets, 0.99),
        "by_reason": {name: count for name, count in sorted(reasons.items(), key=lambda one: -one[1]) if count},
    }
