"""What there is to be seen, found out each second: part after part, each from where it is known best."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from django.db import DatabaseError, connections
from msgspec import Struct

from api.errors import Problem
from dashboard.pictures import Rows, Section, row
from dashboard.telling import Told, Word
from feeds.seldom import Seldom
from state.store import StateUnavailable

logger = logging.getLogger(__name__)

Sections = Mapping[str, Section]

# A part may take this share of the time of one core; with many accounts it is looked at less often.
_SHARE = 0.1

# What the monitor saw is looked at as soon as it is there, each second; where it comes in shards, not with every one.
_REST_S = 0.7


class Part(Struct, frozen=True):
    """Some sections that are read together, every so many seconds at most, or at once when something is heard.

    `read` is given the accounts that are watched. It raises StateUnavailable, Problem and Django's database errors.
    """

    names: tuple[str, ...]
    read: Callable[[tuple[str, ...]], Sections]
    every_s: float = 0.0


class _Known:
    """What a part showed last, since when it could not be read, and when it is due."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.sections: Sections = {}
        self.due_s = 0.0
        self.since: datetime | None = None
        self.why = ""


class Looking:
    """Looks at every part. One that cannot be read shows what it showed last, and since when and why (`trouble`).

    Parameters
    ----------
    told
        Takes what the monitor tells.
    parts
        What there is, in its order.
    clock
        Seconds that only go forward.
    work
        Seconds of the processor that this thread has had: on a busy machine all takes longer, and costs the same.
    """

    def __init__(
        self,
        told: Told,
        parts: Iterable[Part],
        *,
        clock: Callable[[], float] = time.monotonic,
        work: Callable[[], float] = time.thread_time,
    ) -> None:
        self._told, self._clock, self._work = told, clock, work
        self._known = [_Known(part) for part in parts]
        self._heard, self._looked_s = False, -_REST_S
        self._seldom = Seldom(logger)

    def hear(self, subject: str, payload: bytes) -> bool:
        """Take a message that was published; return whether to look at once.

        Then all is read but for what the monitor has said, by which only that changes which is read each time.
        """
        match self._told.hear(subject, payload):
            case Word.FOREIGN:
                self._heard = True
                return True
            case Word.LAST:
                return self._clock() - self._looked_s >= _REST_S
            case Word.PART:
                return False

    def look(self, watched: Iterable[str]) -> Sections:
        """Return every section. Never raises."""
        heard, self._heard, self._looked_s = self._heard, False, self._clock()
        wanted, found = tuple(watched), dict[str, Section]()
        try:
            for known in self._known:
                if heard or self._clock() >= known.due_s:
                    self._read(known, wanted)
                found.update(known.sections)
        finally:
            connections.close_all()  # what is left open would be a connection that nobody uses for a second
        found["trouble"] = self._trouble()
        return found

    def _read(self, known: _Known, watched: tuple[str, ...]) -> None:
        begun_s, worked_s = self._clock(), self._work()
        try:
            known.sections = known.part.read(watched)
            known.since = None
        except Exception as error:
            known.since, known.why = known.since or datetime.now(UTC), _why(error)
            if not isinstance(error, (StateUnavailable, Problem, DatabaseError)):
                self._seldom.warn("what browsers are shown could not be read: %r", error)
        known.due_s = begun_s + max(known.part.every_s, (self._work() - worked_s) / _SHARE)

    def _trouble(self) -> Rows:
        troubled = [known for known in self._known if known.since is not None]
        said = {name: {"since": known.since, "why": known.why} for known in troubled for name in known.part.names}
        return Rows({name: row(each) for name, each in said.items()})


def _why(error: Exception) -> str:
    """Return what people are told of an error; its own text may name hosts."""
    match error:
        case StateUnavailable():
            return "the live state cannot be reached or read"
        case Problem():
            return error.detail
        case DatabaseError():
            return "the database cannot be reached"
        case _:
            return "it could not be worked out; the log has the reason"
