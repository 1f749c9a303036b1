"""archive_evidence: take old evidence out of the database, into files."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from audit.actors import command_line
from audit.archive import MissingRows
from audit.progress import Progress
from audit.retention import ArchiveFailed, do_archive

_FEWEST_DAYS = 7


class Command(BaseCommand):
    help = (
        "Writes decisions, early ends of reservations and journal rejects that were sealed over DAYS days ago to files,"
        " checks these, and deletes the rows. Their batches stay, so that the chain can still be checked."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("days", type=int, metavar="DAYS", help=f"at least {_FEWEST_DAYS}")
        parser.add_argument(
            "--directory", type=Path, default=settings.RISK_ARCHIVE_DIR, help="where to (default: RISK_ARCHIVE_DIR)"
        )
        parser.add_argument("--reason", required=True, help="why, for the audit log")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["days"] < _FEWEST_DAYS:
            raise CommandError(f"DAYS must be at least {_FEWEST_DAYS}: previews and recovery read decisions.")
        before, files = timezone.now() - timedelta(days=options["days"]), 0
        while self._archive_some(before, options):
            files += 1
        self.stdout.write("Nothing is that old." if not files else f"{files} file(s) in {options['directory']}")

    def _archive_some(self, before: Any, options: dict[str, Any]) -> bool:
        progress = Progress(sys.stderr, "batches")
        try:
            made = do_archive(
                actor=command_line(),
                reason=options["reason"],
                before=before,
                now=timezone.now(),
                directory=options["directory"],
                told=lambda batch: progress.show(batch, batch),
            )
        except (ArchiveFailed, MissingRows, OSError) as error:
            raise CommandError(f"Stopped, with every row either in a file or in the database: {error}") from None
        finally:
            progress.close()
        if made is not None:
            self.stdout.write(f"{made.name}: {made.rows:,} rows of batches {made.first:,} to {made.through:,}")
        return made is not None
