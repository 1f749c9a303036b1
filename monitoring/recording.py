"""Recording what looks have found, beside the looks themselves.

On the day on which ten thousand accounts break their limits, the database takes longer for one look than there is until
the next. Then looks go on, with all that they say and stop, and those in between are not recorded.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from django.db import connection

from monitoring.look import Look
from monitoring.metrics import UNRECORDED
from violations.observations import Observation
from violations.services import observe

logger = logging.getLogger(__name__)


class Recorder:
    """Records one look at a time, on a thread of its own.

    Parameters
    ----------
    patience_s
        How long a look waits until it is recorded, in seconds.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recorder")
        self._last: Future[None] | None = None

    def record(self, seen: Look, observations: Sequence[Observation]) -> None:
        """Record a look, unless one before it still is.

        Raises what `violations.services.observe` raises; whatever comes later than that is logged.
        """
        if self._last is not None and not self._last.done():
            UNRECORDED.inc()
            return
        self._last = self._thread.submit(_record, seen, observations)
        try:
            self._last.result(self._patience_s)
        except TimeoutError:
            self._last.add_done_callback(_log)


def _record(seen: Look, observations: Sequence[Observation]) -> None:
    try:
        observe(observations, seen.seen, seen.at)
    finally:
        connection.close()  # no request and no task ends here, which would


def _log(recorded: Future[None]) -> None:
    if (error := recorded.exception()) is not None:
        logger.error("what a look has found is not recorded: %s", error)
