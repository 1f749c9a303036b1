"""Holding back Python's search for garbage while much is made that is not, and none of it in cycles."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_back() -> Iterator[None]:
    """Search for no garbage meanwhile: a fifth of a look at ten thousand accounts would be that, a tenth of a check."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
