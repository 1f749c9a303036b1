"""What a server process does once, before its first request."""

from __future__ import annotations

import gc
import sys

from django.urls import get_resolver

# How long a thread may keep Python to itself while another waits for it, in seconds. Python's own 5 ms, several times
# in one check, make a slow one wherever another thread writes to the database or works on a batch.
_TURN_S = 0.0005


def warm_up() -> None:
    """Load what the first request would load, and settle the memory.

    The thresholds of the collector stay as they are: raising them makes collections rare and long, which is
    what a slow check is made of.
    """
    get_resolver()._populate()
    settle_memory()


def settle_memory() -> None:
    """Keep everything that lives now out of every later garbage collection."""
    gc.collect()
    gc.freeze()


def take_short_turns() -> None:
    """Let the loop that answers orders have Python soon, whatever the process' other threads work on."""
    sys.setswitchinterval(_TURN_S)
