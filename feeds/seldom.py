"""Warnings of what may happen a thousand times a second, a few of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

_EVERY_S = 10.0


class Seldom:
    """Logs a warning of each kind every ten seconds at most.

    Parameters
    ----------
    logger
        Where to.
    clock
        Seconds that only go forward.
    """

    def __init__(self, logger: logging.Logger, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger, self._clock = logger, clock
        self._due_s: dict[str, float] = {}

    def warn(self, text: str, *values: object) -> None:
        """Log a warning, if there was none of this text (its values left out of account) lately."""
        now_s = self._clock()
        if now_s >= self._due_s.get(text, now_s):
            self._due_s[text] = now_s + _EVERY_S
            self._logger.warning(text, *values)
