"""A report and a way of writing it that tests have in hand, and people who ask for reports."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO, ClassVar

from audit.acting import Acting, acting
from audit.models import AuditEvent
from reports.exporters.form import Exporter, Head
from reports.models import Report
from reports.services import Wanted, do_ask_report
from reports.table import Asked, Chart, ChartKind, Column, Dataset, Figure, Kind, Row, Summary
from tests.support.patience import PATIENCE_S

VIEW = "audit.view_orderdecision"
ALICE, BOB = acting("alice", [VIEW]), acting("bob", [VIEW])
AUDITOR = acting("audrey", [VIEW, "audit.view_auditevent"])
NOBODY = acting("norman", [])
DESK = acting("dora", [VIEW], ["A"])

START = datetime(2026, 1, 1, tzinfo=UTC)


class Numbers(Dataset):
    """The numbers up to `rows`. What `on_row` does is done before each row."""

    name = "numbers"
    title = "Numbers"
    meaning = "Every number there is, up to a point."
    permissions: ClassVar = (VIEW,)
    columns: ClassVar = (Column(name="number", label="Number", kind=Kind.NUMBER), Column(name="word", label="Word"))
    filters: ClassVar = frozenset({"since", "until", "account_id", "symbol"})

    def __init__(self) -> None:
        self.rows_there = 3
        self.counted = 0  # more than there are
        self.on_row: Callable[[], None] = lambda: None
        self.asked: list[tuple[Asked, frozenset[str]]] = []

    def count(self, asked: Asked, accounts: frozenset[str]) -> int:
        return self.rows_there + self.counted

    def rows(self, asked: Asked, accounts: frozenset[str]) -> Iterator[Row]:
        self.asked.append((asked, accounts))
        for number in range(self.rows_there):
            self.on_row()
            yield number, f"<b>{number}</b>"

    def summary(self, asked: Asked, accounts: frozenset[str]) -> Summary:
        chart = Chart(title="By size", kind=ChartKind.BARS, labels=("small", "large"), values=(1.0, 2.0))
        return Summary(
            figures=(Figure("Numbers", str(self.rows_there)),), charts=(chart,), notes=("None is left out.",)
        )

    def books(self, asked: Asked, accounts: frozenset[str]) -> tuple[int, int] | None:
        return 1, 4


class AllNumbers(Numbers):
    """The same, of all accounts at once and of one moment."""

    name = "all_numbers"
    title = "All numbers"
    of_all = True
    filters: ClassVar = frozenset({"at"})
    needed: ClassVar = frozenset({"at"})


class Lines(Exporter):
    """A row a line."""

    suffix = "txt"
    title = "Lines"
    content_type = "text/plain"

    def write(self, stream: BinaryIO, head: Head, rows: Iterator[Row], summary: Summary) -> int:
        written = 0
        for row in rows:
            stream.write(f"{row}\n".encode())
            written += 1
        return written


class Gate:
    """Where the making of a report stands still until it is let go on."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.open.wait(PATIENCE_S)


def wanted(name: str = "numbers", format_: str = "txt", **filters: Any) -> Wanted:
    return Wanted(name=name, format=format_, asked=Asked(**filters))


def ask(who: Acting = ALICE, **filters: Any) -> Report:
    return do_ask_report(acting=who, wanted=wanted(**filters))


def again(report: Report) -> Report:
    return Report.objects.get(pk=report.pk)


def actions() -> list[str]:
    """Return what the audit log has, the oldest first."""
    return list(AuditEvent.objects.order_by("sequence").values_list("action", flat=True))


def until(look: Callable[[], object]) -> None:
    """Look until it is true."""
    end = time.monotonic() + PATIENCE_S
    while not look():
        assert time.monotonic() < end, "it never was"
        time.sleep(0.02)
