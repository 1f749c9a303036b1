"""What runs by the clock."""

from __future__ import annotations

import logging
from collections.abc import Callable

from celery import shared_task
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from reports import background, mailing, missing, schedules

logger = logging.getLogger(__name__)


@shared_task(name="reports.make", ignore_result=True)
def make_reports() -> None:
    """Begin the report that has waited longest; nothing while one is being made. Every second."""
    _try(lambda: background.run_next(timezone.now()), "no report is begun for now")


@shared_task(name="reports.send_scheduled", ignore_result=True)
def send_scheduled() -> None:
    """Ask for the reports that schedules want, send those that are made, tell of the others. Every minute."""
    _try(lambda: schedules.run_due(timezone.now()), "no scheduled report is asked for now")
    _try(lambda: mailing.send_due(timezone.now()), "no report is sent for now")
    _try(lambda: missing.look_at_schedules(timezone.now()), "nobody looks for missing reports for now")


@shared_task(name="reports.expire", ignore_result=True)
def expire_reports() -> None:
    """Remove the files of reports that are over their time. Every hour."""
    _try(lambda: background.expire(timezone.now()), "no report is removed for now")


def _try(do: Callable[[], object], failure: str) -> None:
    try:
        do()
    except (OperationalError, InterfaceError, OSError) as error:
        logger.warning("%s: %s", failure, error)
