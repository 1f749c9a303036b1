"""What runs by the clock."""

from __future__ import annotations

import logging

from celery import shared_task
from django.db import InterfaceError, OperationalError

from emergency.keeping import keep
from state.store import StateUnavailable
from state.wiring import store

logger = logging.getLogger(__name__)


@shared_task(name="emergency.keep_stops", ignore_result=True)
def keep_stops() -> None:
    """Record stops that are not recorded yet, and put right what differs between their flags and their record."""
    try:
        keep(store())
    except (StateUnavailable, OperationalError, InterfaceError) as error:
        logger.warning("flags and record of stops are not compared for now: %s", error)
