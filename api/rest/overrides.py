"""Overrides: what is in force and how much of it is left, and to ask for one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from api.desk import desk
from api.grants import CHANGE_LIMITS, VIEW_OVERRIDE
from api.reading import in_force_now
from api.rest.asking import ask, shown_whole
from api.rest.base import RiskView, caller, demand_account
from api.rest.bodies import json_body
from api.rest.queries import read_query
from feeds import values
from feeds.objects import Parser, read_object
from policies.edits import Edit
from policies.overrides import uses_by_account
from riskcore.book import Override
from riskcore.calendar import moment
from riskcore.types import OverrideUse

_MOST_BYTES = 16 * 1024


_FIELDS: dict[str, Parser] = {
    **dict.fromkeys(("account_id", "symbol", "side", "valid_from", "until", "reason"), values.any_text),
    **dict.fromkeys(("max_quantity", "max_notional"), values.decimal_text),
    "max_orders": values.whole,
    "liquidation": values.flag,
}


class OverridesView(RiskView):
    """The overrides."""

    needs = {"GET": (VIEW_OVERRIDE,), "POST": (CHANGE_LIMITS,)}
    http_method_names: Sequence[str] = ("get", "head", "post")

    def get(self, request: Request) -> Response:
        """Return the overrides that checks go by at this moment, with what is used of each."""
        read_query(request, {})
        of, now_us, sees = in_force_now(desk().store), time.time_ns() // 1000, caller(request).may_see
        book = of.book.book
        found = [each for each in book.overrides if each.until_us > now_us and sees(each.account_id)]
        uses = uses_by_account({each.account_id for each in found})
        results = [_shown(each, uses.get(each.account_id)) for each in found]
        return Response({"results": results, "next": None, "policy_book_version": book.version})

    def post(self, request: Request) -> Response:
        """Ask for an override. That loosens limits: it waits until somebody else has approved it."""
        asked = read_object(json_body(request._request, _MOST_BYTES), _FIELDS, ("account_id", "until", "reason"))
        demand_account(request, asked["account_id"])
        fields = {"account": asked.pop("account_id"), **asked}
        made = ask(caller(request).acting, asked["reason"], (Edit("override", "", 0, fields),))
        return Response(shown_whole(made), status=201)


def _shown(override: Override, uses: dict[str, OverrideUse] | None) -> dict[str, Any]:
    used = None if uses is None else uses.get(override.id, OverrideUse())
    return {
        "id": override.id,
        "account_id": override.account_id,
        "reason": override.reason,
        "symbol": override.symbol or None,
        "side": override.side,
        "valid_from": moment(override.from_us) if override.from_us else None,
        "until": moment(override.until_us),
        "max_orders": override.max_orders,
        "max_quantity": override.max_quantity,
        "max_notional": override.max_notional,
        "liquidation": override.liquidation,
        "used": None if used is None else {"orders": used.orders, "quantity": used.quantity, "notional": used.notional},
    }
