"""What runs by the clock."""

from __future__ import annotations

import logging
from datetime import timedelta

import msgspec
from celery import shared_task
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from audit.archive import MissingRows
from audit.drain import drain
from audit.heads import heads
from audit.retention import ArchiveFailed, do_archive
from bus import publish as bus
from bus.events import AuditHeads
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


@shared_task(name="audit.archive", ignore_result=True)
def archive() -> None:
    """Take evidence that is older than the settings keep into a file, and out of the database. Every hour."""
    if not settings.RISK_EVIDENCE_DAYS:
        return
    now = timezone.now()
    try:
        made = do_archive(
            actor="configuration",
            reason=f"RISK_EVIDENCE_DAYS is {settings.RISK_EVIDENCE_DAYS}",
            before=now - timedelta(days=settings.RISK_EVIDENCE_DAYS),
            now=now,
            directory=settings.RISK_ARCHIVE_DIR,
        )
    except (OperationalError, InterfaceError, OSError, ArchiveFailed, MissingRows) as error:
        logger.error("old evidence stays in the database for now: %s", error)
        return
    if made is not None:
        logger.info("%d rows of evidence went into %s", made.rows, made.name)


@shared_task(name="audit.tell_heads", ignore_result=True)
def tell_heads() -> None:
    """Say on NATS and in the log where the chains of evidence end. Every minute, whether they have moved or not."""
    try:
        now = heads()
    except (OperationalError, InterfaceError) as error:
        logger.warning("the ends of the chains of evidence are not told for now: %s", error)
        return
    bus.publish(AuditHeads(at=timezone.now(), **msgspec.structs.asdict(now)))
    logger.info("the chains of evidence end here", extra=msgspec.structs.asdict(now))
