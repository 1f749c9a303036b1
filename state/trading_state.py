"""Changes to the stops that depend on the stops in force, without losing what others change meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from riskcore.ports import Stop
from state.store import StateUnavailable, StopsMoved, Store

_ATTEMPTS = 50


def change_stops(store: Store, change: Callable[[tuple[Stop, ...]], tuple[Stop, ...]]) -> int:
    """Set the stops to what `change` makes of those in force, in every lane, and return the epoch.

    `change` is called again if somebody else changed them in between. On a store that has lost its memory
    it is given what was set since; the restore adds that to the stops on record. Raises StateUnavailable
    where the stops cannot be read or set.
    """
    for _ in range(_ATTEMPTS):
        epoch, stops = store.stops()
        try:
            return store.set_stops(change(stops), expected_epoch=epoch)
        except StopsMoved:
            continue
    raise StateUnavailable("the stops kept changing")
