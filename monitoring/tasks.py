"""What runs by the clock."""

from __future__ import annotations

import logging
import threading

from celery import shared_task
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from feeds.books import BOOKS
from monitoring.leases import look_at_leases
from monitoring.rollouts import look_at_rollouts
from monitoring.shards import Shard
from monitoring.tick import Monitor
from monitoring.unfinished import look_at_stops
from state.store import StateUnavailable
from state.wiring import store

logger = logging.getLogger(__name__)

_making = threading.Lock()
_monitors: dict[Shard, Monitor] = {}


def monitor(shard: Shard) -> Monitor:
    """Return the monitor of a shard in this process, made when it is first asked for."""
    with _making:
        if shard not in _monitors:
            _monitors[shard] = Monitor(store(), BOOKS, settings.RISK_MONITOR_INTERVAL, shard=shard)
        return _monitors[shard]


@shared_task(name="monitoring.tick", ignore_result=True)
def tick(number: int = 0, of: int = 1) -> None:
    """Look at every account, or a shard of them, and act on what is found. Every second."""
    try:
        monitor(Shard(number, of)).tick()
    except (StateUnavailable, OperationalError, InterfaceError) as error:
        logger.warning("the accounts are not watched for now: %s", error)


@shared_task(name="monitoring.check_leases", ignore_result=True)
def check_leases() -> None:
    """Look who of those that hold a lease is silent. Every second."""
    try:
        look_at_leases(store())
    except (StateUnavailable, OperationalError, InterfaceError) as error:
        logger.warning("nobody looks for silent OMSs for now: %s", error)


@shared_task(name="monitoring.check_stops", ignore_result=True)
def check_stops() -> None:
    """Look which stops were given up before they were completed. Every 5 seconds."""
    try:
        look_at_stops(timezone.now())
    except (OperationalError, InterfaceError) as error:
        logger.warning("nobody looks for unfinished stops for now: %s", error)


@shared_task(name="monitoring.check_rollouts", ignore_result=True)
def check_rollouts() -> None:
    """Pause the rollouts that regress. Every minute."""
    try:
        look_at_rollouts(timezone.now())
    except (StateUnavailable, OperationalError, InterfaceError) as error:
        logger.warning("nobody compares rollouts for now: %s", error)
