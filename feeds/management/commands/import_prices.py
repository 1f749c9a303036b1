"""import_prices: put prices of a CSV file into the history."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError
from django.utils import timezone

from audit.actors import command_line
from audit.progress import Progress
from feeds.models import Interval
from feeds.price_files import PriceFile, read_prices
from feeds.price_import import Imported, do_import_prices
from feeds.price_layout import PriceFileError, Wanted
from feeds.returns import publish_returns
from policies.models import Book

_SHOWN_SYMBOLS = 20


class Command(BaseCommand):
    help = (
        "Puts the prices of a CSV file, plain or compressed with gzip, into the history: all of them, or none and exit "
        "code 1 where a cell cannot be understood. A bar that is there becomes what the file says. Long files have "
        "symbol, date and close, and may have open, high, low and volume; wide ones a date, and a column of closes "
        "for each symbol. May be repeated."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--symbol", default="", help="what the prices are of, where no column says so")
        parser.add_argument(
            "--column",
            default="",
            help="column with the closes, such as 'Adj Close' (then open, high and low, which are not adjusted, are "
            "left out); of a wide file the only one to take",
        )
        parser.add_argument("--date-column", default="", help="column with the dates, where it is not called date")
        parser.add_argument(
            "--date-format",
            default="",
            metavar="FORMAT",
            help="iso (2026-01-31), mdy (1/31/2026), dmy (31/1/2026) or a pattern such as %%Y%%m%%d; without it, the "
            "one of the first three in which every date of the file is a date",
        )
        parser.add_argument(
            "--missing",
            action="append",
            default=[],
            metavar="TEXT",
            help="what a cell says that has no price, such as . or NA; may be given several times. Empty cells of a "
            "wide file have none",
        )
        parser.add_argument(
            "--interval", default=Interval.DAY.value, choices=Interval.values, help="how long a bar is (default: 1d)"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="read all of it, say what would change, write nothing"
        )
        parser.add_argument("--reason", default="Imported on the command line", help="why, for the audit log")
        parser.add_argument("--json", action="store_true", help="write the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        path, interval = options["file"], Interval(options["interval"])
        wanted = Wanted(
            interval=interval,
            symbol=options["symbol"],
            column=options["column"],
            date_column=options["date_column"],
            date_format=options["date_format"],
            missing=frozenset(options["missing"]),
        )
        content = self._read(path, wanted)
        done = self._write(content, interval, path.name, options)
        # Checks go by them at once, not only when the clock next looks.
        book = None if options["dry_run"] else publish_returns(timezone.now(), days=settings.RISK_VAR_DAYS)
        if options["json"]:
            self.stdout.write(_as_json(path, content, done, dry_run=options["dry_run"], book=book))
        else:
            self._say(path, content, done, dry_run=options["dry_run"], book=book)
        self._warn(done)

    def _read(self, path: Path, wanted: Wanted) -> PriceFile:
        progress = Progress(sys.stderr, "lines read")
        try:
            return read_prices(path, wanted, now=timezone.now(), show=progress.show)
        except PriceFileError as error:
            raise CommandError(f"Nothing was imported from {path}:\n{error}") from None
        except OSError as error:
            raise CommandError(f"Nothing was imported: {path} cannot be read: {error.strerror or error}") from None
        finally:
            progress.close()

    def _write(self, content: PriceFile, interval: Interval, name: str, options: dict[str, Any]) -> Imported:
        progress = Progress(sys.stderr, "prices written")
        try:
            return do_import_prices(
                content,
                interval=interval,
                actor=command_line(),
                reason=options["reason"],
                name=name,
                dry_run=options["dry_run"],
                show=progress.show,
            )
        except (IntegrityError, ValueError) as error:
            raise CommandError(f"Nothing was imported: {error}") from None
        finally:
            progress.close()

    def _say(self, path: Path, content: PriceFile, done: Imported, *, dry_run: bool, book: Book | None) -> None:
        symbols = ", ".join(done.symbols[:_SHOWN_SYMBOLS])
        if len(done.symbols) > _SHOWN_SYMBOLS:
            symbols += f" and {len(done.symbols) - _SHOWN_SYMBOLS} more"
        self.stdout.write(
            f"{path.name}: {content.layout}, dates {content.date_format}, {done.first:%Y-%m-%d} to "
            f"{done.last:%Y-%m-%d}, cells without a price: {content.blanks:,}\n{symbols}"
        )
        self.stdout.write(
            f"{'Would be ' if dry_run else ''}{done.added:,} added, {done.changed:,} changed, "
            f"{done.unchanged:,} as they were"
        )
        if book is not None:
            self.stdout.write(f"Value at risk goes by them from book {book.version} on: {book.returns}")

    def _warn(self, done: Imported) -> None:
        """Say that what is imported is not going to stay."""
        days = settings.RISK_PRICE_HISTORY_DAYS
        if days and done.first < timezone.now() - timedelta(days=days):
            text = f"WARNING: prices of more than {days} days ago (RISK_PRICE_HISTORY_DAYS) are removed within the hour"
            self.stderr.write(self.style.WARNING(text))


def _as_json(path: Path, content: PriceFile, done: Imported, *, dry_run: bool, book: Book | None) -> str:
    result = {
        "file": path.name,
        "sha256": content.sha256,
        "layout": content.layout,
        "date_format": content.date_format,
        "symbols": done.symbols,
        "first": done.first,
        "last": done.last,
        "added": done.added,
        "changed": done.changed,
        "unchanged": done.unchanged,
        "blanks": content.blanks,
        "dry_run": dry_run,
        "book": None if book is None else book.version,
    }
    return msgspec.json.encode(result).decode()
