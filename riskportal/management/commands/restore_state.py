"""restore_state: give the live state its memory back."""

from __future__ import annotations

import contextlib
import time
from argparse import ArgumentParser
from typing import Any

import msgspec
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from riskportal.restore import CannotRestore, Outcome, Report, restore_if_empty
from state.store import StateUnavailable
from state.wiring import store

_PAUSE_S = 0.2
_BUSY_S = 30.0


class Command(BaseCommand):
    help = (
        "Brings an empty live state back to life from the database; one that is alive is left alone. After a loss "
        "that may have taken decisions with it, approvals are held back for a while: the worker then restores by "
        "itself when that is over, or this command does with --wait."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--wait", action="store_true", help="wait while approvals are held back")
        parser.add_argument("--json", action="store_true", help="write the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.EMBEDDED:
            raise CommandError("An embedded process restores its own live state when it starts: manage.py up")
        self._warn()
        report = self._restore(wait=options["wait"])
        self.stdout.write(msgspec.json.encode(report).decode() if options["json"] else _text(report))

    def _warn(self) -> None:
        """Say loudly what about the set-up of the live state's server endangers it."""
        with contextlib.suppress(StateUnavailable):  # which restoring will say
            for text in store().warnings():
                self.stderr.write(self.style.WARNING(f"WARNING: {text}"))

    def _restore(self, *, wait: bool) -> Report:
        busy_until = time.monotonic() + _BUSY_S
        while True:
            try:
                report = restore_if_empty(store())
            except (StateUnavailable, CannotRestore, DatabaseError) as error:
                raise CommandError(f"The live state is not restored: {error}") from None
            if report.outcome in (Outcome.ALIVE, Outcome.RESTORED):
                return report
            if report.outcome is Outcome.HOLDING and not wait:
                return report
            if report.outcome is Outcome.BUSY and time.monotonic() > busy_until:
                raise CommandError("Another process has been restoring for a long time; nothing was done here.")
            time.sleep(_PAUSE_S)


def _text(report: Report) -> str:
    match report.outcome:
        case Outcome.ALIVE:
            return "The live state is alive; nothing to do."
        case Outcome.HOLDING:
            return (
                "The live state was lost with its journal: decisions may be missing. Approvals are held back for "
                f"{report.hold_s:.0f} s more, until their reservations have run out."
            )
        case _:
            return (
                f"The live state is restored: book {report.book_version}, {report.accounts} accounts, "
                f"{report.reservations} reservations, {report.answers} answers."
            )
