"""What runs by the clock."""

from __future__ import annotations

import logging

from celery import shared_task
from django.db import InterfaceError, OperationalError

from feeds import apply
from state.store import StateUnavailable
from state.wiring import store

logger = logging.getLogger(__name__)


@shared_task(name="feeds.keep_baselines", ignore_result=True)
def keep_baselines() -> None:
    """Keep every account's peak and start equities. Every 30 seconds: so much of them may be lost with the state."""
    try:
        apply.keep_baselines(store())
    except (StateUnavailable, OperationalError, InterfaceError) as error:
        logger.warning("baselines are not kept for now: %s", error)
