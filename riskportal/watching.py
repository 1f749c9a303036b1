"""The watch over the monitor, as a thread of a process that lives when workers or beat do not."""

from __future__ import annotations

import logging
import threading

from django.conf import settings
from django.db import connections

from monitoring.watch import Outcome, Watch
from state.wiring import store

logger = logging.getLogger(__name__)

# Between two looks, in seconds: short enough that a silence is told within a second; while one lasts, as often as the
# monitor itself would look.
_PAUSE_S, _SILENT_PAUSE_S = 0.5, 1.0


class Watching:
    """A thread that watches the monitor, from `start` to `stop`."""

    def __init__(self) -> None:
        self._told = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more; what it is telling just now may end with the process."""
        self._told.set()
        self._thread.join(_PAUSE_S)

    def _run(self) -> None:
        watch = Watch(store(), settings.RISK_MONITOR_SILENCE)
        pause_s = _PAUSE_S
        while not self._told.wait(pause_s):
            try:
                pause_s = _SILENT_PAUSE_S if watch.look() is Outcome.SILENT else _PAUSE_S
            except Exception:  # whatever it is, somebody must go on watching
                logger.exception("the monitor was not looked at")
            finally:
                connections.close_all()
