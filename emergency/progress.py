"""What an OMS says by itself of how far it has come: kept for whoever drives the stop, and said to be there."""

from __future__ import annotations

import time
from uuid import UUID

from django.db import Error as DatabaseError
from django.db import connection

from emergency.answers import Unreadable, read_progress
from emergency.models import EmergencyStop
from emergency.notes import StopNote, decode, encode
from emergency.tasks import unwind_soon
from state.store import Store

# Between two calls for a worker, in seconds: an OMS that closes much says much.
_PAUSE_S = 0.2

_called_s = 0.0


def take_progress(live: Store, payload: bytes) -> bool:
    """Take what an OMS says on `execution.progress`; return whether its stop is in force still.

    Raises Unreadable, also where nobody knows the stop, and StateUnavailable.
    """
    note = read_progress(payload)
    if not any(isinstance(each, StopNote) for each in decode(live.stop_notes(note.stop_id))):
        if _is_over(note.stop_id):
            return False
        raise Unreadable(f"there is no stop {note.stop_id}")
    live.put_stop_notes({note.name: encode(note)})
    _call()
    return True


def _is_over(stop_id: str) -> bool:
    """Return whether there was such a stop, as far as the database says."""
    try:
        return EmergencyStop.objects.filter(pk=UUID(stop_id)).exists()
    except (ValueError, DatabaseError):
        return False
    finally:
        connection.close_if_unusable_or_obsolete()  # nobody else does, in a thread that serves no request


def _call() -> None:
    """Have a worker look at it, unless one was called just now: the clock has it within a second."""
    global _called_s  # noqa: PLW0603 - of this process; two threads that call at once do no harm
    now_s = time.monotonic()
    if now_s - _called_s >= _PAUSE_S:
        _called_s = now_s
        unwind_soon()
