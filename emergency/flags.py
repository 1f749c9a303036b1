"""The flags of stops in the live state: raised in every lane before a call returns, taken down by id."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from msgspec import Struct
from msgspec.structs import replace

from emergency.notes import StopNote, decode, encode
from emergency.words import Trigger
from riskcore.ports import Load, Stop
from riskcore.types import TradingState
from state.ids import new_id
from state.store import StateUnavailable, StopsMoved, Store
from state.trading_state import change_stops

_ATTEMPTS = 50
_FAILURES = 3
_SEVERITY = {TradingState.REDUCING: 1, TradingState.HALTED: 2}


class Raised(Struct, frozen=True):
    """A stop in force. `new` False: it was in force before, and is at least as severe as what was asked."""

    note: StopNote
    new: bool


def now_us(store: Store) -> int:
    """Return the live state's clock, in microseconds since the epoch."""
    return store.load(Load(accounts=())).now_us


def raise_flag(store: Store, asked: StopNote) -> Raised:
    """Put a stop in force in every lane, unless one is that asks for no less. Raises StateUnavailable.

    `asked` has no id and no time yet. After a failure nobody knows which lanes have the stop: it is tried again, and
    its id keeps it from being two.
    """
    failure: StateUnavailable | None = None
    for _ in range(_FAILURES):
        try:
            if not asked.id:
                at_us = now_us(store)
                asked = replace(asked, id=new_id(at_us), asked_at_us=at_us)
            return _raise_flag(store, asked)
        except StateUnavailable as error:
            failure = error
    raise StateUnavailable(f"the stop is not known to be in force: {failure}") from failure


def _raise_flag(store: Store, asked: StopNote) -> Raised:
    for _ in range(_ATTEMPTS):
        epoch, stops = store.stops()
        known = _at_least_as_severe(store, stops, asked)
        if known is not None and _is_everywhere(store, known.flag):
            return Raised(known, known.id == asked.id)
        wanted = stops if known is not None else (*stops, asked.flag)
        notes = {} if known is not None else {asked.name: encode(asked)}
        try:
            store.set_stops(wanted, expected_epoch=epoch, notes=notes)
        except StopsMoved:
            continue
        return Raised(known or asked, known is None or known.id == asked.id)
    raise StateUnavailable("the stops kept changing")


def _at_least_as_severe(store: Store, stops: Iterable[Stop], asked: StopNote) -> StopNote | None:
    """Return the stop of the same scope that does all that is asked, None where there is none or it is not noted."""
    same = [
        stop.id
        for stop in stops
        if (stop.scope, stop.scope_id) == (asked.scope, asked.scope_id)
        and _SEVERITY[stop.state] >= _SEVERITY[asked.state]
    ]
    if not same:
        return None
    found = [note for note in decode(store.stop_notes(*same)) if isinstance(note, StopNote)]
    return next((note for note in found if _does_all(note, asked)), None)


def _does_all(note: StopNote, asked: StopNote) -> bool:
    """Return whether a stop that is severe enough does all that is asked.

    A drill's does not: a program lifts it, without knowing why others have asked for the same meanwhile.
    """
    is_drill = note.trigger is Trigger.DRILL and asked.trigger is not Trigger.DRILL
    return (note.unwind or not asked.unwind) and not is_drill


def _is_everywhere(store: Store, flag: Stop) -> bool:
    """Return whether every lane has the flag: a control is what all of them agree on."""
    control = store.control()
    return control is not None and flag in control.stops


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
