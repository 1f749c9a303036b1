"""Evidence in a file: batches with their rows, and events, as lines of JSON that can be checked without a database.

The first line says what the file has, the last how much: one that was cut off lacks it. Each row is the content
over which its digest was made, so whoever reads `docs/evidence.md` can check a file with a few lines of any language.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, BinaryIO

import msgspec
from django.apps import apps
from msgspec import Struct

from audit.canonical import plain
from audit.digests import Digester
from audit.models import AuditEvent, EvidenceBatch
from audit.sealing import Content
from audit.services import event_content

FORMAT = 1
SUFFIX = ".evidence.jsonl.gz"

# Rows of one query, about.
_TOGETHER = 4_000

_encode = msgspec.json.Encoder(order="sorted").encode
_content = msgspec.json.Decoder(Content)


class ArchiveHead(Struct, frozen=True, kw_only=True, tag="head", tag_field="kind"):
    """The first line: which batches and events follow. `through` less than `first`: none."""

    format: int
    made_at: datetime
    first: int
    through: int
    first_event: int
    through_event: int


class ArchiveEnd(Struct, frozen=True, kw_only=True, tag="end", tag_field="kind"):
    """The last line: how much there was."""

    batches: int
    rows: int
    events: int


class MissingRows(Exception):
    """Rows that should go into a file are not in the database as they were sealed: it must not be taken for whole."""


def write_archive(
    stream: BinaryIO,
    *,
    made_at: datetime,
    batches: tuple[int, int],
    events: tuple[int, int] = (1, 0),
    told: Callable[[int], None] | None = None,
) -> ArchiveEnd:
    """Write evidence, compressed, in flat memory: these batches, first and last, and these events.

    `told` hears of each batch that was written. Raises MissingRows where a row is not as it was sealed.
    """
    count = {"batches": 0, "rows": 0, "events": 0}
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=6, mtime=0) as lines:
        head = ArchiveHead(
            format=FORMAT,
            made_at=made_at,
            first=batches[0],
            through=batches[1],
            first_event=events[0],
            through_event=events[1],
        )
        _write(lines, head)
        for event in AuditEvent.objects.filter(sequence__range=events).order_by("sequence").iterator(1_000):
            _write(lines, {"kind": "event", **plain_object(event_content(event)), "hash": event.hash})
            count["events"] += 1
        for batch in EvidenceBatch.objects.filter(sequence__range=batches).order_by("sequence").iterator(100):
            count["rows"] += _write_batch(lines, batch)
            count["batches"] += 1
            if told is not None:
                told(batch.sequence)
        end = ArchiveEnd(**count)
        _write(lines, end)
    return end


def _write_batch(lines: Any, batch: EvidenceBatch) -> int:
    """Write a batch and its rows, and return how many."""
    _write(
        lines,
        {
            "kind": "batch",
            "sequence": batch.sequence,
            "at": plain(batch.at),
            "rows": batch.rows,
            "content": batch.content,
            "previous_hash": batch.previous_hash,
            "hash": batch.hash,
        },
    )
    written = 0
    for label, sealed in _content.decode(batch.content).items():
        there = _contents(label, batch.sequence, sealed.columns)
        if there.keys() != sealed.rows.keys():
            raise MissingRows(f"batch {batch.sequence}: the rows of {label} are not those that were sealed")
        for key, content in there.items():
            _write(lines, {"kind": "row", "table": label, "key": key, "content": content})
            written += 1
    return written


def _contents(label: str, batch: int, names: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    digester = Digester(names)
    rows = apps.get_model(label)._default_manager.filter(batch=batch).order_by("pk")
    return {str(pk): digester.content(values) for pk, *values in rows.values_list("pk", *names).iterator(_TOGETHER)}


def plain_object(content: Mapping[str, object]) -> dict[str, Any]:
    """Return an object with every value in its canonical form."""
    return {name: plain(value) for name, value in content.items()}


def _write(lines: Any, what: object) -> None:
    lines.write(_encode(what) + b"\n")


def read_lines(stream: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield the lines of a file. Raises OSError, EOFError (cut off) and msgspec.MsgspecError (not JSON)."""
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    with gzip.GzipFile(fileobj=stream, mode="rb") as lines:
        for line in lines:
            yield decode(line)
