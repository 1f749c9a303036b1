"""Writes the record of stops. Each function may be called again with the same, and changes nothing then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid5

import msgspec
from django.db import IntegrityError, transaction
from django.utils import timezone

from audit.sealing import seal, wait_for_locks
from audit.services import record, snapshot
from bus.events import StopEngaged
from bus.publish import publish
from emergency.flags import now_us
from emergency.models import EmergencyStop, StopAccount, StopStep
from emergency.notes import AccountsNote, AccountThen, Note, StepNote, StopNote
from emergency.words import Event, Status, Trigger
from emergency.work import AccountWork, PatienceNote, UnwindNote
from riskcore.calendar import microseconds, moment
from riskcore.ports import StopScope
from riskcore.types import TradingState
from state.ids import new_id
from state.wiring import store

# Whoever called a stop waits no longer than this for others that write evidence: the record may be written later.
_PATIENCE = timedelta(seconds=2)


def record_stop(note: StopNote, accounts: Sequence[AccountThen] = (), *, is_new: bool = False) -> bool:
    """Write a stop with its first steps and its audit event, unless it is there; return whether it was not.

    `is_new`: it has just come into force, so it is written without looking for it first.
    """
    if is_new or not EmergencyStop.objects.filter(pk=UUID(note.id)).exists():
        try:
            _write(note, accounts)
            return True
        except IntegrityError:
            pass  # of several that write it at once one does
    _complete(note, accounts)
    return False


@transaction.atomic
def _write(note: StopNote, accounts: Sequence[AccountThen]) -> None:
    """Write a stop that is not there. Raises IntegrityError where it is, OperationalError where others do not end."""
    wait_for_locks(_PATIENCE)
    row = EmergencyStop(pk=UUID(note.id), **_columns(note))
    row.save(by_service=True, force_insert=True)
    where = f"{note.scope} {note.scope_id}".strip()
    asked = _step(row, note.asked_at_us, Event.ASKED, f"{note.state} {where} by {note.triggered_by}: {note.reason}")
    in_force = [_in_force(row, note)] if note.engaged_at_us else []
    recorded = [_recorded(row, note, len(accounts))] if accounts else []
    record(
        actor=note.actor,
        action="stop.engage",
        object_type="emergency_stop",
        object_id=row.pk,
        object_label=str(row),
        reason=note.reason,
        before=None,
        after=snapshot(row),
    )
    seal(asked, *in_force, *recorded, *_rows_of(row.pk, accounts))


@transaction.atomic
def _complete(note: StopNote, accounts: Sequence[AccountThen]) -> None:
    """Write what is not known yet of a stop that is on record: since when it is in force, and the accounts then."""
    row = EmergencyStop.objects.select_for_update().get(pk=UUID(note.id))
    steps = []
    if accounts:
        record_accounts(note.id, accounts)
        steps.append(_recorded(row, note, len(accounts)))
    if note.engaged_at_us and not row.in_force_known:
        row.engaged_at, row.in_force_known = moment(note.engaged_at_us), True
        row.save(by_service=True)
        steps.append(_in_force(row, note))
    seal(*steps)


def _in_force(row: EmergencyStop, note: StopNote) -> StopStep:
    return _step(row, note.engaged_at_us, Event.IN_FORCE, "No order that it covers is approved from here on.")


def _recorded(row: EmergencyStop, note: StopNote, accounts: int) -> StopStep:
    counted = "1 account as it was" if accounts == 1 else f"{accounts:,} accounts as they were"
    return _step(row, note.engaged_at_us or note.asked_at_us, Event.RECORDED, f"{counted} at that moment")


def _columns(note: StopNote) -> dict[str, Any]:
    return {
        "scope": note.scope.value,
        "scope_id": note.scope_id,
        "state": note.state.value,
        "reason": note.reason,
        "triggered_by": note.triggered_by,
        "trigger": note.trigger.value,
        "unwind": note.unwind,
        "asked_at": moment(note.asked_at_us),
        "engaged_at": moment(note.engaged_at_us or note.asked_at_us),
        "in_force_known": bool(note.engaged_at_us),
        "recorded_at": timezone.now(),
    }


def record_accounts(stop_id: str, accounts: Sequence[AccountThen]) -> None:
    """Write accounts as they were at the moment of a stop, which the caller has locked; those that are there stay."""
    there = set(StopAccount.objects.filter(stop=UUID(stop_id)).values_list("account_id", flat=True))
    # An account that is named twice is kept as it is named first.
    rows = {row.account_id: row for row in reversed(_rows_of(UUID(stop_id), accounts)) if row.account_id not in there}
    seal(*reversed(rows.values()))


def _rows_of(stop_id: UUID, accounts: Sequence[AccountThen]) -> list[StopAccount]:
    return [
        StopAccount(stop_id=stop_id, account_id=each.account_id, account_version=each.version, state=each.state)
        for each in accounts
    ]


@transaction.atomic
def record_step(note: StepNote) -> None:
    """Write a step, unless it is there."""
    _lock_stops([note])
    if not StopStep.objects.filter(pk=UUID(note.id)).exists():
        at = moment(note.at_us)
        seal(StopStep(id=UUID(note.id), stop_id=UUID(note.stop_id), at=at, what=note.what, detail=note.detail))


@transaction.atomic
def record_notes(notes: Iterable[Note]) -> list[str]:
    """Write what is noted, stops first; return the names of the notes that are of no more use."""
    ordered = sorted(notes, key=lambda note: not isinstance(note, StopNote))
    _lock_stops(ordered)
    return [note.name for note in ordered if _record_note(note)]


def _lock_stops(notes: Iterable[Note]) -> None:
    """Lock the stops that notes are of: before the ends of the chains of evidence, as everybody does."""
    ids = {UUID(note.id if isinstance(note, StopNote) else note.stop_id) for note in notes}
    list(EmergencyStop.objects.select_for_update().filter(pk__in=ids).order_by("pk").values_list("pk"))


def _record_note(note: Note) -> bool:
    """Write a note, if there is a record of its stop; return whether it is of no more use."""
    match note:
        case StopNote():
            if record_stop(note):
                transaction.on_commit(partial(publish, engaged_event(note)))
        case UnwindNote():
            record_progress(note)
        case PatienceNote():
            record_patience(note)
        case AccountsNote() | StepNote() if EmergencyStop.objects.filter(pk=UUID(note.stop_id)).exists():
            record_accounts(note.stop_id, note.accounts) if isinstance(note, AccountsNote) else record_step(note)
            return True
        case _:
            pass
    return False


def record_progress(note: UnwindNote) -> None:
    """Write how far a stop in force has come and what is left, where that is news; it never goes back."""
    stages, residuals = list(Status), msgspec.to_builtins(note.residuals)

    def news(row: EmergencyStop) -> bool:
        before, now = stages.index(Status(row.status)), stages.index(note.status)
        return now > before or (now == before and row.residuals != residuals)

    row = _in_force_with(note.stop_id, news)
    if row is not None:
        row.status, row.residuals = note.status, residuals
        row.save(by_service=True)


def record_patience(note: PatienceNote) -> None:
    """Write that the OMS is asked no more, or again, unless something later was said."""
    at = moment(note.at_us)
    row = _in_force_with(note.stop_id, lambda row: row.given_up_at is None or row.given_up_at < at)
    if row is not None:
        row.given_up, row.given_up_at, row.given_up_by, row.given_up_reason = note.given_up, at, note.by, note.reason
        row.save(by_service=True)


def _in_force_with(stop_id: str, news: Callable[[EmergencyStop], bool]) -> EmergencyStop | None:
    """Return the record of a stop in force, locked, if it is one for which there is news. Mostly there is none."""
    rows = EmergencyStop.objects.filter(pk=UUID(stop_id), lifted_at=None)
    known = rows.first()
    if known is None or not news(known):
        return None
    row = rows.select_for_update().first()
    return row if row is not None and news(row) else None


@transaction.atomic
def add_step(
    stop_id: str | UUID,
    what: str,
    detail: str = "",
    *,
    at: datetime | None = None,
    status: Status | None = None,
    residuals: Sequence[object] | None = None,
) -> StopStep:
    """Add a step to a stop's timeline, and with it say how far it has come and what is left.

    Parameters
    ----------
    what, detail
        A word for programs (at most 32 characters), a sentence for people.
    at
        When, timezone-aware; the present moment of the live state if left out.
    status, residuals
        What the stop is like from now on; None leaves it as it is.

    Raises
    ------
    EmergencyStop.DoesNotExist
        There is no such stop on record (yet).
    """
    row = EmergencyStop.objects.select_for_update().get(pk=stop_id)
    if status is not None or residuals is not None:
        row.status = row.status if status is None else status
        row.residuals = row.residuals if residuals is None else list(residuals)
        row.save(by_service=True)
    step = _step(row, microseconds(at) if at is not None else now_us(store()), what, detail)
    seal(step)
    return step


def _step(row: EmergencyStop, at_us: int, what: str, detail: str) -> StopStep:
    # Of several steps at one moment the id says which was written first.
    return StopStep(id=UUID(new_id(time.time_ns() // 1000)), stop=row, at=moment(at_us), what=str(what), detail=detail)


def engaged_event(note: StopNote) -> StopEngaged:
    """Return what is published of a stop; where it is found later than it was engaged, it may come twice."""
    return StopEngaged(
        stop_id=note.id,
        scope=note.scope.value,
        scope_id=note.scope_id,
        state=note.state.value,
        unwind=note.unwind,
        reason=note.reason,
        triggered_by=note.triggered_by,
        trigger=note.trigger.value,
        engaged_at=moment(note.engaged_at_us or note.asked_at_us),
    )


def asked_again(stop_id: str, at_us: int, *, triggered_by: str, trigger: Trigger, reason: str) -> StepNote:
    """Return the step that says that a stop in force was asked for again: one a minute for each who asks.

    A monitor asks every second while what it stopped for goes on. People's reasons are all kept.
    """
    detail = f"{trigger} {triggered_by}: {reason}"
    said = detail if trigger is Trigger.PERSON else f"{trigger} {triggered_by}"
    return StepNote(
        id=str(uuid5(UUID(stop_id), f"{at_us // 60_000_000} {said}")),
        stop_id=stop_id,
        at_us=at_us,
        what=Event.ASKED_AGAIN.value,
        detail=detail,
    )


def note_of(row: EmergencyStop) -> StopNote:
    """Return the note of a stop on record."""
    return StopNote(
        id=str(row.pk),
        scope=StopScope(row.scope),
        scope_id=row.scope_id,
        state=TradingState(row.state),
        reason=row.reason,
        triggered_by=row.triggered_by,
        trigger=Trigger(row.trigger),
        unwind=row.unwind,
        actor=row.triggered_by,
        asked_at_us=microseconds(row.asked_at),
        engaged_at_us=microseconds(row.engaged_at),
    )


def progress_of(row: EmergencyStop, at_us: int) -> UnwindNote:
    """Return the note of how far a stop on record has come, for whoever sees it through from `at_us` on."""
    status = Status(row.status)
    found = [] if status is Status.COMPLETED else row.accounts.values_list("account_id", flat=True)
    accounts = {account_id: AccountWork() for account_id in found}
    return UnwindNote(stop_id=str(row.pk), begun_us=at_us, status=status, accounts=accounts)


def patience_of(row: EmergencyStop) -> PatienceNote | None:
    """Return the last word on whether the OMS is asked on about a stop on record, None where nobody said any."""
    if row.given_up_at is None:
        return None
    return PatienceNote(
        stop_id=str(row.pk),
        given_up=row.given_up,
        at_us=microseconds(row.given_up_at),
        by=row.given_up_by,
        reason=row.given_up_reason,
    )
