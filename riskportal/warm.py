"""What a server process does once, before its first request."""

from __future__ import annotations

import gc

from django.urls import get_resolver


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
