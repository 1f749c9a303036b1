"""The flags of stops in the live state: raised in every lane before a call returns, taken down by id."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from emergency.notes import StopNote, decode, encode
from emergency.words import Trigger
from riskcore.ports import Load, Stop
from riskcore.types import TradingState
from state.ids import new_id
from state.store import StateUnavailable, Store
from state.trading_state import change_stops

_ATTEMPTS = 50
_FAILURES = 3
_SEVERITY = {TradingState.REDUCING: 1, TradingState.HALTED: 2}


class Raised(Struct, frozen=True):
    """A stop in force since `at_us` at the latest, on the live state's clock.

    `new` False: it was in force before, and is at least as severe as what was asked.
    """

    note: StopNote
    new: bool
    at_us: int


def now_us(store: Store) -> int:
    """Return the live state's clock, in microseconds since the epoch."""
    return store.load(Load(accounts=())).now_us


def raise_flag(store: Store, asked: StopNote) -> Raised:
    """Put a stop in force in every lane, unless one is that asks for no less. Raises StateUnavailable.

    `asked` has no id and no time yet. After a failure nobody knows which lanes have the stop: it is tried again, and
    its id keeps it from being two.
    """
    begun_ns = time.perf_counter_ns()
    # By this machine's clock, so that the flag is up without asking for the time first.
    asked_at_us = time.time_ns() // 1000
    asked = replace(asked, id=new_id(asked_at_us), asked_at_us=asked_at_us)
    failure: StateUnavailable | None = None
    for _ in range(_FAILURES):
        try:
            return _raise_flag(store, asked, begun_ns)
        except StateUnavailable as error:
            failure = error
    raise StateUnavailable(f"the stop is not known to be in force: {failure}") from failure


def _raise_flag(store: Store, asked: StopNote, begun_ns: int) -> Raised:
    unless, ignoring = _as_severe(asked.flag), list[str]()
    for _ in range(_ATTEMPTS):
        found = store.raise_stop(asked.flag, encode(asked), unless=unless, ignoring=ignoring)
        if any(stop.id == asked.id for stop in found.stops):
            return Raised(_in_force(asked, found.at_us, begun_ns), new=True, at_us=found.at_us)
        same = [stop.id for stop in found.stops if replace(stop, id=asked.id) in unless and stop.id not in ignoring]
        known = next((note for note in _noted(store, same) if not _is_drill_for(note, asked)), None)
        if known is not None:
            return Raised(known, new=False, at_us=found.at_us)
        ignoring += same  # a drill's, or nobody can say what it is
    raise StateUnavailable("the stops kept changing")


def _in_force(asked: StopNote, at_us: int, begun_ns: int) -> StopNote:
    """Return the note of a stop in force since `at_us`. Where the clocks differ, that of the live state counts."""
    took_us = (time.perf_counter_ns() - begun_ns) // 1000
    asked_at_us = min(max(asked.asked_at_us, at_us - took_us), at_us)
    return replace(asked, asked_at_us=asked_at_us, engaged_at_us=at_us)


def _as_severe(flag: Stop) -> tuple[Stop, ...]:
    """Return the flags that do all that one does in its scope, whatever their id."""
    return tuple(
        replace(flag, state=state, unwind=unwind)
        for state, severity in _SEVERITY.items()
        for unwind in (False, True)
        if severity >= _SEVERITY[flag.state] and unwind >= flag.unwind
    )


def _noted(store: Store, ids: Sequence[str]) -> Iterator[StopNote]:
    """Yield what is noted of stops."""
    found = store.stop_notes(*ids) if ids else {}
    return (note for note in decode(found) if isinstance(note, StopNote))


def _is_drill_for(note: StopNote, asked: StopNote) -> bool:
    """Return whether a stop is a drill's and the one asked for is not.

    A program lifts it, without knowing why others have asked for the same meanwhile.
    """
    return note.trigger is Trigger.DRILL and asked.trigger is not Trigger.DRILL


def lower_flags(store: Store, ids: Collection[str]) -> None:
    """Take the flags of these stops down in every lane, with their notes. Raises StateUnavailable."""
    _, stops = store.stops()
    if any(stop.id in ids for stop in stops) or not _agrees(store):
        change_stops(store, lambda now: tuple(stop for stop in now if stop.id not in ids))
    store.drop_stop_notes(*ids)


def _agrees(store: Store) -> bool:
    return store.control() is not None


def put_back(store: Store, notes: Collection[StopNote]) -> set[str]:
    """Raise flags that are on record, where they are not up, with their notes; return the ids of those that were not.

    Raises StateUnavailable.
    """
    store.put_stop_notes({note.name: encode(note) for note in notes})
    _, stops = store.stops()
    missing = {note.id for note in notes} - {stop.id for stop in stops}
    if missing:
        flags = [note.flag for note in notes if note.id in missing]
        change_stops(store, lambda now: (*now, *(flag for flag in flags if flag not in now)))
    return missing
