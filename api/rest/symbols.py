"""Restricted symbols: what is in force, to restrict one, to lift restrictions."""

from __future__ import annotations

import time
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from api import errors
from api.desk import desk
from api.grants import CHANGE_LIMITS, CHECK_ORDERS, VIEW_RESTRICTION
from api.reading import in_force_now
from api.rest import queries
from api.rest.asking import ask, publish_where_ready, shown, waiting
from api.rest.base import RiskView, caller, demand_account, demand_all_accounts
from api.rest.bodies import json_body
from api.rest.queries import note, read_part, read_query
from api.wire import MOST_CHECK_BYTES, read_restriction
from policies.edits import Edit
from policies.models import RestrictedSymbol
from policies.requests.applying import parse_fields, settable_when_new
from policies.requests.publishing import Published
from policies.requests.trying import edits_of
from riskcore.book import Restriction
from riskcore.calendar import moment


class SymbolsView(RiskView):
    """The restricted symbols."""

    needs = {"GET": (VIEW_RESTRICTION, CHECK_ORDERS)}

    def get(self, request: Request) -> Response:
        """Return the restrictions that checks go by at this moment."""
        read_query(request, {})
        of, now_us, sees = in_force_now(desk().store), time.time_ns() // 1000, caller(request).may_see
        found = [
            _in_force(each)
            for each in of.book.book.restrictions
            if (not each.until_us or each.until_us > now_us) and (not each.account_id or sees(each.account_id))
        ]
        return Response({"results": found, "next": None, "policy_book_version": of.book.version})


class BlockView(RiskView):
    """The restrictions of one symbol."""

    needs = {"POST": (CHANGE_LIMITS,), "DELETE": (CHANGE_LIMITS,)}

    def post(self, request: Request, symbol: str) -> Response:
        """Restrict a symbol: for one account or all, one side or both, wholly or to closing orders.

        The request for it is published at once, unless the installation has tighter limits approved as well.
        """
        symbol = read_part("symbol", symbol, queries.symbol)
        asked = read_restriction(json_body(request._request, MOST_CHECK_BYTES))
        account_id = asked.pop("account_id", "")
        _demand(request, account_id)
        fields = {"symbol": symbol, **asked, **({"account": account_id} if account_id else {})}
        acting = caller(request).acting
        made = publish_where_ready(acting, ask(acting, asked["reason"], (Edit("restriction", "", 0, fields),)))
        return Response(_changed(made)[0], status=202 if made.book is None else 201)

    def delete(self, request: Request, symbol: str) -> Response:
        """Ask for every restriction of a symbol to be lifted, or those of one account or side.

        That loosens limits: it waits until somebody else has approved it. To ask for it again finds the same request.
        """
        symbol = read_part("symbol", symbol, queries.symbol)
        fields = {"account_id": queries.identifier, "side": queries.side, "reason": note}
        asked = read_query(request, fields)
        _demand(request, asked.get("account_id", ""))
        reason = asked.pop("reason", "lifted over the API")
        found = RestrictedSymbol.objects.filter(symbol=symbol, active=True, **asked).order_by("id")
        edits = tuple(Edit("restriction", str(row.pk), row.version, {"active": False}) for row in found)
        if not edits:
            raise errors.not_found(f"{symbol} is not restricted like that")
        acting = caller(request).acting
        made = publish_where_ready(acting, waiting(acting, edits) or ask(acting, reason, edits))
        answer = {"results": _changed(made), "request": shown(made.request), "live": bool(made.live)}
        return Response(answer, status=202 if made.book is None else 200)


def _demand(request: Request, account_id: str) -> None:
    if account_id:
        demand_account(request, account_id)
    else:
        demand_all_accounts(request, "restrictions of no account")


def _in_force(restriction: Restriction) -> dict[str, Any]:
    return {
        "symbol": restriction.symbol,
        "reason": restriction.reason,
        "side": restriction.side,
        "account_id": restriction.account_id or None,
        "close_only": restriction.close_only,
        "until": moment(restriction.until_us) if restriction.until_us else None,
    }


def _changed(made: Published) -> list[dict[str, Any]]:
    """Return the restrictions of a request as they are now, or as they would be made.

    `live` False: it is in force when the request is published, or the live state is back.
    """
    edits = edits_of(made.request)
    rows = RestrictedSymbol.objects.in_bulk([each.key for each in edits])
    by_key = {str(key): row for key, row in rows.items()}
    return [
        {
            **_row(by_key.get(edit.key), edit),
            "policy_book_version": made.request.book_id,
            "live": bool(made.live),
            "request": made.request.pk,
            "state": made.request.state,
        }
        for edit in edits
    ]


def _row(row: RestrictedSymbol | None, edit: Edit) -> dict[str, Any]:
    """Return a restriction that is there, or one that is not made yet."""
    if row is None:
        row = RestrictedSymbol(pk=edit.key, active=False, **_columns(edit))
    return {
        "id": row.pk,
        "symbol": row.symbol,
        "reason": row.reason,
        "side": row.side or None,
        "account_id": row.account_id,
        "close_only": row.close_only,
        "until": row.until,
        "active": row.active,
    }


def _columns(edit: Edit) -> dict[str, Any]:
    found = parse_fields(RestrictedSymbol, edit.fields, settable_when_new(RestrictedSymbol))
    return {"account_id" if name == "account" else name: value for name, value in found.items()}
