"""Re-enabling: by somebody else, with a reason, and in spite of a breach only by two."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from msgspec import Struct

from audit.acting import Acting, same_person
from audit.services import record, snapshot
from bus.events import StopLifted
from bus.publish import publish
from emergency.breaches import find_breaches
from emergency.errors import NobodyKnown, NotInForce, SamePerson, StillBreached
from emergency.flags import lower_flags, now_us
from emergency.models import LIFT_STOP, EmergencyStop
from emergency.notes import decode
from emergency.persons import demand_scope, triggered_by_them, who_answers
from emergency.records import add_step, record_notes
from emergency.words import Event
from riskcore.calendar import moment
from riskcore.ports import StopScope
from state.store import StateUnavailable, Store
from state.wiring import store

logger = logging.getLogger(__name__)

# For so long a second person may approve what a first one asked for with force.
FORCE_LASTS = timedelta(minutes=15)


class LiftedStop(Struct, frozen=True, kw_only=True):
    """What became of one stop. `lifted` False: a second person must approve, until `approve_before`."""

    stop_id: str
    lifted: bool
    approve_before: datetime | None = None


@dataclass
class Lifted:
    """The stops that were asked about.

    `live` is None until the transaction commits; then it says whether the flags are down. False: the live state is
    away, and they are taken down when it is back.
    """

    stops: tuple[LiftedStop, ...]
    live: bool | None = None


@dataclass
class _Asked:
    """Who asks for what, at which moment of the live state."""

    acting: Acting
    authorized_by: str
    reason: str
    force: bool
    at: datetime


def do_re_enable(
    *,
    acting: Acting,
    reason: str,
    authorized_by: str = "",
    stop_id: str | UUID | None = None,
    scope: StopScope | str | None = None,
    scope_id: str = "",
    force: bool = False,
) -> Lifted:
    """Lift one stop, or all that are in force in exactly this scope; every other one stays in force.

    While an emergency policy is breached in its scope a stop is lifted only with `force`, which takes two calls by two
    people whom riskportal knows: the first asks, the second approves, within 15 minutes.

    Parameters
    ----------
    authorized_by
        The person who takes it on themselves, where a machine asks; the machine if left out. Whoever is known answers
        for themselves. With RISK_REENABLE_BY_OTHERS not the one who triggered the stop.
    stop_id, scope, scope_id
        Which: the id of a stop, or a scope.

    Raises
    ------
    ValidationError
        By field.
    NotAllowed
        `acting` may not re-enable trading, or not there.
    NotInForce, SamePerson, StillBreached, NobodyKnown
        Refused (emergency.errors); nothing was lifted.
    StateUnavailable
        The live state is away, so nobody knows what is breached.
    """
    acting.demand(LIFT_STOP)
    who = who_answers(acting, authorized_by)
    _check(reason, stop_id, scope)
    live = store()
    record_pending(live)
    asked = _Asked(acting, who, reason.strip(), force, moment(now_us(live)))
    with transaction.atomic():
        rows = _wanted(stop_id, scope, scope_id)
        for row in rows:
            demand_scope(acting, row.scope, row.scope_id)
        # What is refused of one is refused of all, before anything is written.
        breaches = [_breaches_to_bear(row, asked, live) for row in rows]
        made = Lifted(tuple(_lift(row, asked, found) for row, found in zip(rows, breaches, strict=True)))
        lifted = [row for row in rows if not row.in_force]
        transaction.on_commit(lambda: _go_live(live, made, lifted))
    return made


def record_pending(live: Store) -> None:
    """Write to the database what is only noted in the live state. Raises StateUnavailable, database errors."""
    live.drop_stop_notes(*record_notes(decode(live.stop_notes())))


def _check(reason: str, stop_id: object, scope: object) -> None:
    errors = {}
    if not reason.strip() or len(reason) > 2_000:
        errors["reason"] = "Say why trading goes on, in at most 2,000 characters."
    if (stop_id is None) is (scope is None):
        errors["stop_id"] = "Name a stop or a scope, one of them."
    elif scope is not None and scope not in list(StopScope):
        errors["scope"] = f"Expected one of {', '.join(StopScope)}, not {scope}."
    if errors:
        raise ValidationError(errors)


def _wanted(stop_id: str | UUID | None, scope: StopScope | str | None, scope_id: str) -> list[EmergencyStop]:
    """Return the stops in force that are asked about, locked."""
    rows = EmergencyStop.objects.select_for_update().filter(lifted_at=None).order_by("engaged_at", "id")
    if stop_id is not None:
        try:
            found = list(rows.filter(pk=UUID(str(stop_id))))
        except ValueError:
            found = []
        what = f"There is no stop {stop_id} in force."
    else:
        assert scope is not None
        of = StopScope(scope)
        named = scope_id.strip().upper() if of in (StopScope.SYMBOL, StopScope.EXCHANGE) else scope_id.strip()
        found = list(rows.filter(scope=of.value, scope_id=named))
        what = f"No stop of scope {of.value} {named}".strip() + " is in force."
    if not found:
        raise NotInForce(what)
    return found


def _breaches_to_bear(row: EmergencyStop, asked: _Asked, live: Store) -> list[str]:
    """Return what is breached in the scope of a stop. Raises EmergencyError where it stays in force."""
    if settings.RISK_REENABLE_BY_OTHERS and triggered_by_them(asked.acting, asked.authorized_by, row):
        raise SamePerson(f"{row.triggered_by} triggered this stop: somebody else must re-enable trading.")
    breaches = find_breaches(live, StopScope(row.scope), row.scope_id)
    if breaches and not asked.force:
        raise StillBreached(f"The stop {row.where}", breaches)
    if breaches and not asked.acting.person:
        raise NobodyKnown("In spite of a breach it takes people: sign in, or use an API key of your own.")
    if breaches and _is_asked_for(row, asked) and same_person(row.force_asked_by, asked.authorized_by):
        raise SamePerson(f"{row.force_asked_by} asked for this: a second person must approve it.")
    return breaches


def _lift(row: EmergencyStop, asked: _Asked, breaches: list[str]) -> LiftedStop:
    if not breaches:
        return _finish(row, asked, by=asked.authorized_by, reason=asked.reason)
    if _is_asked_for(row, asked):
        return _finish(row, asked, by=row.force_asked_by, reason=row.force_reason, approved_by=asked.authorized_by)
    return _ask_for_approval(row, asked, breaches)


def _is_asked_for(row: EmergencyStop, asked: _Asked) -> bool:
    return row.force_asked_at is not None and asked.at < row.force_asked_at + FORCE_LASTS


def _ask_for_approval(row: EmergencyStop, asked: _Asked, breaches: list[str]) -> LiftedStop:
    before = snapshot(row)
    row.force_asked_at, row.force_asked_by, row.force_reason = asked.at, asked.authorized_by, asked.reason
    row.save(by_service=True)
    detail = f"{asked.authorized_by} wants to re-enable trading in spite of: {'; '.join(breaches)}. {asked.reason}"
    add_step(row.pk, Event.FORCE_ASKED, detail, at=asked.at)
    _audit(row, before, asked, "stop.ask_to_force")
    return LiftedStop(stop_id=str(row.pk), lifted=False, approve_before=asked.at + FORCE_LASTS)


def _finish(row: EmergencyStop, asked: _Asked, *, by: str, reason: str, approved_by: str = "") -> LiftedStop:
    before = snapshot(row)
    row.lifted_at, row.lifted_by, row.lifted_reason = asked.at, by, reason
    row.forced, row.approved_by = bool(approved_by), approved_by
    row.save(by_service=True)
    approval = f", approved by {approved_by} ({asked.reason})" if approved_by else ""
    add_step(row.pk, Event.LIFTED, f"by {by}: {reason}{approval}", at=asked.at)
    _audit(row, before, asked, "stop.lift")
    return LiftedStop(stop_id=str(row.pk), lifted=True)


def _audit(row: EmergencyStop, before: dict[str, object], asked: _Asked, action: str) -> None:
    record(
        actor=asked.acting.name,
        action=action,
        object_type="emergency_stop",
        object_id=row.pk,
        object_label=str(row),
        reason=asked.reason,
        before=before,
        after={**snapshot(row), "authorized_by": asked.authorized_by},
    )


def _go_live(live: Store, made: Lifted, lifted: list[EmergencyStop]) -> None:
    try:
        lower_flags(live, {str(row.pk) for row in lifted})
        made.live = True
    except StateUnavailable as error:
        made.live = False
        logger.warning("the flags of stops that were lifted are still there, the live state is away: %s", error)
    for row in lifted:
        assert row.lifted_at is not None
        publish(
            StopLifted(
                stop_id=str(row.pk),
                scope=row.scope,
                scope_id=row.scope_id,
                state=row.state,
                lifted_by=row.lifted_by,
                approved_by=row.approved_by,
                forced=row.forced,
                reason=row.lifted_reason,
                lifted_at=row.lifted_at,
            )
        )
