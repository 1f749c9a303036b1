"""A journal in a directory: what was appended survives the process, whichever way that ends.

Entries are appended to a segment file by one write for each commit, before the commit is answered. The
write is in the operating system's hands then, so killing the process loses nothing. It is on the disk only
once it was synced, which waits for the disk: not for each commit, but before entries are handed to the
drain. So a power cut may take what was appended since then, and nothing that the database may count as
drained.

A process killed within the write leaves a torn record at the end of its segment: its commit was never
answered, its check sum is wrong, and reading the segment ends before it. Every life of the process begins a
segment of its own, and whatever has been drained is removed by whole segments.

A record is a header (length and CRC-32 of what follows the two, id of the first entry, number of entries)
and, for each entry, its length and its bytes. A segment is named after the first id it may hold.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from struct import Struct
from zlib import crc32

from state.store import StateUnavailable

logger = logging.getLogger(__name__)

_SUFFIX = ".journal"
_NAME_DIGITS = 20
_HEADER = Struct(">IIQI")
_CHECKED = Struct(">QI")
_LENGTH = Struct(">I")


class JournalFile:
    """Numbered entries, appended and drained by one process at a time. Not safe for threads by itself.

    Once the disk has failed to sync it is not known what is on it, and syncing again would not tell: the system
    reports such an error once. The journal takes and gives nothing more then, until another process opens it.

    Parameters
    ----------
    directory
        Where the segments are; made when it is first needed.
    segment_bytes
        A segment that has reached this size is followed by another.

    Every method raises StateUnavailable where the directory cannot be used, or another process uses it.
    """

    def __init__(self, directory: Path, *, segment_bytes: int = 8 * 1024 * 1024) -> None:
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._lock_fd: int | None = None
        self._fd: int | None = None
        self._writing = directory
        self._size = 0
        self._generation = ""
        self._next_id = 1
        self._trimmed_through = 0
        self._segments: list[int] = []  # the first id that each may hold, the last one being written
        self._position = (0, 0, 0)  # after this id, read on in this segment at this offset
        self._unsynced: set[Path] = set()  # of these the end may not be on the disk yet
        self._failure = ""

    @property
    def generation(self) -> str:
        """Return the name of this life of the journal: another one once the directory was lost."""
        self._open()
        return self._generation

    def append(self, entries: Sequence[bytes]) -> None:
        """Keep the entries, all or none, with the ids that follow the last one."""
        self._open()
        try:
            if self._fd is None or self._size >= self._segment_bytes:
                self._begin_segment()
            assert self._fd is not None
            record = _packed(self._next_id, entries)
            self._unsynced.add(self._writing)
            written = os.write(self._fd, record)
            if written < len(record):
                raise OSError(f"only {written} of {len(record)} bytes were written")
        except OSError as error:
            self._end_segment()  # what was written of the record is its torn end
            raise StateUnavailable(f"the journal cannot be written: {error}") from error
        self._size += len(record)
        self._next_id += len(entries)

    def read(self, after: int, count: int) -> list[tuple[int, bytes]]:
        """Return up to `count` entries after the id `after` that were not trimmed, oldest first."""
        self._open()
        after = max(after, self._trimmed_through)
        try:
            return list(islice(self._entries(after), count))
        except OSError as error:
            raise StateUnavailable(f"the journal cannot be read: {error}") from error

    def begin_sync(self) -> Callable[[], None]:
        """Return what waits until all that was appended so far is on the disk; it may run beside other methods.

        Call it once. It does nothing where everything is on the disk, and raises StateUnavailable where it fails.
        """
        self._open()
        paths, self._unsynced = self._unsynced, set()
        return partial(self._sync, paths)

    def trim(self, through: int) -> None:
        """Forget the entries up to and including the id `through`."""
        self._open()
        self._trimmed_through = max(self._trimmed_through, min(through, self._next_id - 1))
        try:
            while len(self._segments) > 1 and self._segments[1] <= self._trimmed_through + 1:
                self._path(self._segments.pop(0)).unlink(missing_ok=True)
        except OSError as error:
            raise StateUnavailable(f"the journal cannot be trimmed: {error}") from error

    def __len__(self) -> int:
        """Return how many entries are not trimmed."""
        self._open()
        return self._next_id - 1 - self._trimmed_through

    def close(self) -> None:
        """Let another process have the directory."""
        self._end_segment()
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def _sync(self, paths: set[Path]) -> None:
        try:
            for path in paths:
                with contextlib.suppress(FileNotFoundError):  # drained and trimmed meanwhile
                    _put_on_disk(path)
        except OSError as error:
            self._failure = f"the journal may not be on the disk, restart the process: {error}"
            logger.error("%s: %s", self._directory, self._failure)
            raise StateUnavailable(self._failure) from error

    def _open(self) -> None:
        if self._failure:
            raise StateUnavailable(self._failure)
        if self._lock_fd is not None:
            return
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            lock_fd = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateUnavailable(f"the journal cannot be opened: {error}") from error
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._recover()
        except BlockingIOError:
            os.close(lock_fd)
            raise StateUnavailable(f"another process keeps its journal in {self._directory}") from None
        except OSError as error:
            os.close(lock_fd)
            raise StateUnavailable(f"the journal cannot be opened: {error}") from error
        self._lock_fd = lock_fd

    def _recover(self) -> None:
        """Find out from the directory where the journal ended."""
        self._generation = self._read_generation()
        self._segments = sorted(int(path.stem) for path in self._directory.glob("[0-9]" * _NAME_DIGITS + _SUFFIX))
        self._next_id = self._segments[-1] if self._segments else 1
        for first_id, entries, _ in self._records(self._next_id, 0):
            self._next_id = first_id + len(entries)
        self._trimmed_through = (self._segments[0] if self._segments else 1) - 1
        # Whoever wrote them may have been killed before they were synced.
        self._unsynced = {self._directory, *map(self._path, self._segments)}

    def _read_generation(self) -> str:
        path = self._directory / "generation"
        if not path.exists():
            draft = path.with_suffix(".new")
            draft.write_text(uuid.uuid4().hex)
            _put_on_disk(draft)
            draft.replace(path)
        return path.read_text()

    def _begin_segment(self) -> None:
        self._end_segment()
        # One of that name holds no entry, at most a torn record.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        self._writing = self._path(self._next_id)
        self._fd = os.open(self._writing, flags, 0o600)
        self._unsynced.add(self._directory)  # which has its name
        self._size = 0
        if self._segments[-1:] != [self._next_id]:
            self._segments.append(self._next_id)

    def _end_segment(self) -> None:
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = None

    def _path(self, segment: int) -> Path:
        return self._directory / f"{segment:0{_NAME_DIGITS}d}{_SUFFIX}"

    def _entries(self, after: int) -> Iterator[tuple[int, bytes]]:
        known_after, known_segment, known_offset = self._position
        if not self._segments:
            return
        for segment, following in pairwise([*self._segments, self._next_id]):
            if following <= after + 1:
                continue
            start = known_offset if known_after == after and known_segment == segment else 0
            last_id = after
            for first_id, entries, offset in self._records(segment, start):
                for entry_id, entry in enumerate(entries, first_id):
                    if entry_id > after:
                        self._position = (entry_id, segment, offset)
                        yield entry_id, entry
                        last_id = entry_id
            if last_id < following - 1:
                path, lost = self._path(segment), f"{last_id + 1} to {following - 1}"
                logger.error("journal segment %s is damaged: entries %s are lost", path, lost)

    def _records(self, segment: int, offset: int) -> Iterator[tuple[int, list[bytes], int]]:
        """Yield from a segment each record's first id, its entries and its own offset."""
        try:
            file = self._path(segment).open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(offset)
            while len(header := file.read(_HEADER.size)) == _HEADER.size:
                length, check_sum, first_id, count = _HEADER.unpack(header)
                content = file.read(length)
                if len(content) < length or crc32(_CHECKED.pack(first_id, count) + content) != check_sum:
                    return  # torn
                yield first_id, _unpacked(content, count), offset
                offset += _HEADER.size + length


def _put_on_disk(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _packed(first_id: int, entries: Sequence[bytes]) -> bytes:
    content = b"".join(part for entry in entries for part in (_LENGTH.pack(len(entry)), entry))
    check_sum = crc32(_CHECKED.pack(first_id, len(entries)) + content)
    return _HEADER.pack(len(content), check_sum, first_id, len(entries)) + content


def _unpacked(content: bytes, count: int) -> list[bytes]:
    entries = []
    at = 0
    for _ in range(count):
        (length,) = _LENGTH.unpack_from(content, at)
        at += _LENGTH.size
        entries.append(content[at : at + length])
        at += length
    return entries
