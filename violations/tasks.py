"""What runs by the clock."""

from __future__ import annotations

import logging

from celery import shared_task
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from violations import blocks, breaker, outbox, retention, sealing

logger = logging.getLogger(__name__)

# Bounds one call, so that a worker with a long backlog still hears that it should stop.
_BATCHES = 20


@shared_task(name="violations.record_blocks", ignore_result=True)
def record_blocks() -> None:
    """Record the orders that were blocked, and engage what a breaker has tripped for. Every second."""
    try:
        for _ in range(_BATCHES):
            if blocks.record_blocks(timezone.now(), settings.RISK_ALERT_WINDOW) < blocks.BATCH:
                break
        breaker.engage_pending()
    except (OperationalError, InterfaceError) as error:
        logger.warning("blocked orders are not recorded as violations for now: %s", error)


@shared_task(name="violations.send_notifications", ignore_result=True)
def send_notifications() -> None:
    """Send what waits to be told of alerts. Every second."""
    try:
        outbox.send_waiting(timezone.now())
    except (OperationalError, InterfaceError) as error:
        logger.warning("alerts are not sent for now: %s", error)


@shared_task(name="violations.trim", ignore_result=True)
def trim() -> None:
    """Seal violations and alerts that are over, and remove those that are older than the settings keep. Every hour."""
    try:
        sealing.seal_what_is_over(timezone.now())
        gone = retention.trim(timezone.now(), days=settings.RISK_VIOLATION_HISTORY_DAYS)
    except (OperationalError, InterfaceError) as error:
        logger.warning("violations are not trimmed for now: %s", error)
        return
    if gone.violations or gone.alerts:
        logger.info("%d violations and %d alerts were removed for their age", gone.violations, gone.alerts)
