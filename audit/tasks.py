"""What runs by the clock."""

from __future__ import annotations

import logging

from celery import shared_task
from django.db import InterfaceError, OperationalError

from audit.drain import drain
from state.store import StateUnavailable
from state.wiring import store

logger = logging.getLogger(__name__)


@shared_task(name="audit.drain_journal", ignore_result=True)
def drain_journal() -> None:
    """Move the journal into the database. Every second: while either end is away, entries wait in the journal."""
    try:
        drain(store(), steadily=True)
    except (StateUnavailable, OperationalError, InterfaceError) as error:
        logger.warning("the journal is not drained for now: %s", error)
