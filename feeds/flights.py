"""What was brought lately, and what is being brought: whoever needs the same meanwhile waits for that.

Threads and tasks share it. Threads of an executor do the bringing; nobody waits for what is known already.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from typing import Generic, TypeAlias, TypeVar

logger = logging.getLogger(__name__)

ValueT = TypeVar("ValueT")

# Done when everything that it brings is there, or has failed.
Flight: TypeAlias = "Future[None]"

# Names are a sender's choice: what is not fresh any more is forgotten when there are more of them than this.
_MOST_KNOWN = 10_000


class Flights(Generic[ValueT]):
    """A cache by name of what `bring` returns, and at most one bringing of each name at a time.

    Parameters
    ----------
    bring
        Returns the values of some names, in a thread. Names that it leaves out, and all of them where it raises,
        have no value; that is remembered as well.
    executor
        The threads.
    fresh_s
        How long a value is fresh, in seconds from the moment at which its bringing began.
    together
        How many names one call brings at most.
    clock
        Seconds that only go forward.
    """

    def __init__(
        self,
        bring: Callable[[Sequence[str]], Mapping[str, ValueT]],
        executor: Executor,
        *,
        fresh_s: float,
        together: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bring, self._executor, self._fresh_s, self._together = bring, executor, fresh_s, together
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, ValueT | None]] = {}
        self._under_way: dict[str, Flight] = {}

    def value(self, name: str) -> ValueT | None:
        """Return the value of a name, fresh or not; None where there is none."""
        known = self._known.get(name)
        return None if known is None else known[1]

    def stale(self, names: Iterable[str], fresh_s: float | None = None) -> list[str]:
        """Return those of the names whose value is not fresh, or is older than `fresh_s`."""
        since = self._clock() - (self._fresh_s if fresh_s is None else fresh_s)
        known = self._known
        return [name for name in names if (entry := known.get(name)) is None or entry[0] < since]

    def begin(self, names: Sequence[str], fresh_s: float | None = None) -> Collection[Flight]:
        """Have those of the names brought that are not fresh, or older than `fresh_s`; return what to wait for.

        Where they are being brought already, nothing is begun, and that is what to wait for.
        """
        flights: dict[Flight, None] = {}
        mine: list[tuple[Flight, list[str]]] = []
        with self._lock:
            wanted = self.stale(names, fresh_s)
            flights.update(dict.fromkeys(self._under_way[name] for name in wanted if name in self._under_way))
            own = [name for name in dict.fromkeys(wanted) if name not in self._under_way]
            for first in range(0, len(own), self._together):
                flight: Flight = Future()
                flight.set_running_or_notify_cancel()  # who gives up waiting must not take it from the others
                some = own[first : first + self._together]
                mine.append((flight, some))
                self._under_way.update(dict.fromkeys(some, flight))
        for flight, some in mine:
            flights[flight] = None
            try:
                self._executor.submit(self._fly, flight, some)
            except RuntimeError:  # the process is ending: nothing is brought any more
                self._land(flight, some, self._clock(), {})
        return flights

    def _fly(self, flight: Flight, names: Sequence[str]) -> None:
        began_s = self._clock()
        brought: dict[str, ValueT] = {}
        try:
            brought = dict(self._bring(names))
        except Exception:
            logger.exception("%s could not be brought", ", ".join(names[:5]))
        finally:
            self._land(flight, names, began_s, brought)

    def _land(self, flight: Flight, names: Sequence[str], began_s: float, brought: Mapping[str, ValueT]) -> None:
        with self._lock:
            for name in names:
                self._known[name] = (began_s, brought.get(name))
                del self._under_way[name]
            if len(self._known) > _MOST_KNOWN:
                since = self._clock() - self._fresh_s
                self._known = {name: entry for name, entry in self._known.items() if entry[0] >= since}
        flight.set_result(None)


def wait_for(flights: Collection[Flight], patience_s: float) -> None:
    """Wait in a thread until all have landed, for `patience_s` seconds at most."""
    wait(flights, patience_s)


async def wait_in_task(flights: Collection[Flight], patience_s: float) -> None:
    """Do as `wait_for` does, in a task."""
    # Waiting does not cancel what it waits for: others may wait for the same.
    await asyncio.wait([asyncio.wrap_future(flight) for flight in flights], timeout=patience_s)
