"""The manifest of a report: from what it says of itself, and from what was measured while it was written."""

from __future__ import annotations

import hashlib
import io
from datetime import UTC
from typing import TYPE_CHECKING, BinaryIO

from audit.manifest import Manifest
from reports.exporters.form import Head

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    class _Stream(io.BufferedIOBase, BinaryIO):
        """A stream of bytes as exporters are given it."""
else:
    _Stream = io.BufferedIOBase

PRODUCT = "riskportal 0.1.0"


class Measured(_Stream):
    """Passes on what is written to a file, and measures it.

    It cannot go back: whoever writes into it writes from the beginning to the end, and what was measured is what is
    in the file. It does not close the file.

    Attributes
    ----------
    bytes
        How many were written.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash, self.bytes = file, hashlib.sha256(), 0

    def writable(self) -> bool:
        return True

    def write(self, content: ReadableBuffer) -> int:
        with memoryview(content) as view:
            self._file.write(view)
            self._hash.update(view)
            self.bytes += view.nbytes
            return view.nbytes

    def sha256(self) -> str:
        """Return the SHA-256 (hex) of what was written."""
        return self._hash.hexdigest()


def manifest_of(head: Head, suffix: str, rows_in_file: int, measured: Measured) -> Manifest:
    """Return the manifest of a file that is whole: call it when all of it is written, and where nothing failed."""
    first, last = head.books or (None, None)
    return Manifest(
        report_id=head.report_id,
        report=head.name,
        title=head.title,
        format=suffix,
        filters=head.filters,
        asked_by=head.asked_by,
        made_at=head.made_at.astimezone(UTC),
        columns=tuple(column.name for column in head.columns),
        rows=head.rows,
        rows_in_file=rows_in_file,
        bytes=measured.bytes,
        sha256=measured.sha256(),
        first_book=first,
        last_book=last,
        events=head.events,
        events_hash=head.events_hash,
        batches=head.batches,
        batches_hash=head.batches_hash,
        product=PRODUCT,
    )
