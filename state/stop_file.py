"""The stops of an embedded process in a file, so that they outlive it whatever becomes of the database.

The file is written anew with each change and put in the place of the old one, on the disk before the change returns. A
disk that fails does not keep trading from being stopped: the stop is in force in memory, and the log says what is not
kept. A file that cannot be read may have held any stop, so everything is halted until somebody has looked.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from riskcore.ports import Stop
from state.store import StateUnavailable

logger = logging.getLogger(__name__)


class _Content(Struct, frozen=True):
    stops: tuple[Stop, ...]
    notes: dict[str, str]


_decoder = msgspec.json.Decoder(_Content)


class StopFile:
    """Stops and what was noted of them, kept by one process at a time. Not safe for threads by itself.

    Parameters
    ----------
    directory
        Where the file is; made when it is first needed.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / "stops.json"
        self._lock_fd: int | None = None

    def load(self) -> tuple[tuple[Stop, ...], dict[str, bytes]]:
        """Return what the process before this one kept. Raises StateUnavailable where another one keeps it still."""
        try:
            self._take_lock()
            found = _decoder.decode(self._path.read_bytes())
        except FileNotFoundError:
            return (), {}
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            logger.error("%s cannot be read, so everything is halted: %s", self._path, error)
            self._put_aside()
            return (Stop(id=str(uuid.uuid4())),), {}
        return found.stops, {name: note.encode() for name, note in found.notes.items()}

    def save(self, stops: Sequence[Stop], notes: Mapping[str, bytes]) -> None:
        """Keep the stops and their notes. Where the disk does not, that is logged and nothing raised.

        Raises StateUnavailable where another process keeps its stops here.
        """
        content = _Content(tuple(stops), {name: note.decode() for name, note in notes.items()})
        try:
            self._take_lock()
            draft = self._path.with_suffix(".new")
            with draft.open("wb") as file:
                file.write(msgspec.json.encode(content))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
            directory = os.open(self._directory, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            logger.error("the stops in force are not on the disk and would not outlive this process: %s", error)

    def close(self) -> None:
        """Let another process have the file."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def _take_lock(self) -> None:
        if self._lock_fd is not None:
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        lock_fd = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock_fd)
            raise StateUnavailable(f"another process keeps its stops in {self._directory}") from None
        self._lock_fd = lock_fd

    def _put_aside(self) -> None:
        """Keep an unreadable file for whoever looks, out of the way of the next one."""
        try:
            self._path.replace(self._path.with_suffix(f".unreadable-{time.time_ns()}"))
        except OSError as error:
            logger.error("%s cannot be put aside: %s", self._path, error)
