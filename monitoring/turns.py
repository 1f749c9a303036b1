"""Turns: what several processes are there for, and one at a time does."""

from __future__ import annotations

import contextlib
import uuid

from state.store import StateUnavailable, Store


class TooLate(Exception):
    """Another process has had the turn since."""


class Turn:
    """One go at something that one process at a time does, by a lease of the live state and its fencing token.

    Parameters
    ----------
    live
        The live state.
    name
        What it is.
    life_us
        After how long without a word others take whoever has the turn for dead, in microseconds.
    """

    def __init__(self, live: Store, name: str, life_us: int) -> None:
        self._live, self._name, self._life_us = live, name, life_us
        self._holder = uuid.uuid4().hex
        self._token: int | None = None

    def begin(self) -> bool:
        """Take the turn and return True, or False where another has it. Raises StateUnavailable."""
        self._token = self._live.hold_lease(self._name, self._holder, self._life_us)
        return self._token is not None

    def go_on(self) -> None:
        """Keep the turn before something that must not be done twice. Raises TooLate, StateUnavailable."""
        if self._live.hold_lease(self._name, self._holder, self._life_us) != self._token:
            raise TooLate(self._name)

    def end(self) -> None:
        """Let the next one have it at once."""
        with contextlib.suppress(StateUnavailable):  # it ends by itself
            self._live.hold_lease(self._name, self._holder, 0)
