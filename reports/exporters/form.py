"""What every way of writing a report has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime
from typing import BinaryIO, ClassVar

from msgspec import Struct

from reports.table import Column, Row, Summary


class Head(Struct, frozen=True, kw_only=True):
    """What a report says about itself.

    Attributes
    ----------
    report_id
        The id of the row of `reports.models.Report`, as text.
    name, title, meaning
        Of the dataset.
    filters
        What was asked for, in words: (("Account", "desk-1"), ("Since", "2026-01-31 00:00:00 UTC")).
    asked_by, made_at
        Who takes it away, and the moment of the database that it shows.
    columns
        Of its rows.
    rows
        How many there are, at that moment.
    books
        First and last version of the policy book that they are about.
    events, events_hash, batches, batches_hash
        Where the two chains of evidence ended at that moment (`audit.heads.Heads`).
    """

    report_id: str
    name: str
    title: str
    meaning: str
    filters: tuple[tuple[str, str], ...]
    asked_by: str
    made_at: datetime
    columns: tuple[Column, ...]
    rows: int
    books: tuple[int, int] | None
    events: int
    events_hash: str
    batches: int
    batches_hash: str


class Exporter(ABC):
    """A way of writing a report. `suffix` is without the dot; `title` is for people."""

    suffix: ClassVar[str]
    title: ClassVar[str]
    content_type: ClassVar[str]

    @abstractmethod
    def write(self, stream: BinaryIO, head: Head, rows: Iterator[Row], summary: Summary) -> int:
        """Write a report in flat memory, and return how many of the rows are in it.

        Fewer than all only where the format is for people (PDF), and then it says so where they end.
        """
