"""Who watches the monitor: a look at when it last looked, from processes that live when workers or beat do not.

Each web, ASGI and gateway process has one (`riskportal.beside`), and one of them tells what it sees.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from django.utils import timezone
from msgspec import Struct

from riskcore.book import PolicyType
from riskcore.calendar import moment
from riskcore.ports import Load
from state.store import StateUnavailable, Store
from violations.faults import SILENCE, fault, tell_faults
from violations.observations import Observation

PART = "system.monitor"
LEASE = "watch"

# For so long whoever tells may say nothing before another does, in microseconds.
_LEASE_US = 1_500_000

# So many times what is allowed a monitor may be silent that has not been seen at work yet.
_START = 3


class Outcome(StrEnum):
    """What was found. `elsewhere`: it is told by another process."""

    LOOKS = "looks"
    SILENT = "silent"
    ELSEWHERE = "elsewhere"


class _Seen(Struct, frozen=True):
    """For how long the monitor has been silent, when that was seen, and why nobody looks where that is known."""

    silent_s: float
    at: datetime
    why: str


class Watch:
    """Watches the monitor of a live state.

    Parameters
    ----------
    live
        The live state.
    allowed
        For how long the monitor may be silent.
    clock
        Returns a monotonic time in seconds.
    """

    def __init__(self, live: Store, allowed: timedelta, clock: Callable[[], float] = time.monotonic) -> None:
        self._live, self._clock = live, clock
        self._allowed_s = allowed.total_seconds()
        self._holder = uuid.uuid4().hex
        # What was before the watch began may be an installation that starts: its workers have time for that.
        self._looked_s = clock()
        self._starts_until_s = self._looked_s + _START * self._allowed_s
        self._token: int | None = None
        self._is_settled = False

    def look(self) -> Outcome:
        """Look when the monitor looked last; tell if that is too long ago, and when it is no more."""
        seen = self._see()
        is_silent = seen.silent_s > self._allowed_s and self._clock() > self._starts_until_s
        found = [self._silence(seen)] if is_silent else []
        if not self._is_ours():
            return Outcome.ELSEWHERE
        if found or not self._is_settled:
            self._is_settled = tell_faults(PART, found, seen.at) and not found
        return Outcome.SILENT if found else Outcome.LOOKS

    def _see(self) -> _Seen:
        now_s = self._clock()
        try:
            loaded = self._live.load(Load(accounts=()))
        except StateUnavailable:
            return _Seen(now_s - self._looked_s, timezone.now(), "the live state cannot be reached")
        if loaded.signal is not None:
            age_s = (loaded.now_us - loaded.signal.at_us) / 1_000_000
            self._looked_s = min(now_s, max(self._looked_s, now_s - age_s))
            if age_s <= self._allowed_s:
                self._starts_until_s = now_s
        why = "the live state is being restored" if loaded.control is None else ""
        return _Seen(now_s - self._looked_s, moment(loaded.now_us), why)

    def _is_ours(self) -> bool:
        """Return whether this process tells. One that begins to does not know what was told before."""
        try:
            token = self._live.hold_lease(LEASE, self._holder, _LEASE_US)
        except StateUnavailable:
            return True  # everybody tells; in the database it is one all the same
        if token != self._token:
            self._token, self._is_settled = token, False
        return token is not None

    def _silence(self, seen: _Seen) -> Observation:
        why = seen.why or "workers or beat are down, or do not get to it"
        return fault(
            PART,
            "looks",
            name="Monitor",
            level=PolicyType.EMERGENCY,
            metric=SILENCE,
            value=Decimal(round(seen.silent_s * 1000)) / 1000,
            threshold=Decimal(self._allowed_s),
            message=f"Nobody has looked at the accounts for {seen.silent_s:.1f} s: {why}."
            " No limit is watched and no stop engaged by itself until that is repaired.",
            at=seen.at,
        )
