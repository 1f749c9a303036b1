"""What goes with a file of evidence that was taken away: what it is, and how to tell that it is all of it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

SUFFIX = ".manifest.json"  # the file's own name goes before it

_LONGEST = 1_000_000  # bytes; a manifest is a few kilobytes


class ManifestUnreadable(ValueError):
    """A manifest that is missing, or no manifest. The text is for people."""


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of evidence. Moments are UTC.

    Attributes
    ----------
    report_id, report, title
        The id of the report, the name of what it is about (`policy_changes`), and its title.
    format
        How it is written, by the suffix of its file: csv, xlsx, pdf, jsonl.
    filters
        What was asked for, in words: label and value.
    asked_by, made_at
        Who took it away, and the moment of the database that it shows.
    columns
        The names of its columns, in their order.
    rows, rows_in_file
        How many rows the report has, and how many of them are in the file: all, but for a PDF.
    bytes, sha256
        Of the file.
    first_book, last_book
        The versions of the policy book that it is about, None: of none.
    events, events_hash, batches, batches_hash
        Where the two chains of evidence ended at that moment.
    product
        What made it: riskportal and its version.
    complete
        Always true: a file that was not finished has no manifest.
    """

    report_id: str
    report: str
    title: str
    format: str
    filters: tuple[tuple[str, str], ...]
    asked_by: str
    made_at: datetime
    columns: tuple[str, ...]
    rows: int
    rows_in_file: int
    bytes: int
    sha256: str
    first_book: int | None
    last_book: int | None
    events: int
    events_hash: str
    batches: int
    batches_hash: str
    product: str
    complete: bool = True


def manifest_beside(file: Path) -> Path:
    """Return where the manifest of a file is looked for: beside it, under its name and one more suffix."""
    return file.with_name(file.name + SUFFIX)


def write_manifest(manifest: Manifest) -> bytes:
    """Return a manifest as JSON that people can read."""
    return msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"


def decode_manifest(content: bytes) -> Manifest:
    """Return a manifest from its JSON. Raises ManifestUnreadable."""
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ManifestUnreadable(f"is no manifest: {error}") from error
    if not manifest.complete:
        raise ManifestUnreadable("is of a file that was not finished")
    return manifest


def read_manifest(path: Path) -> Manifest:
    """Return the manifest in a file. Raises ManifestUnreadable."""
    try:
        with path.open("rb") as stream:
            content = stream.read(_LONGEST + 1)
    except OSError as error:
        raise ManifestUnreadable(f"cannot be read: {error.strerror}") from error
    if len(content) > _LONGEST:
        raise ManifestUnreadable(f"is no manifest: it is longer than {_LONGEST:,} bytes")
    return decode_manifest(content)
