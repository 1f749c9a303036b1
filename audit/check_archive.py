"""Checks a file of evidence by itself: no database is needed, and none is asked."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from audit.archive import FORMAT, read_lines
from audit.canonical import GENESIS
from audit.digests import digest_of
from audit.heads import Heads
from audit.sealing import Content

_content = msgspec.json.Decoder(Content)


class ArchiveCheck(Struct, frozen=True, kw_only=True):
    """What a check of a file found. `problem` is empty where all is well, and else names the first bad line.

    `first` and `through` are the batches in it, `first_event` and `through_event` the events (the last less than the
    first: none); `before` and `head` the hash before the first batch and that of the last.
    """

    first: int = 1
    through: int = 0
    first_event: int = 1
    through_event: int = 0
    rows: int = 0
    before: str = GENESIS
    head: str = GENESIS
    problem: str = ""

    @property
    def intact(self) -> bool:
        return not self.problem


class _Bad(Exception):
    """The first bad line, and what is wrong with it."""


def check_archive(path: Path, anchors: Iterable[Heads] = (), told: Callable[[int], None] | None = None) -> ArchiveCheck:
    """Check a file; `anchors` that name an event or batch in it must name it with its hash. `told` hears of batches."""
    reading = _Reading(list(anchors), told)
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(read_lines(stream), 1):
                reading.read(number, line)
        reading.end()
    except _Bad as bad:
        return reading.found(str(bad))
    except (OSError, EOFError, zlib.error, msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        return reading.found(f"after line {reading.line}: it cannot be read on: {type(error).__name__}: {error}")
    return reading.found("")


class _Reading:
    """How far a check has come."""

    def __init__(self, anchors: list[Heads], told: Callable[[int], None] | None) -> None:
        self.line = 0
        self._told = told
        self._events = {each.events: each.events_hash for each in anchors}
        self._batches = {each.batches: each.batches_hash for each in anchors}
        self._head: dict[str, Any] = {}
        self._end: dict[str, Any] | None = None
        self._event = self._batch = self._rows = self._batch_count = self._event_count = 0
        self._before = self._batch_hash = self._event_hash = GENESIS
        self._waiting: dict[tuple[str, str], str] = {}

    def read(self, number: int, line: dict[str, Any]) -> None:
        """Check the next line. Raises _Bad."""
        kind = line.pop("kind", None)
        if self._end is not None:
            raise _Bad(f"line {number} follows the end")
        if (kind == "head") is not (number == 1):
            raise _Bad(f"line {number} is not what belongs there: {kind}")
        if kind == "head":
            self._begin(line)
        elif kind == "event":
            self._read_event(line)
        elif kind == "batch":
            self._read_batch(line)
        elif kind == "row":
            self._read_row(line)
        elif kind == "end":
            self._end = line
        else:
            raise _Bad(f"line {number} is of no kind that there is: {kind}")
        self.line = number

    def _begin(self, line: dict[str, Any]) -> None:
        if line["format"] != FORMAT:
            raise _Bad(f"it is of format {line['format']}, this is the reader of format {FORMAT}")
        self._head = line
        self._event, self._batch = line["first_event"] - 1, line["first"] - 1

    def _read_event(self, line: dict[str, Any]) -> None:
        sequence, said = line["sequence"], line.pop("hash")
        self._follows("event", sequence, self._event, line["previous_hash"], self._event_hash, self._event_count)
        if digest_of(line) != said:
            raise _Bad(f"event {sequence} was changed: its hash is not that of its content")
        self._anchored("event", sequence, said, self._events)
        self._event, self._event_hash = sequence, said
        self._event_count += 1

    def _read_batch(self, line: dict[str, Any]) -> None:
        self._all_there()
        sequence, said = line["sequence"], line.pop("hash")
        self._follows("batch", sequence, self._batch, line["previous_hash"], self._batch_hash, self._batch_count)
        if digest_of(line) != said:
            raise _Bad(f"batch {sequence} was changed: its hash is not that of its content")
        self._anchored("batch", sequence, said, self._batches)
        if not self._batch_count:
            self._before = line["previous_hash"]
        self._batch, self._batch_hash = sequence, said
        self._batch_count += 1
        content = _content.decode(line["content"])
        self._waiting = {(table, key): digest for table, of in content.items() for key, digest in of.rows.items()}
        if self._told is not None:
            self._told(sequence)

    def _read_row(self, line: dict[str, Any]) -> None:
        table, key = line["table"], line["key"]
        sealed = self._waiting.pop((table, key), None)
        if sealed is None:
            raise _Bad(f"row {key} of {table} was put in: batch {self._batch} does not have it, or not twice")
        if digest_of(line["content"]) != sealed:
            raise _Bad(f"row {key} of {table} was changed since it was sealed in batch {self._batch}")
        self._rows += 1

    def _all_there(self) -> None:
        if self._waiting:
            table, key = min(self._waiting)
            raise _Bad(f"row {key} of {table} is missing; it was sealed in batch {self._batch}")

    def _follows(self, what: str, sequence: int, last: int, names: str, last_hash: str, count: int) -> None:
        if sequence != last + 1:
            raise _Bad(f"{what} {last + 1} is missing; {what} {sequence} follows")
        # What comes before a file that begins in the middle, another file says.
        if (count or sequence == 1) and names != last_hash:
            raise _Bad(f"{what} {sequence} does not name the hash of the {what} before it")

    def _anchored(self, what: str, sequence: int, said: str, anchors: dict[int, str]) -> None:
        if anchors.get(sequence, said) != said:
            raise _Bad(
                f"{what} {sequence} is not the one that the anchor names: it, or one before it, was written anew"
            )

    def end(self) -> None:
        """Check that everything came that was said. Raises _Bad."""
        if self._end is None:
            raise _Bad(f"it is cut off after line {self.line}: its last line is missing")
        self._all_there()
        counted = {"batches": self._batch_count, "rows": self._rows, "events": self._event_count}
        if self._end != counted or (self._batch, self._event) != (self._head["through"], self._head["through_event"]):
            raise _Bad(f"it has {counted}, and says that it has {self._end}")

    def found(self, problem: str) -> ArchiveCheck:
        """Return what was found so far."""
        return ArchiveCheck(
            first=self._head.get("first", 1),
            through=self._batch if self._head else 0,
            first_event=self._head.get("first_event", 1),
            through_event=self._event,
            rows=self._rows,
            before=self._before,
            head=self._batch_hash,
            problem=problem,
        )
