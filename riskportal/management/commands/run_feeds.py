"""run_feeds: what listens to the feeds on NATS, in the foreground."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = (
        "Listens to the feeds on NATS (market.tick.*, fills.confirmed, positions.update, pnl.update, orders.closed) "
        "until it is told to end. The same as: python -m riskportal.serve feeds"
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.EMBEDDED:
            raise CommandError("REDIS_URL is not set: an embedded process keeps its live state to itself")
        if not settings.NATS_URL:
            raise CommandError("NATS_URL is not set, and the feeds come over NATS alone")
        # In the place of this process, which has loaded its metrics before it could be told where they are kept.
        os.chdir(settings.BASE_DIR)
        os.execv(sys.executable, [sys.executable, "-m", "riskportal.serve", "feeds"])  # noqa: S606 - no shell wanted
