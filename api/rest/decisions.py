"""Decisions, as the journal kept them: from the database, where they arrive within a second or two."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw
from rest_framework.request import Request
from rest_framework.response import Response

from api import errors
from api.grants import VIEW_DECISION
from api.rest.base import RiskView, caller, demand_account
from api.rest.lists import find_page
from api.rest.queries import (
    flag,
    identifier,
    instant,
    read_cursor,
    read_part,
    read_query,
    symbol,
    uuid,
    whole,
)
from audit.models import OrderDecision, ReservationEnd
from feeds.malformed import Wrong
from riskcore.decimals import tidy
from riskcore.ports import Stop, StopScope
from riskcore.reasons import Reason

_fields = msgspec.json.Decoder(dict[str, Raw])
_stops = msgspec.json.Decoder(tuple[Stop, ...])

_LOOKUPS = {name: name for name in ("account_id", "symbol", "order_id", "approved", "reason")}


def reason(text: str) -> Reason:
    """Return a reason code."""
    try:
        return Reason(text)
    except ValueError:
        raise Wrong("is not a reason code", "not_a_choice") from None


_LIST = {
    "account_id": identifier,
    "symbol": symbol,
    "order_id": identifier,
    "approved": flag,
    "reason": reason,
    "since": instant,
    "until": instant,
    "cursor": read_cursor(2),
    "limit": whole(1, 500),
}


class DecisionsView(RiskView):
    """Decisions, the newest first."""

    needs = {"GET": (VIEW_DECISION,)}

    def get(self, request: Request) -> Response:
        """Return the decisions that every filter lets through, `since` included and `until` not."""
        asked = read_query(request, _LIST)
        if "account_id" in asked:
            demand_account(request, asked["account_id"])
        rows, following = find_page(
            OrderDecision.objects.all(), caller(request).accounts, asked, _LOOKUPS, "decided_at", "decision_id"
        )
        accounts = caller(request).accounts
        return Response({"results": [_shown(row, accounts) for row in rows], "next": following})


class DecisionView(RiskView):
    """One decision."""

    needs = {"GET": (VIEW_DECISION,)}

    def get(self, request: Request, decision_id: str) -> Response:
        """Return a decision with its inputs, its answer, and the early end of its reservation if there was one."""
        read_query(request, {})
        key = read_part("decision_id", decision_id, uuid)
        row = OrderDecision.objects.filter(pk=key).first()
        if row is None or not caller(request).may_see(row.account_id):
            raise errors.not_found(f"there is no decision {key}; a new one is here within seconds")
        return Response({**_shown(row, caller(request).accounts), "reservation_end": _end(key)})


def inputs_for(row: OrderDecision, accounts: Collection[str]) -> str:
    """Return what a decision was worked out from as it is shown to who is for some accounts (none: all).

    Of the stops in force at that moment they see none of another account; null where nobody can tell whose they were.
    """
    if not accounts:
        return row.inputs
    try:
        said = _fields.decode(row.inputs)
        stops = _stops.decode(said.get("stops", b"[]"))
    except msgspec.MsgspecError:
        return "null"
    theirs = [stop for stop in stops if stop.scope is not StopScope.ACCOUNT or stop.scope_id in accounts]
    return msgspec.json.encode({**said, "stops": theirs}).decode()


def _shown(row: OrderDecision, accounts: Collection[str]) -> dict[str, Any]:
    return {
        "decision_id": row.decision_id,
        "account_id": row.account_id,
        "order_id": row.order_id,
        "symbol": row.symbol,
        "side": row.side,
        "quantity": tidy(row.quantity),
        "price": tidy(row.price),
        "order_type": row.order_type,
        "strategy_id": row.strategy_id,
        "exchange": row.exchange,
        "decision": row.verdict,
        "approved": row.approved,
        "reason": row.reason or None,
        "what_if": row.what_if,
        "policy_book_version": row.book_version,
        "account_version": row.account_version,
        "timestamp": row.decided_at,
        "answer": Raw(row.answer.encode()),
        "inputs": Raw(inputs_for(row, accounts).encode()),
    }


def _end(decision_id: UUID) -> dict[str, Any] | None:
    end = ReservationEnd.objects.filter(pk=decision_id).first()
    return None if end is None else {"actor": end.actor, "reason": end.reason, "at": end.ended_at}
