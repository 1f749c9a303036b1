"""Emergency stops put together for people: how far each has come, what is left of it, and who may do what about it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.conf import settings
from msgspec import Struct

from api.rest.base import Person
from api.rest.stops import may_see_inside, recorded_stops, rows_by_id, stops_in_force
from audit.acting import Acting, same_person
from emergency.lifting import FORCE_LASTS
from emergency.models import ENGAGE_STOP, LIFT_STOP, EmergencyStop, StopStep
from emergency.words import Status
from riskcore.ports import StopScope
from state.store import Store


class Progress(StrEnum):
    """How it stands with a phase of a stop. NEVER: the stop was lifted before; NOTHING: there was nothing to do."""

    DONE = "done"
    NOW = "now"
    WAITING = "waiting"
    NOTHING = "nothing"
    NEVER = "never"


class Phase(Struct, frozen=True):
    """A phase: `at` is when it was reached and `after` how long after the stop was in force; None: it was not."""

    status: Status
    progress: Progress
    at: datetime | None = None
    after: timedelta | None = None


class ShownStop(Struct, frozen=True, kw_only=True):
    """A stop as its page has it. `row` None: it is in force, and its record is not to be had now.

    `live`: what is known in the live state. `residuals` and `steps` are empty for those whom they do not concern.
    """

    id: str
    live: Mapping[str, Any]
    row: EmergencyStop | None
    phases: list[Phase]
    steps: list[StopStep]
    is_inside: bool
    may_lift: bool
    may_go_on: bool
    is_own: bool

    @property
    def in_force(self) -> bool:
        """Return whether checks go by it."""
        return bool(self.live["in_force"])

    @property
    def residuals(self) -> list[dict[str, Any]]:
        """Return what is left, and why."""
        return self.live["residuals"] or []

    @property
    def rejects(self) -> int:
        """Return how many orders to close positions were refused."""
        return sum(count for left in self.residuals for count in (left.get("rejects") or {}).values())

    @property
    def force_until(self) -> datetime | None:
        """Return until when a second person may approve that it is lifted in spite of a breach; None: nobody asked."""
        if self.row is None or self.row.force_asked_at is None or not self.in_force:
            return None
        return self.row.force_asked_at + FORCE_LASTS


def stops_now(store: Store, who: Acting) -> list[ShownStop]:
    """Return the stops in force, those of everything and the newest first, also while the database is away.

    Raises StateUnavailable, and Problem 503 where the live state is not restored yet.
    """
    live = stops_in_force(store, Person(who))
    rows = rows_by_id((stop["stop_id"] for stop in live), with_steps=True)
    shown = [_shown(each["stop_id"], {**each, "in_force": True}, rows.get(each["stop_id"]), who) for each in live]
    shown.sort(key=lambda stop: stop.id, reverse=True)
    return sorted(shown, key=lambda stop: stop.live["scope"]["type"] != StopScope.GLOBAL)


def stops_on_record(who: Acting) -> list[ShownStop]:
    """Return the stops that are in force as far as the record says."""
    rows = recorded_stops(who.accounts).filter(lifted_at=None).prefetch_related("steps")
    return [_shown(str(row.pk), live_of(row), row, who) for row in rows]


def stop_of(row: EmergencyStop, store_says: Mapping[str, Any] | None, who: Acting) -> ShownStop:
    """Return one stop; `store_says` is what the live state has of it, None where that has nothing."""
    live = live_of(row) if store_says is None else {**store_says, "in_force": True}
    return _shown(str(row.pk), live, row, who)


def live_of(row: EmergencyStop) -> dict[str, Any]:
    """Return what the record has of what the live state usually tells."""
    return {
        "stop_id": str(row.pk),
        "scope": {"type": row.scope, "id": row.scope_id},
        **{name: getattr(row, name) for name in ("state", "unwind", "reason", "triggered_by", "trigger", "engaged_at")},
        **{name: getattr(row, name) for name in ("status", "given_up", "residuals")},
        "progress": None,
        "in_force": row.in_force,
    }


def _shown(stop_id: str, live: Mapping[str, Any], row: EmergencyStop | None, who: Acting) -> ShownStop:
    scope, scope_id = live["scope"]["type"], live["scope"]["id"]
    is_inside = may_see_inside(Person(who), scope)
    is_theirs = not who.accounts or (scope == StopScope.ACCOUNT and scope_id in who.accounts)
    steps = list(row.steps.all()) if row is not None else []
    return ShownStop(
        id=stop_id,
        live=live if is_inside else {**live, "residuals": None, "progress": None},
        row=row,
        phases=phases(live, steps),
        steps=steps,
        is_inside=is_inside,
        may_lift=is_theirs and who.may(LIFT_STOP),
        may_go_on=is_theirs and who.may(ENGAGE_STOP),
        is_own=row is not None and settings.RISK_REENABLE_BY_OTHERS and same_person(who.person, row.triggered_by),
    )


def phases(live: Mapping[str, Any], steps: Collection[StopStep]) -> list[Phase]:
    """Return the phases that a stop goes through, each with when it was reached."""
    began = live["engaged_at"]
    reached = {step.what: step.at for step in steps}
    if began is not None:
        reached[Status.BLOCKED] = began
    ways = [each for each in Status if live["unwind"] or each not in (Status.UNWINDING, Status.FLAT)]
    last = max((place for place, each in enumerate(ways) if _is_reached(each, reached, live, ways)), default=0)
    return [_phase(each, place, last, reached, live) for place, each in enumerate(ways)]


def _is_reached(status: Status, reached: Mapping[str, datetime], live: Mapping[str, Any], ways: list[Status]) -> bool:
    """Return whether a stop has come so far, by its timeline or by what it says itself."""
    if status in reached:
        return True
    now = live["status"]
    return now is not None and Status(now) in ways and ways.index(Status(now)) >= ways.index(status)


def _phase(status: Status, place: int, last: int, reached: Mapping[str, datetime], live: Mapping[str, Any]) -> Phase:
    at, began = reached.get(status), live["engaged_at"]
    if place <= last:
        if at is None and status is Status.UNWINDING and place < last:
            return Phase(status, Progress.NOTHING)
        return Phase(status, Progress.DONE, at, None if at is None or began is None else at - began)
    if not live["in_force"]:
        return Phase(status, Progress.NEVER)
    return Phase(status, Progress.NOW if place == last + 1 and not live["given_up"] else Progress.WAITING)
