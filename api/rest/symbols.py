"""Restricted symbols: what is in force, to restrict one, to lift restrictions."""

from __future__ import annotations

import time
from typing import Any

from django.db import transaction
from rest_framework.request import Request
from rest_framework.response import Response

from api import errors
from api.desk import desk
from api.errors import Problem
from api.grants import CHANGE_LIMITS, CHECK_ORDERS, VIEW_RESTRICTION
from api.reading import in_force_now
from api.rest import queries
from api.rest.base import RiskView, caller, demand_account, demand_all_accounts
from api.rest.bodies import json_body
from api.rest.queries import note, read_part, read_query
from api.wire import MOST_CHECK_BYTES, read_restriction
from policies.errors import PolicyError
from policies.models import RestrictedSymbol
from policies.services import Change, do_lift_symbol, do_restrict_symbol
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
        """Restrict a symbol: for one account or all, one side or both, wholly or to closing orders."""
        symbol = read_part("symbol", symbol, queries.symbol)
        asked = read_restriction(json_body(request._request, MOST_CHECK_BYTES))
        _demand(request, asked.get("account_id", ""))
        made = do_restrict_symbol(actor=caller(request).actor, symbol=symbol, **asked)
        return Response(_changed(made), status=201)

    def delete(self, request: Request, symbol: str) -> Response:
        """Lift every restriction of a symbol, or those of one account or side."""
        symbol = read_part("symbol", symbol, queries.symbol)
        fields = {"account_id": queries.identifier, "side": queries.side, "reason": note}
        asked = read_query(request, fields)
        _demand(request, asked.get("account_id", ""))
        reason = asked.pop("reason", "lifted over the API")
        with transaction.atomic():
            found = list(RestrictedSymbol.objects.filter(symbol=symbol, active=True, **asked).order_by("id"))
            if not found:
                raise errors.not_found(f"{symbol} is not restricted like that")
            lifted = [_lift(row, caller(request).actor, reason) for row in found]
        return Response({"results": [_changed(made) for made in lifted]})


def _demand(request: Request, account_id: str) -> None:
    if account_id:
        demand_account(request, account_id)
    else:
        demand_all_accounts(request, "restrictions of no account")


def _lift(row: RestrictedSymbol, actor: str, reason: str) -> Change[RestrictedSymbol]:
    try:
        return do_lift_symbol(actor=actor, reason=reason, restriction_id=row.pk, expected_version=row.version)
    except PolicyError as error:
        raise Problem(409, "conflict", str(error)) from None


def _in_force(restriction: Restriction) -> dict[str, Any]:
    return {
        "symbol": restriction.symbol,
        "reason": restriction.reason,
        "side": restriction.side,
        "account_id": restriction.account_id or None,
        "close_only": restriction.close_only,
        "until": moment(restriction.until_us) if restriction.until_us else None,
    }


def _changed(made: Change[RestrictedSymbol]) -> dict[str, Any]:
    """Return a restriction as it is now. `live` False: it is in force when the live state is back."""
    row = made.row
    return {
        "id": row.id,
        "symbol": row.symbol,
        "reason": row.reason,
        "side": row.side or None,
        "account_id": row.account_id,
        "close_only": row.close_only,
        "until": row.until,
        "active": row.active,
        "policy_book_version": made.book.version,
        "live": bool(made.live),
    }
