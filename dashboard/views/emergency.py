"""Emergency stops: what is in force and how far it has come, what was, leases and drills."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
from django.http import Http404
from msgspec import Struct

from api.desk import desk
from api.errors import Problem
from api.grants import VIEW_ACCOUNT, VIEW_STOP
from api.rest.base import Person
from api.rest.leases import held_leases
from api.rest.lists import page_of
from api.rest.queries import make_cursor, read_cursor, read_parameters
from api.rest.stops import may_see_inside, recorded_stops, stops_in_force
from audit.acting import Acting
from dashboard.stopping import ShownStop, stop_of, stops_now, stops_on_record
from dashboard.views.page import Page
from emergency.models import EmergencyStop, StopAccount
from emergency.words import Trigger
from feeds.malformed import Malformed
from riskcore.calendar import microseconds
from riskcore.case import decode_state
from riskcore.types import Position
from state.store import StateUnavailable

_A_PAGE = 25
_MOST_ACCOUNTS = 200

VIEW_ACCOUNTS_THEN = "emergency.view_stopaccount"


class EmergencyPage(Page):
    """The stops in force first; it works with either of the live state and the database away."""

    template_name = "dashboard/emergency.html"
    needs = (VIEW_STOP,)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        who = self.acting
        stops, away = _in_force(who)
        history, older = self._history(who)
        drills = recorded_stops(who.accounts).filter(trigger=Trigger.DRILL)
        return super().get_context_data(**kwargs) | {
            "stops": stops,
            "away": away,
            "history": history,
            "older": older,
            "leases": _leases(who) if who.may(VIEW_ACCOUNT) else None,
            "drill": drills.first(),
        }

    def _history(self, who: Acting) -> tuple[list[EmergencyStop], str | None]:
        """Return a page of the stops that are over, and the cursor of the next."""
        try:
            asked = read_parameters(self.request.GET, {"cursor": read_cursor(2)})
            over = page_of(recorded_stops(who.accounts).exclude(lifted_at=None), asked, "engaged_at")
        except Malformed:
            raise Http404 from None
        rows = list(over[: _A_PAGE + 1])
        if len(rows) <= _A_PAGE:
            return rows, None
        last = rows[_A_PAGE - 1]
        return rows[:_A_PAGE], make_cursor(str(microseconds(last.engaged_at)), str(last.pk))


class StopPage(Page):
    """One stop, with everything that happened and the accounts as they were."""

    template_name = "dashboard/stop.html"
    needs = (VIEW_STOP,)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        who, stop_id = self.acting, kwargs["stop_id"]
        row = recorded_stops(who.accounts).prefetch_related("steps").filter(pk=stop_id).first()
        live = _found_live(who, str(stop_id))
        if row is None and live is None:
            raise Http404
        stop = _without_record(who, str(stop_id)) if row is None else stop_of(row, live, who)
        return super().get_context_data(**kwargs) | {"stop": stop, "accounts_then": _accounts_then(row, who)}


def _in_force(who: Acting) -> tuple[list[ShownStop], str]:
    """Return the stops in force, and why these are only those on record; empty where they are what checks go by."""
    try:
        return stops_now(desk().store, who), ""
    except StateUnavailable:
        return stops_on_record(who), "The live state cannot be reached"
    except Problem as problem:
        return stops_on_record(who), problem.detail


def _found_live(who: Acting, stop_id: str) -> dict[str, Any] | None:
    try:
        found = stops_in_force(desk().store, Person(who))
    except (StateUnavailable, Problem):
        return None
    return next((each for each in found if each["stop_id"] == stop_id), None)


def _without_record(who: Acting, stop_id: str) -> ShownStop:
    """Return a stop that is in force and not on record yet."""
    found = next((each for each in _in_force(who)[0] if each.id == stop_id), None)
    if found is None:
        raise Http404
    return found


def _leases(who: Acting) -> list[dict[str, Any]] | None:
    """Return the leases that OMSs hold, None where nobody can say."""
    try:
        return held_leases(desk().store, Person(who))
    except StateUnavailable:
        return None


# ------------------------------------------------------------------------------------- accounts as they were
class AccountThen(Struct, frozen=True):
    """An account at the moment of a stop. `equity` None: nothing was ever reported, or nobody can read it."""

    account_id: str
    equity: Decimal | None
    margin_used: Decimal | None
    positions: tuple[Position, ...]


def _accounts_then(row: EmergencyStop | None, who: Acting) -> dict[str, Any] | None:
    """Return the accounts at the moment of a stop, the first of many; None for whom they do not concern."""
    if row is None or not who.may(VIEW_ACCOUNTS_THEN) or not may_see_inside(Person(who), row.scope):
        return None
    rows = row.accounts.order_by("account_id")
    return {"count": rows.count(), "rows": list(_as_they_were(rows[:_MOST_ACCOUNTS]))}


def _as_they_were(rows: Any) -> Iterator[AccountThen]:
    account: StopAccount
    for account in rows:
        try:
            state = decode_state(account.state.encode())
        except (msgspec.MsgspecError, ArithmeticError):
            yield AccountThen(account.account_id, None, None, ())
            continue
        held = tuple(each for each in state.positions.values() if each.quantity)
        yield AccountThen(account.account_id, state.equity, state.margin_used, held)
