"""What keys are used for: how often each was let in, and how often not, counted by the process that was asked.

What is counted is written every few seconds (api.key_use_records); while the database is away it goes on being counted,
and of a process that is killed the last seconds are lost.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from enum import StrEnum

_HOUR_NS = 3_600_000_000_000


class KeyOutcome(StrEnum):
    """What became of a request with a key: the names of the counts of a KeyUse."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    LIMITED = "limited"


# How often, by the key, the hour since the epoch, and what became of it.
Counted = Mapping[tuple[str, int, KeyOutcome], int]


class KeyUses:
    """The uses that a process has counted and not written yet. For any thread."""

    def __init__(self) -> None:
        self._counted: defaultdict[tuple[str, int, KeyOutcome], int] = defaultdict(int)
        self._lock = threading.Lock()

    def count(self, key_id: str, outcome: KeyOutcome) -> None:
        """Count a request with a key that there is."""
        with self._lock:
            self._counted[key_id, time.time_ns() // _HOUR_NS, outcome] += 1

    def take(self) -> Counted:
        """Return what was counted, and begin anew."""
        with self._lock:
            counted, self._counted = self._counted, defaultdict(int)
        return counted

    def put_back(self, counted: Counted) -> None:
        """Count again what was taken and could not be written."""
        with self._lock:
            for use, number in counted.items():
                self._counted[use] += number


USES = KeyUses()
