"""Emergency stops: what is in force, to stop trading, to re-enable it, and what was."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast
from uuid import UUID

from django.db import Error as DatabaseError
from django.db.models import Count, Q, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from api import errors
from api.desk import desk
from api.errors import Problem
from api.grants import CHECK_ORDERS, ENGAGE_STOP, LIFT_STOP, VIEW_STOP
from api.rest.base import Caller, RiskView, caller
from api.rest.bodies import json_body
from api.rest.lists import page_of
from api.rest.queries import flag, instant, make_cursor, read_cursor, read_query, whole
from api.rest.queries import identifier as named
from emergency.errors import AsItIs, NobodyKnown, NotInForce, SamePerson, StillBreached
from emergency.models import EmergencyStop
from emergency.notes import StopNote, decode
from emergency.patience import do_give_up, do_go_on
from emergency.services import LONGEST_ACTOR, LONGEST_REASON, Engaged, do_engage_stop, do_re_enable
from emergency.standing import Standing, standing_of, standings
from emergency.words import Status, Trigger
from feeds import values
from feeds.malformed import Malformed, Wrong
from feeds.objects import Parser, read_object
from riskcore.calendar import microseconds, moment
from riskcore.ports import Stop, StopScope
from riskcore.types import TradingState
from state.store import StateUnavailable, Store

_MOST_BYTES = 16 * 1024
_A_PAGE = 50

_SCOPE_FIELDS: dict[str, Parser] = {"type": values.choice(StopScope), "id": values.text(64, blank=True)}


def _scope(raw: bytes) -> tuple[StopScope, str]:
    """Return the type and the id of a scope, the id as orders have it."""
    found = read_object(raw, _SCOPE_FIELDS, ("type",))
    scope, scope_id = found["type"], found.get("id", "")
    if scope is StopScope.GLOBAL and scope_id:
        raise Malformed.of("id", "must be left out for global scope", "conflict")
    if scope is not StopScope.GLOBAL and not scope_id:
        raise Malformed.of("id", f"must name the {scope.value}", "missing")
    return scope, scope_id


def _stopping(raw: bytes) -> TradingState:
    state = values.choice(TradingState)(raw)
    if state is TradingState.ACTIVE:
        raise Wrong("must be HALTED or REDUCING", "not_a_choice")
    return state


def _uuid(raw: bytes) -> UUID:
    try:
        return UUID(values.any_text(raw))
    except ValueError:
        raise Wrong("must be a UUID", "not_a_uuid") from None


_STOP_FIELDS: dict[str, Parser] = {
    "reason": values.text(LONGEST_REASON),
    "triggered_by": values.text(LONGEST_ACTOR),
    "scope": _scope,
    "state": _stopping,
    "unwind": values.flag,
    "force": values.flag,
    "drill": values.flag,
}
_RE_ENABLE_FIELDS: dict[str, Parser] = {
    "stop_id": _uuid,
    "scope": _scope,
    "authorized_by": values.text(LONGEST_ACTOR),
    "reason": values.text(LONGEST_REASON),
    "force": values.flag,
}


_PATIENCE_FIELDS: dict[str, Parser] = {
    "stop_id": _uuid,
    "authorized_by": values.text(LONGEST_ACTOR),
    "reason": values.text(LONGEST_REASON),
}


class StopView(RiskView):
    """The stops in force."""

    needs = {"GET": (VIEW_STOP, CHECK_ORDERS, ENGAGE_STOP), "POST": (ENGAGE_STOP,)}

    def get(self, request: Request) -> Response:
        """Return the stops that checks go by at this moment; the database is not needed for that."""
        read_query(request, {})
        found = stops_in_force(desk().store, caller(request))
        return Response({"results": found, "next": None, "active": bool(found)})

    def post(self, request: Request) -> Response:
        """Stop trading in a scope. Once this has answered, no process approves an order there."""
        asked = read_object(json_body(request._request, _MOST_BYTES), _STOP_FIELDS, ("reason", "triggered_by"))
        scope, scope_id = asked.get("scope", (StopScope.GLOBAL, ""))
        try:
            engaged = do_engage_stop(
                acting=caller(request).acting,
                reason=asked["reason"],
                triggered_by=asked["triggered_by"],
                trigger=Trigger.DRILL if asked.get("drill") else Trigger.PERSON,
                scope=scope,
                scope_id=scope_id,
                state=asked.get("state", TradingState.HALTED),
                unwind=asked.get("unwind", False),
            )
        except StateUnavailable:
            detail = "the live state cannot be reached: the stop is not known to be in force, send it again"
            raise Problem(503, "state_unavailable", detail, retry_after_s=1) from None
        return Response(_shown_engaged(engaged), status=201 if engaged.new else 200)


class ReEnableView(RiskView):
    """The end of a stop."""

    needs = {"POST": (LIFT_STOP,)}

    def post(self, request: Request) -> Response:
        """Lift a stop, or all of a scope."""
        asked = read_object(json_body(request._request, _MOST_BYTES), _RE_ENABLE_FIELDS, ("authorized_by", "reason"))
        if ("stop_id" in asked) is ("scope" in asked):
            raise Malformed.of("stop_id", "name a stop or a scope, one of them", "conflict")
        scope, scope_id = asked.get("scope", (None, ""))
        try:
            made = do_re_enable(
                acting=caller(request).acting,
                reason=asked["reason"],
                authorized_by=asked["authorized_by"],
                force=asked.get("force", False),
                stop_id=asked.get("stop_id"),
                scope=scope,
                scope_id=scope_id,
            )
        except NotInForce as error:
            raise errors.not_found(str(error)) from None
        except SamePerson as error:
            raise Problem(409, "same_person", str(error)) from None
        except NobodyKnown as error:
            raise Problem(403, "person_needed", str(error)) from None
        except StillBreached as error:
            raise Problem(409, "still_breached", str(error)) from None
        found = [
            {
                "stop_id": each.stop_id,
                "status": "lifted" if each.lifted else "approval_needed",
                "approve_before": each.approve_before,
            }
            for each in made.stops
        ]
        done = all(each.lifted for each in made.stops)
        return Response({"results": found, "live": bool(made.live)}, status=200 if done else 202)


class _PatienceView(RiskView):
    """Whether the OMS is asked on for what is left of a stop."""

    needs = {"POST": (LIFT_STOP,)}
    say: Callable[..., EmergencyStop]

    def _post(self, request: Request) -> Response:
        asked = read_object(json_body(request._request, _MOST_BYTES), _PATIENCE_FIELDS, tuple(_PATIENCE_FIELDS))
        try:
            row = type(self).say(acting=caller(request).acting, **asked)
        except NotInForce as error:
            raise errors.not_found(str(error)) from None
        except AsItIs as error:
            raise Problem(409, "as_it_is", str(error)) from None
        return Response({"stop_id": row.pk, "status": row.status, "given_up": row.given_up})


class GiveUpView(_PatienceView):
    """An end to asking the OMS."""

    say = staticmethod(do_give_up)

    def post(self, request: Request) -> Response:
        """Ask the OMS no more to cancel and close what is left of a stop, which stays in force."""
        return self._post(request)


class GoOnView(_PatienceView):
    """Another try."""

    needs = {"POST": (ENGAGE_STOP,)}
    say = staticmethod(do_go_on)

    def post(self, request: Request) -> Response:
        """Have the OMS asked again for what is left of a stop, after somebody gave up or it took too long."""
        return self._post(request)


class StopHistoryView(RiskView):
    """Stops, the newest first."""

    needs = {"GET": (VIEW_STOP,)}

    def get(self, request: Request) -> Response:
        """Return the stops that every filter lets through, each with its timeline; `since` included, `until` not."""
        asked = read_query(request, _LIST)
        limit, who = asked.get("limit", _A_PAGE), caller(request)
        rows = list(_filtered(asked, who.accounts).prefetch_related("steps")[: limit + 1])
        last = rows[limit - 1] if len(rows) > limit else None
        following = last and make_cursor(str(microseconds(last.engaged_at)), str(last.pk))
        return Response({"results": [_shown(row, who) for row in rows[:limit]], "next": following})


def _choice(kind: type[StopScope] | type[Trigger]) -> Any:
    parse = values.choice(kind)
    return lambda text: parse(f'"{text}"'.encode())


_LIST = {
    "scope": _choice(StopScope),
    "scope_id": named,
    "trigger": _choice(Trigger),
    "active": flag,
    "since": instant,
    "until": instant,
    "cursor": read_cursor(2),
    "limit": whole(1, 500),
}


def stops_in_force(store: Store, who: Caller) -> list[dict[str, Any]]:
    """Return the stops that checks go by at this moment, with what is noted and recorded of them, as `who` may see it.

    Null what nobody can say now. Raises Problem 503 where the live state is not restored yet, and StateUnavailable.
    """
    control = store.control()
    if control is None:
        raise errors.recovering()
    flags = [stop for stop in control.stops if _concerns(who, stop.scope, stop.scope_id)]
    return shown_in_force(store, flags, who)


# ------------------------------------------------------------------------------------------- who may see what
def _concerns(who: Caller, scope: str, scope_id: str) -> bool:
    return scope != StopScope.ACCOUNT or who.may_see(scope_id)


def recorded_stops(accounts: frozenset[str]) -> QuerySet[EmergencyStop]:
    """Return the stops on record that concern some accounts (none: all), the newest first."""
    rows = EmergencyStop.objects.order_by("-engaged_at", "-id")
    return rows.filter(~Q(scope=StopScope.ACCOUNT.value) | Q(scope_id__in=accounts)) if accounts else rows


def _noted(store: Store, *stop_ids: str) -> dict[str, StopNote]:
    if not stop_ids:
        return {}
    return {note.id: note for note in decode(store.stop_notes(*stop_ids)) if isinstance(note, StopNote)}


def _filtered(asked: dict[str, Any], accounts: frozenset[str]) -> QuerySet[EmergencyStop]:
    rows = recorded_stops(accounts).annotate(account_count=Count("accounts"))
    for name in ("scope", "scope_id", "trigger"):
        if name in asked:
            rows = rows.filter(**{name: asked[name]})
    if "active" in asked:
        rows = rows.filter(lifted_at__isnull=asked["active"])
    return page_of(rows, asked, "engaged_at")


# ------------------------------------------------------------------------------------------ what is shown
def _shown_engaged(engaged: Engaged) -> dict[str, Any]:
    return {
        "stop_id": engaged.stop_id,
        "status": Status.BLOCKED if engaged.new else _status_of(engaged.stop_id),
        "scope": {"type": engaged.scope, "id": engaged.scope_id},
        "state": engaged.state,
        "unwind": engaged.unwind,
        "engaged_at": engaged.engaged_at,
        "new": engaged.new,
        "recorded": engaged.recorded,
        "accounts": engaged.accounts,
    }


def _status_of(stop_id: str) -> str | None:
    """Return how far a stop has come, None where nobody can say now."""
    return next((row.status for row in rows_by_id([stop_id]).values()), None)


def rows_by_id(stop_ids: Iterable[str], *, with_steps: bool = False) -> dict[str, EmergencyStop]:
    """Return the stops on record by id, and their timelines if asked for; none while the database is away."""
    rows = EmergencyStop.objects.filter(pk__in=list(filter(_is_uuid, stop_ids)))
    try:
        return {str(row.pk): row for row in (rows.prefetch_related("steps") if with_steps else rows)}
    except DatabaseError:
        return {}


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def shown_in_force(store: Store, flags: list[Stop], who: Caller) -> list[dict[str, Any]]:
    """Return flags with what is noted and recorded of them; null what nobody can say now, or `who` may not see."""
    ids = [stop.id for stop in flags]
    notes, rows, found = _noted(store, *ids), rows_by_id(ids), standings(store, ids)
    return [
        {
            **_shown_flag(stop, notes.get(stop.id), rows.get(stop.id)),
            **_shown_standing(found.get(stop.id) or _standing_of(rows.get(stop.id)), may_see_inside(who, stop.scope)),
        }
        for stop in flags
    ]


def _standing_of(row: EmergencyStop | None) -> Standing | None:
    return None if row is None else standing_of(row)


def _shown_standing(found: Standing | None, inside: bool) -> dict[str, Any]:
    """Return how far a stop has come; null what nobody can say, or what is not the caller's business."""
    return {
        "status": None if found is None else found.status,
        "given_up": None if found is None else found.given_up,
        "progress": None if found is None or not inside else found.progress,
        "residuals": None if found is None or not inside else found.residuals,
    }


def _shown_flag(stop: Stop, note: StopNote | None, row: EmergencyStop | None) -> dict[str, Any]:
    engaged_at = None if note is None else moment(note.engaged_at_us or note.asked_at_us)
    return {
        "stop_id": stop.id,
        "scope": {"type": stop.scope, "id": stop.scope_id},
        "state": stop.state,
        "unwind": stop.unwind,
        "reason": None if note is None else note.reason,
        "triggered_by": None if note is None else note.triggered_by,
        "trigger": None if note is None else note.trigger,
        "engaged_at": engaged_at if row is None else row.engaged_at,
    }


def _shown(row: EmergencyStop, who: Caller) -> dict[str, Any]:
    inside = may_see_inside(who, row.scope)
    return {
        "stop_id": row.pk,
        "scope": {"type": row.scope, "id": row.scope_id},
        "state": row.state,
        "unwind": row.unwind,
        "reason": row.reason,
        "triggered_by": row.triggered_by,
        "trigger": row.trigger,
        "engaged_at": row.engaged_at,
        "status": row.status,
        "residuals": row.residuals if inside else None,
        "accounts": cast(Any, row).account_count,
        "active": row.in_force,
        "lifted_at": row.lifted_at,
        "lifted_by": row.lifted_by or None,
        "lifted_reason": row.lifted_reason or None,
        "forced": row.forced,
        "approved_by": row.approved_by or None,
        "given_up": row.given_up,
        "given_up_by": row.given_up_by or None,
        "given_up_reason": (row.given_up_reason or None) if inside else None,
        "steps": [
            {"at": step.at, "what": step.what, "detail": step.detail if inside else None} for step in row.steps.all()
        ],
    }


def may_see_inside(who: Caller, scope: str) -> bool:
    """Return whether what a stop found in accounts is the caller's business: it may name others than theirs."""
    return not who.accounts or scope == StopScope.ACCOUNT
