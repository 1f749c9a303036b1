"""export_evidence: take the evidence away in a file that can be checked without the database."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from audit.archive import SUFFIX, MissingRows, write_archive
from audit.heads import heads
from audit.models import EvidenceArchive
from audit.progress import Progress


class Command(BaseCommand):
    help = (
        "Writes the audit log and all sealed rows that are in the database to FILE, compressed, which verify_audit "
        "checks by itself. Rows that are in archives already are in these."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help=f"where to; its name ends with {SUFFIX}")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        if not path.name.endswith(SUFFIX):
            raise CommandError(f"The name of FILE must end with {SUFFIX}: by that verify_audit knows what it is.")
        if path.exists():
            raise CommandError(f"{path} is there already, and is not written over.")
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        progress = Progress(sys.stderr, "batches")
        try:
            with unfinished.open("xb") as stream, transaction.atomic():
                end = heads()
                archived = EvidenceArchive.objects.order_by("-through").values_list("through", flat=True).first() or 0
                written = write_archive(
                    stream,
                    made_at=timezone.now(),
                    batches=(archived + 1, end.batches),
                    events=(1, end.events),
                    told=lambda batch: progress.show(batch, end.batches),
                )
                stream.flush()
                os.fsync(stream.fileno())
            unfinished.rename(path)
        except MissingRows as error:
            raise CommandError(f"Nothing was written: {error}. Run verify_audit.") from None
        except OSError as error:
            raise CommandError(f"Nothing was written: {error}") from None
        finally:
            progress.close()
            unfinished.unlink(missing_ok=True)
        self.stdout.write(
            f"{path}: {written.events:,} events, {written.rows:,} rows in {written.batches:,} batches; "
            f"they end with {end.events_hash} and {end.batches_hash}"
        )
