"""export_policies: write the limits that officers manage to a file."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from policies.files.rows import KINDS
from policies.files.services import FORMATS, export_limits


class Command(BaseCommand):
    help = "Writes profiles, accounts, instruments, restrictions and policies to a file that import_policies reads."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", default="-", help="where to; - or nothing: to the terminal")
        parser.add_argument("--format", choices=FORMATS, help="default: by the file's name, else yaml")
        parser.add_argument("--only", choices=sorted(KINDS), help="one kind of row only; CSV needs it")

    def handle(self, *args: Any, **options: Any) -> None:
        path = Path(options["file"])
        form = options["format"] or _format_of(path)
        if form == "csv" and not options["only"]:
            raise CommandError("A CSV file has one kind of row: say which with --only.")
        content = export_limits(form, KINDS.get(options["only"], ""))
        if options["file"] == "-":
            sys.stdout.buffer.write(content)
            return
        try:
            path.write_bytes(content)
        except OSError as error:
            raise CommandError(f"The file was not written: {error}") from None
        self.stderr.write(f"Written to {path}.")


def _format_of(path: Path) -> str:
    suffix = path.suffix.lower().lstrip(".")
    return suffix if suffix in FORMATS else "yaml"
