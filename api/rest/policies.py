"""Limits: to read them, and to ask for a new one or a change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from api.grants import CHANGE_LIMITS, VIEW_POLICY
from api.rest.asking import ask, shown_whole
from api.rest.base import RiskView, caller
from api.rest.bodies import json_body
from api.rest.queries import flag, make_cursor, read_cursor, read_query, uuid, whole
from feeds import values
from feeds.malformed import Wrong
from feeds.objects import Parser, read_list, read_object
from policies.edits import Edit
from policies.models import Policy
from policies.wording import sentence
from riskcore.book import Scope
from riskcore.decimals import tidy

_MOST_BYTES = 64 * 1024
_A_PAGE = 100
_LONGEST_TEXT = 10_000
_MOST_NAMES = 10_000


def _words(raw: bytes) -> str:
    """Return text of any length that fits the body, lines and all; whether a row takes it is the row's to say."""
    found = values.any_text(raw)
    if len(found) > _LONGEST_TEXT:
        raise Wrong(f"must have at most {_LONGEST_TEXT} characters", "length")
    return found


def _names(raw: bytes) -> list[str]:
    return read_list(raw, _words, most=_MOST_NAMES)


def _moment(raw: bytes) -> str | None:
    return None if raw == b"null" else values.any_text(raw)


def _key(raw: bytes) -> str:
    return str(uuid(values.any_text(raw)))


_FIELDS: dict[str, Parser] = {
    **dict.fromkeys(("name", "description", "type", "metric", "operator", "scope", "on_breach", "owner"), _words),
    "threshold": values.decimal_text,
    "scope_ids": _names,
    "regulatory_tags": _names,
    "enabled": values.flag,
    "priority": values.whole,
    "window_s": values.whole,
    **dict.fromkeys(("mode", "test_group", "volatility_symbol"), _words),
    **dict.fromkeys(("volatility_reference", "volatility_least", "volatility_most"), values.decimal_text),
    **dict.fromkeys(("effective_from", "effective_until"), _moment),
    "active_windows": _names,
    "rollout_percent": values.whole,
    "reason": _words,
}
_CHANGE_FIELDS: dict[str, Parser] = {**_FIELDS, "id": _key, "version": values.whole}

_DECIMALS = ("threshold", "volatility_reference", "volatility_least", "volatility_most")

_QUERY = {"id": uuid, "enabled": flag, "cursor": read_cursor(1), "limit": whole(1, 500)}


class PoliciesView(RiskView):
    """The limits."""

    needs = {"GET": (VIEW_POLICY,), "POST": (CHANGE_LIMITS,), "PATCH": (CHANGE_LIMITS,)}
    http_method_names: Sequence[str] = ("get", "head", "post", "patch")

    def get(self, request: Request) -> Response:
        """Return the limits by name, those that are switched off too."""
        asked = read_query(request, _QUERY)
        limit, accounts = asked.get("limit", _A_PAGE), caller(request).accounts
        rows = Policy.objects.order_by("name")
        if "id" in asked:
            rows = rows.filter(pk=asked["id"])
        if "enabled" in asked:
            rows = rows.filter(enabled=asked["enabled"])
        if "cursor" in asked:
            rows = rows.filter(name__gt=asked["cursor"][0])
        seen = [row for row in rows if _concerns(row, accounts)] if accounts else list(rows[: limit + 1])
        following = make_cursor(seen[limit - 1].name) if len(seen) > limit else None
        return Response({"results": list(map(_shown, seen[:limit])), "next": following})

    def post(self, request: Request) -> Response:
        """Ask for a new limit."""
        asked = read_object(json_body(request._request, _MOST_BYTES), _FIELDS, ("reason",))
        return self._ask(request, asked.pop("reason"), Edit("policy", "", 0, asked))

    def patch(self, request: Request) -> Response:
        """Ask for a change of the limit `id`, of which `version` was seen."""
        body = json_body(request._request, _MOST_BYTES)
        asked = read_object(body, _CHANGE_FIELDS, ("id", "version", "reason"))
        reason, key, version = asked.pop("reason"), asked.pop("id"), asked.pop("version")
        # A version 0 was never seen: it must not be taken for a new row.
        return self._ask(request, reason, Edit("policy", key, version or -1, asked))

    def _ask(self, request: Request, reason: str, edit: Edit) -> Response:
        return Response(shown_whole(ask(caller(request).acting, reason, (edit,))), status=201)


def _concerns(row: Policy, accounts: frozenset[str]) -> bool:
    return row.scope != Scope.ACCOUNT or bool(accounts & set(row.scope_ids))


def _shown(row: Policy) -> dict[str, Any]:
    return {
        "id": row.pk,
        "version": row.version,
        **{name: getattr(row, name) for name in row.CHANGEABLE},
        **{name: tidy(getattr(row, name)) for name in _DECIMALS},
        "in_words": sentence(row),
    }
