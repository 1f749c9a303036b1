"""Change requests: what was asked, how far it has come, and to bring it on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from api import errors
from api.grants import APPROVE_LIMITS, CHANGE_LIMITS, VIEW_REQUEST
from api.rest.asking import shown, shown_whole
from api.rest.base import RiskView, caller
from api.rest.bodies import json_body
from api.rest.lists import one_of
from api.rest.queries import make_cursor, read_cursor, read_part, read_query, whole
from feeds import values
from feeds.objects import Parser, read_object
from policies.models import ChangeRequest, State
from policies.requests import services
from policies.requests.publishing import Published
from policies.requests.scope import may_see_request

_MOST_BYTES = 16 * 1024
_A_PAGE = 50
_HIGHEST = 999_999_999

_number = whole(1, _HIGHEST)
_QUERY = {"state": one_of(State), "cursor": read_cursor(1), "limit": whole(1, 500)}

_FIELDS: dict[str, Parser] = {"version": values.whole}
_NOTED: dict[str, Parser] = {**_FIELDS, "note": values.text(500)}
_TIMED: dict[str, Parser] = {**_FIELDS, "at": values.instant}

# What may be done over REST, with which fields besides the version, and what it takes.
_DOING: dict[str, tuple[Callable[..., ChangeRequest | Published], dict[str, Parser], str]] = {
    "submit": (services.do_submit_request, _FIELDS, CHANGE_LIMITS),
    "approve": (services.do_approve_request, _NOTED, APPROVE_LIMITS),
    "reject": (services.do_reject_request, _NOTED, APPROVE_LIMITS),
    "publish": (services.do_publish_request, _TIMED, CHANGE_LIMITS),
    "unschedule": (services.do_unschedule_request, _FIELDS, CHANGE_LIMITS),
    "withdraw": (services.do_withdraw_request, _NOTED, CHANGE_LIMITS),
}


class RequestsView(RiskView):
    """Change requests, the newest first."""

    needs = {"GET": (VIEW_REQUEST,)}

    def get(self, request: Request) -> Response:
        """Return a page of requests; of those that concern the accounts of the caller, where it is for some only."""
        asked = read_query(request, _QUERY)
        limit, acting = asked.get("limit", _A_PAGE), caller(request).acting
        rows = ChangeRequest.objects.order_by("-id")
        if "state" in asked:
            rows = rows.filter(state=asked["state"])
        if "cursor" in asked:
            rows = rows.filter(pk__lt=read_part("cursor", asked["cursor"][0], _number))
        found = list((rows if acting.accounts else rows.defer("edits"))[: limit + 1])
        following = make_cursor(str(found[limit - 1].pk)) if len(found) > limit else None
        seen = [row for row in found[:limit] if may_see_request(acting, row)]
        return Response({"results": list(map(shown, seen)), "next": following})


class RequestView(RiskView):
    """One change request."""

    needs = {"GET": (VIEW_REQUEST, CHANGE_LIMITS, APPROVE_LIMITS)}

    def get(self, request: Request, number: str) -> Response:
        """Return what it sets, what that changes and in which direction, its approvals and its time line."""
        read_query(request, {})
        return Response(shown_whole(_found(request, number)))


class RequestStepView(RiskView):
    """The next step of a change request."""

    needs = {"POST": (CHANGE_LIMITS, APPROVE_LIMITS)}

    def post(self, request: Request, number: str, step: str) -> Response:
        """Submit, approve, reject, publish (now or `at` a moment), unschedule or withdraw the version that was seen."""
        if step not in _DOING:
            raise errors.not_found("there is nothing at this address")
        do, fields, permission = _DOING[step]
        acting = caller(request).acting
        acting.demand(permission)
        asked: dict[str, Any] = read_object(json_body(request._request, _MOST_BYTES), fields, ("version",))
        row = _found(request, number)
        made = do(acting=acting, request_id=row.pk, expected_version=asked.pop("version"), **asked)
        if isinstance(made, Published):
            live = None if made.book is None else bool(made.live)
            return Response({**shown_whole(made.request), "live": live})
        return Response(shown_whole(made))


def _found(request: Request, number: str) -> ChangeRequest:
    row = ChangeRequest.objects.select_related("book").filter(pk=read_part("id", number, _number)).first()
    if row is None or not may_see_request(caller(request).acting, row):
        raise errors.not_found(f"there is no change request {number}")
    return row
