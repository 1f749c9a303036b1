"""verify_audit: check the evidence for tampering, in the database or in files that were taken away."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from msgspec import Struct

from audit.anchors import AnchorProblem, UnreadableAnchor, anchor_problem, read_anchors
from audit.files import FileCheck, check_files
from audit.heads import Heads
from audit.progress import Progress
from audit.protection import unprotected
from audit.verify import ChainCheck, verify_chain
from audit.verify_batches import FURTHER, BadRow, BatchCheck, verify_batches


class DatabaseCheck(Struct, frozen=True, kw_only=True):
    """What was found in the database. `unprotected`: tables whose triggers are missing or switched off."""

    intact: bool
    events: ChainCheck
    batches: BatchCheck
    further: list[BadRow]
    anchors: int
    contradicted: list[AnchorProblem]
    unprotected: list[str]


class FilesCheck(Struct, frozen=True, kw_only=True):
    """What was found in files. `problems` are of all of them together."""

    intact: bool
    files: list[FileCheck]
    problems: list[str]


class Command(BaseCommand):
    help = (
        "Checks the evidence: both hash chains and every sealed row of the database, or of FILEs alone (evidence from "
        "export_evidence and archives; reports with their manifest beside them). Names the first bad row; exit code 1 "
        "when anything is not as it was, 2 when something could not be read."
    )
    requires_system_checks = ()  # files are checked without a database

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="check these instead of the database")
        parser.add_argument(
            *("--anchor", "-a"),
            action="append",
            type=Path,
            default=[],
            help="where the chains ended at some moment: a manifest, a message of risk.audit.head, a log (repeatable)",
        )
        parser.add_argument("--json", action="store_true", help="write the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            anchors = [heads for path in options["anchor"] for heads in read_anchors(path)]
        except UnreadableAnchor as error:
            raise CommandError(str(error), returncode=2) from None
        found = self._files(options["files"], anchors) if options["files"] else self._database(anchors)
        if options["json"]:
            self.stdout.write(msgspec.json.encode(found).decode())
        else:
            self._say(found)
        if not found.intact:
            sys.exit(1)

    def _database(self, anchors: Sequence[Heads]) -> DatabaseCheck:
        events, batches = (
            self._with_progress("audit events", verify_chain),
            self._with_progress("batches", verify_batches),
        )
        now = timezone.now()
        further = [self._with_progress(what, partial(check, now)) for what, check in FURTHER.items()]
        found = [bad for bad in further if bad is not None]
        contradicted = [problem for problem in map(anchor_problem, anchors) if problem is not None]
        open_tables = unprotected(apps.get_models())
        return DatabaseCheck(
            intact=events.intact and batches.intact and not (found or contradicted or open_tables),
            events=events,
            batches=batches,
            further=found,
            anchors=len(anchors),
            contradicted=contradicted,
            unprotected=open_tables,
        )

    def _files(self, files: Sequence[Path], anchors: Sequence[Heads]) -> FilesCheck:
        checks, problems = self._with_progress("batches", lambda told: check_files(files, anchors, told))
        intact = not problems and all(each.intact for each in checks)
        return FilesCheck(intact=intact, files=checks, problems=problems)

    def _with_progress(self, what: str, check: Any) -> Any:
        progress = Progress(sys.stderr, what)
        try:
            return check(progress.show)
        finally:
            progress.close()

    def _say(self, found: DatabaseCheck | FilesCheck) -> None:
        for line in _of_database(found) if isinstance(found, DatabaseCheck) else _of_files(found):
            self.stdout.write(line)
        self.stdout.write("" if found.intact else self.style.ERROR("The evidence is not as it was."))


def _of_database(found: DatabaseCheck) -> list[str]:
    events, batches = found.events, found.batches
    archived = f", {batches.archived:,} of them in archives" if batches.archived else ""
    lines = [
        f"The audit log is intact: {events.events:,} events, head {events.head}"
        if events.intact
        else f"The audit log is broken at event {events.broken_at}: {events.problem}",
        f"The sealed rows are intact: {batches.rows + batches.archived:,} rows{archived}, "
        f"{batches.batches:,} batches, head {batches.head}"
        if batches.bad is None
        else f"The sealed rows are broken in batch {batches.bad.batch}: {batches.bad.problem}",
    ]
    lines += [f"Evidence is not as it was: {each.problem}" for each in found.further]
    lines += [f"An anchor is contradicted: {each.problem}" for each in found.contradicted]
    if found.anchors and not found.contradicted:
        lines.append(f"The chains go through all anchors that were given: {found.anchors}")
    lines += [
        f"Table {name} is not protected: run `migrate`, and ask who switched it off" for name in found.unprotected
    ]
    return lines


def _of_files(found: FilesCheck) -> list[str]:
    lines = [f"{each.file}: {'as it was: ' + each.what if each.intact else each.problem}" for each in found.files]
    return [*lines, *found.problems]
