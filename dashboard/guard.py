"""Whether those who look may still: their sessions and rights are read again every two seconds, for all at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias

from audit.acting import Acting
from feeds.seldom import Seldom

logger = logging.getLogger(__name__)

EVERY_S = 2.0

# Who is signed in by these sessions, with what they may now.
Find: TypeAlias = Callable[[Collection[str]], Mapping[str, Acting]]

# Told of what somebody may now; None: they are not signed in any more.
Tell: TypeAlias = Callable[[Acting | None], None]


class Guard:
    """Tells those who look what they may, whenever that has changed.

    While the database is away nobody's rights can be read, nor can anybody have changed them: all stays as it is.

    Parameters
    ----------
    find
        Finds out who is signed in by some sessions; called in a thread.
    every_s
        Seconds from one look to the next.
    """

    def __init__(self, find: Find, *, every_s: float = EVERY_S) -> None:
        self._find, self._every_s = find, every_s
        self._guarded: dict[Tell, tuple[str, Acting | None]] = {}
        self._seldom = Seldom(logger)
        self._work = asyncio.create_task(self._look_on())

    async def admit(self, session_key: str, tell: Tell) -> Acting | None:
        """Return who is signed in by a session, and tell of changes from now on. Raises Django's database errors."""
        found = (await asyncio.to_thread(self._find, [session_key])).get(session_key)
        if found is not None:
            self._guarded[tell] = session_key, found
        return found

    def leave(self, tell: Tell) -> None:
        """Tell somebody of nothing any more."""
        self._guarded.pop(tell, None)

    async def close(self) -> None:
        """Look no more."""
        self._work.cancel()
        await asyncio.gather(self._work, return_exceptions=True)

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            if self._guarded:
                await self._look()

    async def _look(self) -> None:
        sessions = {session_key for session_key, _ in self._guarded.values()}
        try:
            found = await asyncio.to_thread(self._find, sessions)
        except Exception as error:  # whatever it is, the next look may be better
            self._seldom.warn("the rights of those who look at live pages cannot be read: %s", error)
            return
        for tell, (session_key, known) in list(self._guarded.items()):
            now = found.get(session_key)
            if session_key in sessions and now != known:
                self._guarded[tell] = session_key, now
                tell(now)
