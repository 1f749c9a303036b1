"""verify_audit: check the log of changes for tampering."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

import msgspec
from django.core.management.base import BaseCommand

from audit.progress import Progress
from audit.verify import verify_chain


class Command(BaseCommand):
    help = "Checks the hash chain of the audit log. Exit code 1 when it is broken; names the first bad event."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="write the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        progress = Progress(sys.stderr, "audit events")
        check = verify_chain(progress.show)
        progress.close()
        if options["json"]:
            self.stdout.write(msgspec.json.encode(check).decode())
        elif check.intact:
            self.stdout.write(f"The audit log is intact: {check.events:,} events, head {check.head}")
        else:
            self.stdout.write(self.style.ERROR(f"The audit log is broken at event {check.broken_at}: {check.problem}"))
        if not check.intact:
            sys.exit(1)
