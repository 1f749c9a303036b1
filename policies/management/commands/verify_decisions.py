"""verify_decisions: evaluate recorded decisions again."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from functools import lru_cache
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from audit import replay
from audit.progress import Progress
from policies.book import loaded
from riskcore.compiled import CompiledBook

_COMPILED_BOOKS = 16
_PROGRESS_EVERY = 500


class Command(BaseCommand):
    help = (
        "Evaluates recorded decisions again, each with its own inputs under its own policy book, and reports "
        "those that come out otherwise than recorded. Exit code 1 when any does."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--since", help="only decisions from this moment on: 2026-01-31T14:00 (UTC if it has no zone)"
        )
        parser.add_argument("--account", default="", help="only decisions on this account's orders")
        parser.add_argument(
            "--json", action="store_true", help="one JSON object a line for each difference, then the sum"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        decisions = replay.select(since=_moment(options["since"]), account_id=options["account"])
        book_of = lru_cache(maxsize=_COMPILED_BOOKS)(lambda version: CompiledBook(loaded(version)))
        total, checked, differing = decisions.count(), 0, 0
        progress = Progress(sys.stderr, "decisions")
        for decision in replay.in_chunks(decisions):
            checked += 1
            difference = replay.compare(decision, book_of)
            if difference is not None:
                differing += 1
                self._report(difference, as_json=options["json"])
            if checked % _PROGRESS_EVERY == 0:
                progress.show(checked, total)
        progress.close()
        if options["json"]:
            self.stdout.write(msgspec.json.encode({"checked": checked, "differing": differing}).decode())
        else:
            self.stdout.write(f"{checked:,} decisions evaluated again, {differing:,} come out otherwise.")
        if differing:
            sys.exit(1)

    def _report(self, difference: replay.Difference, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(msgspec.json.encode(difference).decode())
            return
        self.stdout.write(
            f"{difference.decision_id} of {difference.account_id} at {difference.decided_at.isoformat()}, "
            f"book {difference.book_version}: {difference.problem or 'differs'}"
        )
        for name, (recorded, now) in difference.fields.items():
            self.stdout.write(f"  {name}: recorded {_text(recorded)}, now {_text(now)}")


def _moment(text: str | None) -> Any:
    if text is None:
        return None
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        raise CommandError(f"--since {text!r} is not a moment: expected such as 2026-01-31T14:00")
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
