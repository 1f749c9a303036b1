"""Where the files of reports are: while they are made, and then in the storage that is called `reports`.

A file that is being made has another directory. Only a whole one, which is on the disk to its last byte, is moved into
the storage, and only then its row says that it is done.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import Storage, storages

from reports.errors import NotThere
from reports.exporters.as_xlsx import TEMPORARY
from reports.models import Report, State

logger = logging.getLogger(__name__)

_UNFINISHED = "unfinished"
_A_DAY_S = 86_400


class _Moved(File):  # type: ignore[type-arg]
    """A file that a storage on the same disk moves and need not copy."""

    def temporary_file_path(self) -> str:
        return str(self.name)


@contextmanager
def unfinished(report: Report) -> Iterator[Path]:
    """Give the path of a file to be made, of which nothing is left in the end unless it was stored."""
    path = _directory() / _name(report)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def keep(path: Path) -> str:
    """Move a file that was made into the storage, and return its name there."""
    with path.open("rb") as made:
        os.fsync(made.fileno())
        content = _Moved(made, str(path))
        return str(_storage().save(path.name, content))


def open_file(report: Report) -> IO[bytes]:
    """Open the file of a report that is done. Raises NotThere where it is gone, or not as long as it was."""
    try:
        found: Any = _storage().open(report.stored_as, "rb")
        if found.size == report.bytes:
            return found  # type: ignore[no-any-return]
        found.close()
    except OSError as error:
        logger.error("the file of report %s cannot be read: %s", report.pk, error)
    raise NotThere("The file of this report is gone, or is not what was made: ask for the report again.")


def remove(name: str) -> None:
    """Remove a file from the storage; one that is gone already is no error."""
    _storage().delete(name)


def sweep() -> int:
    """Remove what processes that were killed have left, and return how many files."""
    stored = _names_in_storage()
    left = list(_directory().iterdir())
    # Asked after both were listed: what is finished meanwhile is known by either.
    running = {_name(row) for row in Report.objects.filter(state=State.RUNNING).only("attempt", "format")}
    known = set(Report.objects.filter(state=State.DONE, stored_as__in=stored).values_list("stored_as", flat=True))
    gone = [name for name in stored if name not in running | known]
    for name in gone:
        remove(name)
    over = [path for path in left if path.name not in running]
    for path in over:
        path.unlink(missing_ok=True)
    return len(gone) + len(over) + _sweep_workbooks(time.time())


def _sweep_workbooks(now_s: float) -> int:
    """Remove what workbooks have left that were broken off with their process; no report is made for a day."""
    old = [
        path
        for path in Path(tempfile.gettempdir()).glob(f"{TEMPORARY}*")
        if path.is_dir() and path.stat().st_uid == os.geteuid() and now_s - path.stat().st_mtime > _A_DAY_S
    ]
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
    return len(old)


def _name(report: Report) -> str:
    return f"{report.pk}-{report.attempt}.{report.format}"


def _names_in_storage() -> list[str]:
    try:
        return _storage().listdir("")[1]
    except FileNotFoundError:
        return []


def _storage() -> Storage:
    return storages["reports"]


def _directory() -> Path:
    found: Path = settings.RISK_DATA_DIR / "reports" / _UNFINISHED
    for each in (found.parent, found):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
    return found
