"""Checks files that were taken away, each by what it is, and all of them together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from msgspec import Struct

from audit.archive import SUFFIX
from audit.check_archive import ArchiveCheck, check_archive
from audit.exports import check_file
from audit.heads import Heads
from audit.manifest import ManifestUnreadable, manifest_beside, read_manifest


class FileCheck(Struct, frozen=True, kw_only=True):
    """What was found in a file: `what` it has, for people, and `problem`, empty where it is as it was."""

    file: str
    what: str = ""
    problem: str = ""

    @property
    def intact(self) -> bool:
        return not self.problem


def check_files(
    files: Sequence[Path], anchors: Sequence[Heads], told: Callable[[int, int], None] | None = None
) -> tuple[list[FileCheck], list[str]]:
    """Return what is found in each file, and what is wrong with all of them together.

    Files of evidence must follow on each other, in whatever order they are given, and reach every anchor.
    """
    archives: dict[Path, ArchiveCheck] = {}
    found = []
    for path in files:
        if path.name.endswith(SUFFIX):
            archives[path] = check_archive(path, anchors, None if told is None else lambda batch: told(batch, batch))
            found.append(_of_archive(path, archives[path]))
        else:
            found.append(_of_report(path))
    return found, [*_gaps(archives), *_out_of_reach(archives, anchors)]


def _of_archive(path: Path, check: ArchiveCheck) -> FileCheck:
    parts = (
        [f"{check.rows:,} rows of batches {check.first:,} to {check.through:,}"] if check.through >= check.first else []
    )
    if check.through_event >= check.first_event:
        parts.append(f"events {check.first_event:,} to {check.through_event:,}")
    return FileCheck(file=str(path), what=" and ".join(parts) or "nothing", problem=check.problem)


def _of_report(path: Path) -> FileCheck:
    try:
        manifest = read_manifest(manifest_beside(path))
    except ManifestUnreadable as error:
        return FileCheck(file=str(path), problem=f"Its manifest {error}.")
    what = f"{manifest.title}, {manifest.rows_in_file:,} rows, of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC"
    return FileCheck(file=str(path), what=what, problem=" ".join(check_file(path, manifest)))


def _gaps(archives: dict[Path, ArchiveCheck]) -> list[str]:
    """Return where one file of evidence does not follow on the one before it."""
    with_batches = sorted((each for each in archives.items() if each[1].through >= each[1].first), key=_first)
    problems = []
    for (one_path, one), (other_path, other) in pairwise(with_batches):
        if other.first > one.through + 1:
            problems.append(f"Batches {one.through + 1} to {other.first - 1} are in none of the files.")
        elif other.first == one.through + 1 and other.before != one.head:
            problems.append(f"{other_path} does not follow on {one_path}: they are not of one chain.")
    return problems


def _first(item: tuple[Path, ArchiveCheck]) -> int:
    return item[1].first


def _out_of_reach(archives: dict[Path, ArchiveCheck], anchors: Sequence[Heads]) -> list[str]:
    """Return the ends that anchors name and no file of evidence reaches: what was there then is cut off."""
    if not archives or not anchors:
        return []
    last = {
        "event": (max(each.through_event for each in archives.values()), max(each.events for each in anchors)),
        "batch": (max(each.through for each in archives.values()), max(each.batches for each in anchors)),
    }
    return [
        f"The files end with {what} {there}: {what} {there + 1} is missing, an anchor names {what} {named}."
        for what, (there, named) in last.items()
        if there < named
    ]
