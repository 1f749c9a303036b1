"""What runs by the clock."""

from __future__ import annotations

import contextlib
import logging

from celery import shared_task
from django.db import InterfaceError, OperationalError

from riskportal.restore import CannotRestore, keep_remembering, restore_if_empty
from state.store import StateUnavailable
from state.wiring import store

logger = logging.getLogger(__name__)


@shared_task(name="riskportal.restore_if_empty", ignore_result=True)
def restore() -> None:
    """Give the live state its memory back where it has lost it. Every second: meanwhile all orders are blocked."""
    try:
        restore_if_empty(store())
    except (StateUnavailable, CannotRestore, OperationalError, InterfaceError) as error:
        logger.warning("the live state is not restored for now: %s", error)
        return
    # What is left for later can wait for the database, of whose absence others tell.
    with contextlib.suppress(StateUnavailable, OperationalError, InterfaceError):
        keep_remembering(store())
