"""Takes old rows of evidence out of the database, into files: first the file, whole and checked, then the rows.

Their batches stay, with the digest of every row: so the chain goes on, and a file can be told from any other for ever.
The database lets nobody delete a row that is in no archive.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from django.db import models, transaction

from audit.archive import SUFFIX, write_archive
from audit.check_archive import check_archive
from audit.models import EvidenceArchive, EvidenceBatch, Sealed
from audit.sealing import seal
from audit.services import record
from audit.verify_batches import sealed_models

# Batches whose rows are deleted in one transaction.
_TOGETHER = 50

# What goes into one file at most: a file that is checked, copied and kept as one.
MOST_BATCHES = 20_000


class ArchiveFailed(Exception):
    """No rows were taken out; the text says why, for people."""


def do_archive(
    *,
    actor: str,
    reason: str,
    before: datetime,
    now: datetime,
    directory: Path,
    told: Callable[[int], None] | None = None,
) -> EvidenceArchive | None:
    """Write the rows that were sealed before a moment into one file, then delete them; None where there are none.

    What was interrupted on the way is done first. Raises ArchiveFailed, OSError, MissingRows and database errors: every
    row is then still in the database, or in the file and about to be deleted by the next call.
    """
    delete_archived()
    span = _span(before)
    if span is None:
        return None
    name = f"{span[0]:012}-{span[1]:012}{SUFFIX}"
    path = _write(directory / name, span, now, told)
    archive = _record(path, span, actor=actor, reason=reason, now=now)
    delete_archived()
    return archive


def _span(before: datetime) -> tuple[int, int] | None:
    """Return the first and the last batch that go into the next file."""
    first = _through() + 1
    last = (
        EvidenceBatch.objects.filter(sequence__gte=first, sequence__lt=first + MOST_BATCHES, at__lt=before)
        .order_by("-sequence")
        .values_list("sequence", flat=True)
        .first()
    )
    return None if last is None else (first, last)


def _through() -> int:
    """Return the last batch that is in an archive."""
    return EvidenceArchive.objects.aggregate(last=models.Max("through"))["last"] or 0


def _write(path: Path, span: tuple[int, int], now: datetime, told: Callable[[int], None] | None) -> Path:
    """Write a file and read it again, as whoever needs it one day will. Nothing is there by its name before."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as stream:
            end = write_archive(stream, made_at=now, batches=span, told=told)
            stream.flush()
            os.fsync(stream.fileno())
        check = check_archive(unfinished)
        if not check.intact or (check.first, check.through, check.rows) != (*span, end.rows):
            raise ArchiveFailed(f"what was written cannot be read again as it should: {check.problem or check}")
        unfinished.rename(path)
        _sync_directory(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@transaction.atomic
def _record(path: Path, span: tuple[int, int], *, actor: str, reason: str, now: datetime) -> EvidenceArchive:
    """Say in the evidence itself that these rows are in that file."""
    sha256 = _sha256(path)
    rows = EvidenceBatch.objects.filter(sequence__range=span).aggregate(rows=models.Sum("rows"))["rows"] or 0
    archive = EvidenceArchive(
        name=path.name,
        first=span[0],
        through=span[1],
        rows=rows,
        bytes=path.stat().st_size,
        sha256=sha256,
        actor=actor,
        reason=reason,
        at=now,
    )
    record(
        actor=actor,
        action="evidence.archive",
        object_type="evidence_archive",
        object_id=path.name,
        object_label=path.name,
        reason=reason,
        after={"first": span[0], "through": span[1], "rows": rows, "sha256": sha256},
    )
    seal(archive)
    return archive


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def delete_archived() -> int:
    """Delete the rows that are in archives, some batches at a time, and return how many."""
    through, deleted = _through(), 0
    for model in sealed_models():
        if model.goes_into_archives:
            deleted += _delete(model, through)
    return deleted


def _delete(model: type[Sealed], through: int) -> int:
    deleted = 0
    while True:
        # The way around the code that refuses: the database looks at every row again.
        rows = model._base_manager.filter(batch__lte=through)
        first = rows.aggregate(first=models.Min("batch"))["first"]
        if first is None:
            return deleted
        some: models.QuerySet[Sealed] = models.QuerySet(model).filter(
            batch__gte=first, batch__lt=min(first + _TOGETHER, through + 1)
        )
        deleted += some._raw_delete(using=some.db)
