"""How far stops have come, for whoever asks: from the live state, or from the record where nothing is noted there."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import msgspec
from msgspec import Struct

from emergency.flags import now_us
from emergency.models import EmergencyStop
from emergency.notes import decode
from emergency.words import Status
from emergency.work import PatienceNote, UnwindNote
from state.store import Store


class Standing(Struct, frozen=True, kw_only=True):
    """How far a stop has come. `residuals` as on record; `progress` None: only the record is left."""

    status: Status
    given_up: bool
    residuals: list[dict[str, Any]]
    progress: dict[str, int] | None


def standings(store: Store, stop_ids: Iterable[str]) -> dict[str, Standing]:
    """Return how far stops have come, by id, where that is noted in the live state. Raises StateUnavailable."""
    names = [f"{kind}:{stop_id}" for stop_id in stop_ids for kind in ("unwind", "patience")]
    notes = list(decode(store.stop_notes(*names))) if names else []
    given_up = {note.stop_id for note in notes if isinstance(note, PatienceNote) and note.given_up}
    return {note.stop_id: _standing(note, note.stop_id in given_up) for note in notes if isinstance(note, UnwindNote)}


def unfinished(store: Store, stop_ids: Collection[str]) -> tuple[int, float]:
    """Return how many stops are not completed, given up or not, and for how many seconds the first was not.

    Raises StateUnavailable.
    """
    names = [f"unwind:{stop_id}" for stop_id in stop_ids]
    notes = [note for note in decode(store.stop_notes(*names)) if isinstance(note, UnwindNote)] if names else []
    begun_us = [note.begun_us for note in notes if note.status is not Status.COMPLETED]
    age_us = now_us(store) - min(begun_us) if begun_us else 0
    return len(stop_ids) - len(notes) + len(begun_us), age_us / 1_000_000


def standing_of(row: EmergencyStop) -> Standing:
    """Return how far a stop has come by its record."""
    return Standing(status=Status(row.status), given_up=row.given_up, residuals=row.residuals, progress=None)


def _standing(note: UnwindNote, given_up: bool) -> Standing:
    return Standing(
        status=note.status,
        given_up=given_up,
        residuals=msgspec.to_builtins(note.residuals),
        progress=msgspec.to_builtins(note.sums),
    )
