"""What goes on beside the doors of a process: the watch over the monitor, and the use of keys that is written down."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections

from api.key_use_records import KEEP_S, keep_uses
from api.key_uses import USES
from feeds.seldom import Seldom
from monitoring.watch import Outcome, Watch
from state.wiring import store

logger = logging.getLogger(__name__)

# Between two looks, in seconds: short enough that a silence is told within a second; while one lasts, as often as the
# monitor itself would look.
_PAUSE_S, _SILENT_PAUSE_S = 0.5, 1.0

# How long a process that ends waits for what is told or written just now, in seconds.
_LAST_S = 1.0


class Beside:
    """Two threads, from `start` to `stop`: a process with doors lives when workers or beat do not."""

    def __init__(self) -> None:
        self._told = threading.Event()
        self._threads = [
            threading.Thread(target=self._watch_monitor, name="watch", daemon=True),
            threading.Thread(target=self._write_uses, name="key uses", daemon=True),
        ]

    def start(self) -> None:
        """Start both."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Watch no more, and write what keys were used for since it was written last."""
        self._told.set()
        for thread in self._threads:
            thread.join(_LAST_S)

    def _watch_monitor(self) -> None:
        watch = Watch(store(), settings.RISK_MONITOR_SILENCE)
        pause_s = _PAUSE_S
        while not self._told.wait(pause_s):
            with _going_on("the monitor was not looked at"):
                pause_s = _SILENT_PAUSE_S if watch.look() is Outcome.SILENT else _PAUSE_S

    def _write_uses(self) -> None:
        seldom = Seldom(logger)
        is_last = False
        while not is_last:
            is_last = self._told.wait(KEEP_S)
            with _going_on("the use of API keys was not written"):
                try:
                    keep_uses(USES)
                except (DatabaseError, InterfaceError) as error:
                    seldom.warn("the use of API keys is not written for now: %s", error)


@contextmanager
def _going_on(failure: str) -> Iterator[None]:
    """Log what goes wrong within the block, whatever it is: somebody must go on."""
    try:
        yield
    except Exception:
        logger.exception(failure)
    finally:
        connections.close_all()
