"""What runs by the clock."""

from __future__ import annotations

import logging

from celery import shared_task
from django.db import InterfaceError, OperationalError

from policies.book import ensure_published
from state.store import StateUnavailable

logger = logging.getLogger(__name__)


@shared_task(name="policies.refresh_book", ignore_result=True)
def refresh_book() -> None:
    """Repair any difference between the settings, the published book and the live state."""
    try:
        ensure_published()
    except (StateUnavailable, OperationalError, InterfaceError) as error:
        logger.warning("the published book is not checked for now: %s", error)
