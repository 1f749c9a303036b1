"""What runs by the clock."""

from __future__ import annotations

import logging
import threading

from celery import shared_task
from django.conf import settings
from django.db import InterfaceError, OperationalError

from feeds.books import BOOKS
from monitoring.leases import look_at_leases
from monitoring.tick import Monitor
from state.store import StateUnavailable
from state.wiring import store

logger = logging.getLogger(__name__)

_making = threading.Lock()
_monitor: Monitor | None = None


def monitor() -> Monitor:
    """Return the monitor of this process."""
    global _monitor  # noqa: PLW0603 - one for the process, made when it is first asked for
    with _making:
        if _monitor is None:
            _monitor = Monitor(store(), BOOKS, settings.RISK_MONITOR_INTERVAL)
        return _monitor


@shared_task(name="monitoring.tick", ignore_result=True)
def tick() -> None:
    """Look at every account and act on what is found. Every second."""
    try:
        monitor().tick()
    except (StateUnavailable, OperationalError, InterfaceError) as error:
        logger.warning("the accounts are not watched for now: %s", error)


@shared_task(name="monitoring.check_leases", ignore_result=True)
def check_leases() -> None:
    """Look who of those that hold a lease is silent. Every second."""
    try:
        look_at_leases(store())
    except (StateUnavailable, OperationalError, InterfaceError) as error:
        logger.warning("nobody looks for silent OMSs for now: %s", error)
