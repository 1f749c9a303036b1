"""Giving up what a stop asks of the OMS, and having it asked again. The stop itself stays in force either way."""

from __future__ import annotations

import logging
from functools import partial
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction

from audit.acting import Acting
from audit.services import record, snapshot
from emergency.errors import AsItIs, NotInForce
from emergency.flags import now_us
from emergency.lifting import record_pending
from emergency.models import ENGAGE_STOP, LIFT_STOP, EmergencyStop
from emergency.notes import encode
from emergency.persons import demand_scope, who_answers
from emergency.records import record_patience, record_step
from emergency.tasks import unwind_soon
from emergency.timeline import patience_step
from emergency.words import Status
from emergency.work import PatienceNote
from state.store import StateUnavailable, Store
from state.wiring import store

logger = logging.getLogger(__name__)


def do_give_up(*, stop_id: str | UUID, acting: Acting, reason: str, authorized_by: str = "") -> EmergencyStop:
    """Ask the OMS no more to cancel and close what is left of a stop; people see to it.

    Parameters
    ----------
    authorized_by
        The person who takes it on themselves, where a machine asks; the machine if left out. Whoever is known answers
        for themselves.

    Raises
    ------
    ValidationError
        By field.
    NotAllowed
        It takes the permission to re-enable trading: what is left is left to people.
    NotInForce, AsItIs
        Refused (emergency.errors).
    StateUnavailable
        Nobody knows what time it is: the live state is away.
    """
    acting.demand(LIFT_STOP)
    return _say(stop_id, acting, authorized_by, reason, given_up=True)


def do_go_on(*, stop_id: str | UUID, acting: Acting, reason: str, authorized_by: str = "") -> EmergencyStop:
    """Have the OMS asked again after somebody gave up: it takes the permission to stop trading.

    Arguments and errors are those of `do_give_up`.
    """
    acting.demand(ENGAGE_STOP)
    return _say(stop_id, acting, authorized_by, reason, given_up=False)


def _say(stop_id: str | UUID, acting: Acting, authorized_by: str, reason: str, *, given_up: bool) -> EmergencyStop:
    who = who_answers(acting, authorized_by)
    _check(reason)
    live = store()
    record_pending(live)
    with transaction.atomic():
        row = _changeable(stop_id, given_up=given_up)
        demand_scope(acting, row.scope, row.scope_id)
        before = snapshot(row)
        note = PatienceNote(stop_id=str(row.pk), given_up=given_up, at_us=now_us(live), by=who, reason=reason.strip())
        record_patience(note)
        record_step(patience_step(note))
        row.refresh_from_db()
        record(
            actor=acting.name,
            action="stop.give_up" if given_up else "stop.go_on",
            object_type="emergency_stop",
            object_id=row.pk,
            object_label=str(row),
            reason=reason.strip(),
            before=before,
            after={**snapshot(row), "authorized_by": who},
        )
        transaction.on_commit(partial(_go_live, live, note))
    return row


def _check(reason: str) -> None:
    if not reason.strip() or len(reason) > 2_000:
        raise ValidationError({"reason": "Say why, in at most 2,000 characters."})


def _changeable(stop_id: str | UUID, *, given_up: bool) -> EmergencyStop:
    """Return the stop, locked, if it is in force and what is asked for would change something."""
    try:
        row = EmergencyStop.objects.select_for_update().filter(pk=UUID(str(stop_id)), lifted_at=None).first()
    except ValueError:
        row = None
    if row is None:
        raise NotInForce(f"There is no stop {stop_id} in force.")
    if row.status == Status.COMPLETED:
        raise AsItIs("This stop is completed: there is nothing left to ask for.")
    if row.given_up is given_up:
        raise AsItIs(f"{row.given_up_by} has given up already." if given_up else "Nobody has given up.")
    return row


def _go_live(live: Store, note: PatienceNote) -> None:
    try:
        live.put_stop_notes({note.name: encode(note)})
    except StateUnavailable as error:
        logger.warning("the live state is away, it hears of this when it is back: %s", error)
        return
    if not note.given_up:
        unwind_soon()
