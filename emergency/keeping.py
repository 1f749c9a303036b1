"""Keeps flags and record the same, so that a stop outlives the loss of either, and of both at once (decision 0014).

The flag in the live state stops trading, the row in the database brings the flag back. What was engaged while the
database was away is noted in the live state until it is written. If the live state loses its notes while the database
may not have had them all, nobody knows what was stopped: then everything is, until a person says otherwise.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from emergency.flags import lower_flags, now_us, put_back
from emergency.lifting import record_pending
from emergency.models import EmergencyStop, RecordKeeping
from emergency.notes import LIFE, Note, StopNote, decode, encode
from emergency.records import add_step, note_of, patience_of, progress_of, record_stop
from emergency.words import Event, Trigger
from emergency.work import PatienceNote
from riskcore.ports import Stop, StopScope
from riskcore.types import TradingState
from state.ids import new_id
from state.store import Store

logger = logging.getLogger(__name__)

# Looked at every second. Where nobody has for so long, the database may have been away and stops not recorded.
LONGEST_SILENCE = timedelta(seconds=5)

_NOBODY = "riskportal"


def keep(live: Store) -> None:
    """Put right whatever differs between flags and record. May be called by any number of processes at once.

    Raises StateUnavailable and Django's database errors; the next call does the rest.
    """
    beat(timezone.now())
    if live.control() is None:
        return  # the restore brings the stops back
    record_pending(live)
    _adopt(live)
    with transaction.atomic():
        keeping = _locked()
        _bring_in_line(live)
        if live.stop_notes(LIFE).get(LIFE, b"").decode() != keeping.life or not keeping.life:
            _begin_life(live, keeping)
        keeping.doubt_since = None
        keeping.save()


def beat(now: datetime) -> None:
    """Note that the database is there, and whether it may have been away."""
    with transaction.atomic():
        _beat(_locked(), now)


def stops_to_restore(live: Store) -> tuple[Stop, ...]:
    """Return the stops that a live state without a control must come back with; call it in a transaction.

    What is noted there is recorded first. Where its notes were lost, and the database may have been away before, a
    global stop takes the place of those that nobody knows of.
    """
    record_pending(live)
    keeping = _locked()
    _beat(keeping, timezone.now())
    life = live.stop_notes(LIFE).get(LIFE, b"").decode()
    if keeping.life and life != keeping.life and keeping.doubt_since is not None:
        _halt_for_the_lost(live, keeping.doubt_since)
    if not keeping.life or life != keeping.life:
        _begin_life(live, keeping)
    rows = list(EmergencyStop.objects.filter(lifted_at=None))
    notes = [note_of(row) for row in rows]
    live.put_stop_notes({note.name: encode(note) for note in notes})
    _put_progress_back(live, rows)
    return tuple(note.flag for note in notes)


# --------------------------------------------------------------------------------------------- the steps
def _locked() -> RecordKeeping:
    RecordKeeping.objects.get_or_create(pk=1)
    return RecordKeeping.objects.select_for_update().get(pk=1)


def _beat(keeping: RecordKeeping, now: datetime) -> None:
    before, keeping.beat_at = keeping.beat_at, now
    if before is not None and now - before > LONGEST_SILENCE and keeping.doubt_since is None:
        keeping.doubt_since = before
    keeping.save()


def _begin_life(live: Store, keeping: RecordKeeping) -> None:
    """Mark the notes, so that their loss can be told. First here, then there: a marker that is alone says lost."""
    keeping.life = uuid.uuid4().hex
    keeping.save()
    live.put_stop_notes({LIFE: keeping.life.encode()})


def _adopt(live: Store) -> None:
    """Record flags of which nobody knows who raised them or why, so that a person can take them down."""
    _, stops = live.stops()
    noted = live.stop_notes()
    at_us = now_us(live)
    for stop in stops:
        if stop.id in noted or not _is_ours(stop.id) or _is_recorded(stop.id):
            continue
        reason = "Found in force, without a record of who engaged it or why"
        note = _note(stop, reason, at_us)
        logger.error("the stop %s is in force and nobody knows why", stop)
        live.put_stop_notes({note.name: encode(note)})
        record_stop(note)


def _note(stop: Stop, reason: str, at_us: int) -> StopNote:
    """Return the note of a stop that nobody asked for."""
    return StopNote(
        id=stop.id,
        scope=stop.scope,
        scope_id=stop.scope_id,
        state=stop.state,
        reason=reason,
        triggered_by=_NOBODY,
        trigger=Trigger.RECOVERY,
        unwind=stop.unwind,
        actor=_NOBODY,
        asked_at_us=at_us,
        engaged_at_us=at_us,
    )


def _is_ours(stop_id: str) -> bool:
    """Return whether an id is one that this package gives, or the store."""
    try:
        return str(uuid.UUID(stop_id)) == stop_id
    except ValueError:
        return False


def _is_recorded(stop_id: str) -> bool:
    return EmergencyStop.objects.filter(pk=stop_id).exists()


def _bring_in_line(live: Store) -> None:
    """Put flags back that are on record as in force, and take those down that were lifted."""
    _, stops = live.stops()
    up = {stop.id for stop in stops}
    notes = list(decode(live.stop_notes()))
    noted = {note.id for note in notes if isinstance(note, StopNote)}
    # Locked, so that none of them is lifted before its flag is back.
    in_force = {str(row.pk): row for row in EmergencyStop.objects.select_for_update().filter(lifted_at=None)}
    missing = [row for stop_id, row in in_force.items() if stop_id not in up or stop_id not in noted]
    was_down = put_back(live, [note_of(row) for row in missing]) if missing else set()
    _put_progress_back(live, missing)
    _tell_who_gave_up(live, in_force.values(), notes)
    for stop_id in was_down:
        logger.error("the flag of stop %s was gone and is put back", stop_id)
        add_step(stop_id, Event.PUT_BACK, "Its flag was missing in the live state.")
    over = [each for each in (up | noted) - in_force.keys() if _is_ours(each)]
    lifted = EmergencyStop.objects.filter(pk__in=over).exclude(lifted_at=None)
    if lowered := {str(row.pk) for row in lifted}:
        lower_flags(live, lowered)


def _put_progress_back(live: Store, rows: Sequence[EmergencyStop]) -> None:
    """Note how far stops on record have come, where that is not noted any more: with the accounts that they found.

    What the OMS said of each is asked for again, as it may be.
    """
    if not rows:
        return
    at_us = now_us(live)
    progress = [progress_of(row, at_us) for row in rows]
    patience = [note for note in map(patience_of, rows) if note is not None]
    notes: list[Note] = [*progress, *patience]
    there = live.stop_notes(*(note.name for note in notes))
    live.put_stop_notes({note.name: encode(note) for note in notes if note.name not in there})


def _tell_who_gave_up(live: Store, rows: Iterable[EmergencyStop], notes: Iterable[Note]) -> None:
    """Note where the OMS is asked no more, or again, if the live state was away when somebody said so."""
    said = {note.stop_id: note.at_us for note in notes if isinstance(note, PatienceNote)}
    later = [note for note in map(patience_of, rows) if note is not None and note.at_us > said.get(note.stop_id, 0)]
    live.put_stop_notes({note.name: encode(note) for note in later})


def _halt_for_the_lost(live: Store, since: datetime) -> None:
    """Record a global stop, unless one is in force that halts everything."""
    halted = {"scope": StopScope.GLOBAL.value, "state": TradingState.HALTED.value, "lifted_at": None}
    if EmergencyStop.objects.filter(**halted).exists():
        return
    at_us = now_us(live)
    reason = (
        f"The live state was lost, and from {since:%Y-%m-%d %H:%M:%S} UTC on stops may have been engaged that the "
        "database was not told of. Ask everybody who may have stopped trading before it is re-enabled."
    )
    logger.critical("trading stays halted: %s", reason)
    record_stop(_note(Stop(id=new_id(at_us)), reason, at_us))
