"""Adds rows of evidence and seals them: their digests go into a batch, the batch into a chain that shows tampering."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

import msgspec
from django.db import models, transaction
from django.utils import timezone
from msgspec import Struct

from audit.canonical import plain
from audit.copying import add_rows
from audit.digests import digest_of, digester
from audit.models import AuditHead, EvidenceBatch, EvidenceHead, Sealed
from audit.services import locked_end


class SealedRows(Struct, frozen=True):
    """The rows of one model in a batch: the columns that were sealed, and each row's digest by its key as text."""

    columns: tuple[str, ...]
    rows: dict[str, str]


# Rows with a number of their own that are added with one statement.
_TOGETHER = 1_000

# By model, as `audit.orderdecision`.
Content: TypeAlias = dict[str, SealedRows]


class Sealing:
    """A batch that is being made, in a transaction that is open. The chain's end is locked until that ends.

    `number` is what its rows have as their `batch`.
    """

    def __init__(self) -> None:
        self._head = locked_end(EvidenceHead)
        self.number = self._head.sequence + 1
        self._content: Content = {}

    def add(self, rows: Sequence[Sealed]) -> None:
        """Add rows of one model to the database and to the batch. Raises what the database does, and adds none then."""
        for row in rows:
            row.batch = self.number
        if rows and rows[0]._meta.auto_field is None:
            add_rows(rows)
        elif rows:  # its number is sealed, too
            type(rows[0]).objects.bulk_create(rows, batch_size=_TOGETHER)
        for row in rows:
            row._state.adding, row._state.db = False, transaction.get_connection().alias
            found = digester(type(row))
            of_model = self._content.setdefault(row._meta.label_lower, SealedRows(found.names, {}))
            of_model.rows[key_of(row)] = found.digest_row(row)

    def close(self, at: datetime | None = None) -> EvidenceBatch | None:
        """Add the batch to the chain, and return it; None where nothing was added. The last thing in a transaction."""
        if not self._content:
            return None
        batch = EvidenceBatch(
            sequence=self.number,
            at=at or timezone.now(),
            rows=sum(len(each.rows) for each in self._content.values()),
            content=msgspec.json.encode(self._content, order="sorted").decode(),
            previous_hash=self._head.hash,
        )
        batch.hash = batch_hash(batch)
        batch.save()
        self._head.sequence, self._head.hash = batch.sequence, batch.hash
        self._head.save()
        return batch


def seal(*rows: Sealed) -> None:
    """Add rows, of any models, as a batch of their own, in the transaction of what they tell of.

    Both chains are locked until that ends, so call this last, beside `audit.services.record`: in either order.
    """
    if not rows:
        return
    # Who records a change holds the end of that chain: always first, or two would wait for each other.
    locked_end(AuditHead)
    sealing = Sealing()
    for model in dict.fromkeys(map(type, rows)):
        sealing.add([row for row in rows if type(row) is model])
    sealing.close()


def wait_for_locks(most: timedelta) -> None:
    """Have the rest of this transaction wait no longer for a lock; then it fails with OperationalError.

    SQLite, which has one writer at a time, waits as its settings say.
    """
    connection = transaction.get_connection()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{most / timedelta(milliseconds=1):.0f}ms"])


def batch_hash(batch: EvidenceBatch) -> str:
    """Return the hash that a batch must have: over everything in it, and the hash before it."""
    return digest_of(
        {
            "sequence": batch.sequence,
            "at": plain(batch.at),
            "rows": batch.rows,
            "content": batch.content,
            "previous_hash": batch.previous_hash,
        }
    )


def key_of(row: models.Model) -> str:
    """Return the key of a row as batches name it."""
    return str(row.pk)
