"""Noticing that Redis was started anew, and may have lost the end of what it had answered.

With `appendfsync everysec` Redis writes what it answers to a file at once, but not while the disk is busy with the
flush before: then up to two seconds later. Killed meanwhile, it comes back without its last answers: reservations that
were granted, a stop that was raised. Nothing in the data says so. But a Redis that was started anew has seen no script
yet: so whoever is told that looks, before it sends the script, whether this is the process that the live state was
restored in. If not, and if it is not sure that Redis keeps everything, it takes the control away: nothing is approved
until the live state is restored (riskportal.restore), as after a loss of the journal.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from state.redis_scripts import RECOGNISE
from state.redis_wire import Argument, Refused

logger = logging.getLogger(__name__)

# A pattern, since an older Redis takes only one name.
_HOW_IT_KEEPS = ("CONFIG", "GET", "append*")
_STARTED_ANEW = (
    "Redis was started anew and may have lost its last answers (appendfsync is not always): nothing is approved"
    " until the live state is restored"
)


def recognise(execute: Callable[..., Any], prefixes: Iterable[str]) -> None:
    """Take the control from every lane whose Redis may have lost something. Raises StateUnavailable."""
    try:
        kept = _keeps_all(execute(*_HOW_IT_KEEPS, harmless=True))
    except Refused:  # who may not ask is not sure
        kept = False
    _tell([execute(*_command(prefix, kept), harmless=True) for prefix in prefixes])


async def recognise_async(execute: Callable[..., Awaitable[Any]], prefixes: Iterable[str]) -> None:
    """Do what `recognise` does, over a connection of tasks."""
    try:
        kept = _keeps_all(await execute(*_HOW_IT_KEEPS))
    except Refused:
        kept = False
    _tell([await execute(*_command(prefix, kept)) for prefix in prefixes])


def _command(prefix: str, kept: bool) -> tuple[Argument, ...]:
    return ("EVAL", RECOGNISE.text, 1, prefix, int(kept))


def _keeps_all(reply: Sequence[bytes]) -> bool:
    """Return whether Redis writes to the disk before it answers. `reply`: names and values in turn."""
    settings = dict(list(pairwise(reply))[::2])
    return settings.get(b"appendonly") == b"yes" and settings.get(b"appendfsync") == b"always"


def _tell(taken: Sequence[int]) -> None:
    if any(taken):
        logger.error(_STARTED_ANEW)
