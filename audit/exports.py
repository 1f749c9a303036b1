"""Checks a file of evidence against its manifest, offline: neither changed, nor cut off, nor short of rows."""

from __future__ import annotations

import hashlib
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from audit.manifest import Manifest

_CHUNK = 1 << 20
_ENDS = b"%%EOF"
_ROW = b"<row "
# What reading an archive that was cut off or changed ends in, wherever that was.
_NOT_A_WORKBOOK = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError)


def check_file(path: Path, manifest: Manifest) -> list[str]:
    """Return what is wrong with a file, in sentences for people, the plainest first; empty: it is what it was.

    Memory stays flat however large the file is.
    """
    try:
        with path.open("rb") as stream:
            return _problems(stream, manifest)
    except OSError as error:
        return [f"The file cannot be read: {error.strerror}."]


def _problems(stream: BinaryIO, manifest: Manifest) -> list[str]:
    size, sha256 = _measured(stream)
    found = []
    if size != manifest.bytes:
        how = "it was cut off" if size < manifest.bytes else "something was added"
        found.append(f"The file has {size:,} bytes and the manifest says {manifest.bytes:,}: {how}, or it is another.")
    if sha256 != manifest.sha256:
        found.append(f"The content was changed: its SHA-256 is {sha256} and the manifest says {manifest.sha256}.")
    if manifest.format != "pdf" and manifest.rows_in_file != manifest.rows:
        found.append(f"The report has {manifest.rows:,} rows and only {manifest.rows_in_file:,} are in the file.")
    stream.seek(0)
    return [*found, *_inside(stream, manifest)]


def _inside(stream: BinaryIO, manifest: Manifest) -> list[str]:
    """Return what is wrong with the rows or the end of a file, by its format."""
    try:
        count = COUNTS[manifest.format]
    except KeyError:
        return [f"The manifest names a format that is not known: {manifest.format}."]
    try:
        rows = count(stream)
    except _Broken as broken:
        return [f"{broken}"]
    if rows is not None and rows != manifest.rows_in_file:
        return [f"There are {rows:,} rows in the file and the manifest says {manifest.rows_in_file:,}."]
    return []


class _Broken(Exception):
    """The file ends in the middle, or is not of its format."""


def _measured(stream: BinaryIO) -> tuple[int, str]:
    """Return the length in bytes and the SHA-256 (hex) of all that there is."""
    size, hashed = 0, hashlib.sha256()
    while chunk := stream.read(_CHUNK):
        size += len(chunk)
        hashed.update(chunk)
    return size, hashed.hexdigest()


def _count_csv(stream: BinaryIO) -> int:
    """Count records after the header. A line ends one only where it has closed its quotes (RFC 4180)."""
    records, quoted, ended = 0, 0, True
    while piece := stream.readline(_CHUNK):
        quoted ^= piece.count(b'"') & 1
        ended = piece.endswith(b"\n") and not quoted
        records += ended
    if not ended:
        raise _Broken("The file ends in the middle of a row.")
    if not records:
        raise _Broken("The file has no header.")
    return records - 1


def _count_lines(stream: BinaryIO) -> int:
    lines, ended = 0, True
    while piece := stream.readline(_CHUNK):
        ended = piece.endswith(b"\n")
        lines += ended
    if not ended:
        raise _Broken("The file ends in the middle of a row.")
    return lines


def _count_workbook(stream: BinaryIO) -> int:
    """Count the rows of all sheets but the first, which says what they are about, less a header each."""
    try:
        with zipfile.ZipFile(stream) as book:
            sheets = [name for name in book.namelist() if name.startswith("xl/worksheets/sheet")]
            return sum(_count_sheet(book, name) - 1 for name in sheets if name != "xl/worksheets/sheet1.xml")
    except _NOT_A_WORKBOOK as error:
        raise _Broken("The file is no whole workbook: it was cut off or changed.") from error


def _count_sheet(book: zipfile.ZipFile, name: str) -> int:
    rows, before = 0, b""
    with book.open(name) as sheet:
        while chunk := sheet.read(_CHUNK):
            text = before + chunk
            rows += text.count(_ROW)
            before = text[1 - len(_ROW) :]  # too short to be counted twice
    return rows


def _end_of_pdf(stream: BinaryIO) -> None:
    """Look at its end alone: how many rows are in it, only its reader sees."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - len(_ENDS) - 2))
    if not stream.read().rstrip().endswith(_ENDS):
        raise _Broken("The document ends in the middle.")


COUNTS: dict[str, Callable[[BinaryIO], int | None]] = {
    "csv": _count_csv,
    "jsonl": _count_lines,
    "xlsx": _count_workbook,
    "pdf": _end_of_pdf,
}
