"""Waiting for what comes about by itself, on however slow a machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

# Far longer than anything takes that comes about at all.
PATIENCE_S = 60.0

# How long a command of Redis may take in tests, but for those that are about that: a machine that stands still for a
# moment is not a Redis that is away.
REDIS_S = 5.0

# The settings of every process of the tests, and of their own: nothing is refused because the machine stood still.
PATIENT = {"RISK_REDIS_TIMEOUT": f"{REDIS_S:g}s", "RISK_STATE_MAX_AGE": "60s", "RISK_PRICE_MAX_AGE": "60s"}


async def eventually(look: Callable[[], object], what: str) -> None:
    """Look until it is true, without holding up the loop."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not look():  # noqa: ASYNC110 - there is no event for everything that a test waits for
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {PATIENCE_S:.0f} s: {what}") from None
