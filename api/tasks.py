"""What runs by the clock."""

from __future__ import annotations

import logging

from celery import shared_task
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from api.key_use_records import record_uses
from api.keys import publish_keys
from state.store import StateUnavailable
from state.wiring import store

logger = logging.getLogger(__name__)


@shared_task(name="api.publish_keys", ignore_result=True)
def publish() -> None:
    """Repair any difference between the keys in the database and those that doors admit. Every second."""
    try:
        if publish_keys(store()):
            logger.info("the API keys are published")
    except (StateUnavailable, OperationalError, InterfaceError) as error:
        logger.warning("the API keys are not published for now: %s", error)


@shared_task(name="api.record_key_uses", ignore_result=True)
def record() -> None:
    """Put on record what keys were used for in the hours that are over. Every minute."""
    try:
        record_uses(timezone.now())
    except (OperationalError, InterfaceError) as error:
        logger.warning("the use of API keys is not put on record for now: %s", error)
