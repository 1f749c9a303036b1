"""What runs by the clock."""

from __future__ import annotations

import logging
from collections.abc import Callable

from celery import shared_task
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from policies.book import ensure_published
from policies.preview.services import run_next
from policies.requests.publishing import publish_due
from state.store import StateUnavailable

logger = logging.getLogger(__name__)


@shared_task(name="policies.refresh_book", ignore_result=True)
def refresh_book() -> None:
    """Repair any difference between settings, book and live state, then publish the requests that are due."""
    _try(ensure_published, "the published book is not checked for now")
    _try(lambda: publish_due(timezone.now()), "what is due is not published for now")


@shared_task(name="policies.run_previews", ignore_result=True)
def run_previews() -> None:
    """Work out the previews that wait, one after the other; nothing while another process does it."""
    try:
        while run_next(timezone.now()):
            pass
    except (OperationalError, InterfaceError) as error:
        logger.warning("no preview is worked out for now: %s", error)


def _try(do: Callable[[], object], failure: str) -> None:
    try:
        do()
    except (StateUnavailable, OperationalError, InterfaceError) as error:
        logger.warning("%s: %s", failure, error)
