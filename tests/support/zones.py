"""Time zones whose clocks are changed when a test wants it. Processes that are started with `settings` know them."""

from __future__ import annotations

import os
import struct
import zoneinfo
from datetime import datetime, timedelta
from pathlib import Path


def settings(directory: Path) -> dict[str, str]:
    """Return what a process needs in its environment to know the zones in a directory beside those of the machine."""
    return {"PYTHONTZPATH": os.pathsep.join([str(directory), *zoneinfo.TZPATH])}


def write_zone(directory: Path, name: str, change: datetime, before: timedelta, after: timedelta) -> None:
    """Write a zone whose clocks are ahead of UTC by `before`, and by `after` from a moment on.

    The moment is of whole seconds. The format is that of RFC 8536, version 1.
    """
    names = b"BEFORE\0AFTER\0"
    header = b"TZif" + bytes(16) + struct.pack(">6l", 0, 0, 0, 1, 2, len(names))
    kinds = struct.pack(">lBBlBB", _seconds(before), 0, 0, _seconds(after), after > before, len(b"BEFORE\0"))
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + struct.pack(">lB", int(change.timestamp()), 1) + kinds + names)


def _seconds(ahead: timedelta) -> int:
    return int(ahead.total_seconds())
