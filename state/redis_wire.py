"""What both kinds of connection to Redis share: packing, addresses, time-outs and the error of a reply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

import hiredis
from redis import connection

from state.store import StateUnavailable

Argument: TypeAlias = str | bytes | int

# How long a command may take that moves megabytes, a book, a journal, the list of all accounts: so long at least.
_BULK_S = 2.0

# The command as it travels. hiredis' own type takes tuples of one argument only.
pack = cast(Callable[[tuple[Argument, ...]], bytes], hiredis.pack_command)


class Refused(StateUnavailable):
    """Redis answered a command with an error, which is the text."""


def bulk_timeout_s(timeout_s: float) -> float:
    """Return how many seconds a command that moves megabytes may take where one of a check may take `timeout_s`."""
    return max(_BULK_S, timeout_s)


def options_of(url: str) -> dict[str, Any]:
    """Return what a URL says, by redis-py's names. Raises ValueError where it is none of Redis."""
    return cast(Callable[[str], dict[str, Any]], connection.parse_url)(url)
