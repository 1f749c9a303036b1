"""The Celery worker's side of the broker, made to come back at once after an outage."""

from __future__ import annotations

import logging
import time
from typing import Any

from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown

logger = logging.getLogger(__name__)

# Between two tries to reach the broker, for as long as it takes.
RECONNECT_S = 1.0
_TELL_EVERY_S = 30.0


class PromptConsumer(Consumer):
    """Looks for the broker every second: Celery's own waits grow to half a minute, while trading is blocked."""

    _told_at = -_TELL_EVERY_S

    def ensure_connected(self, conn: Any) -> Any:
        conn.ensure_connection(
            self._tell,
            None,
            interval_start=RECONNECT_S,
            interval_step=0,
            interval_max=RECONNECT_S,
            callback=maybe_shutdown,
        )
        self.first_connection_attempt = False
        self.broker_connection_retry_attempt = 0
        return conn

    def _tell(self, error: Exception, _interval: float) -> None:
        if time.monotonic() - self._told_at >= _TELL_EVERY_S:
            self._told_at = time.monotonic()
            logger.warning("the broker cannot be reached; trying every second: %s", error)
