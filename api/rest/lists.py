"""What lists by time have in common: the newest first, a page at a time, only the accounts that the caller is for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from api.rest.base import caller, demand_account
from api.rest.queries import Parser, identifier, instant, make_cursor, read_cursor, read_query, symbol, whole
from feeds.malformed import Malformed, Wrong
from riskcore.calendar import microseconds, moment

A_PAGE = 50

Row = TypeVar("Row", bound=Model)

# What a filter looks up, and how it is read.
Filter: TypeAlias = tuple[str, Parser]

_COMMON: Mapping[str, Parser] = {
    "account_id": identifier,
    "account": identifier,
    "symbol": symbol,
    "since": instant,
    "until": instant,
    "cursor": read_cursor(2),
    "limit": whole(1, 500),
}


def one_of(values: type[Any]) -> Parser:
    """Return a parser of the values of an enumeration."""

    def parse(text: str) -> Any:
        try:
            return values(text)
        except ValueError:
            raise Wrong(f"must be one of {', '.join(each.value for each in values)}", "not_a_choice") from None

    return parse


def answer_page(
    request: Request,
    rows: QuerySet[Row],
    moment_name: str,
    filters: Mapping[str, Filter],
    show: Callable[[Row], Mapping[str, Any]],
) -> Response:
    """Answer with a page of rows, by the moment of this name and their key, `since` included and `until` not.

    `filters` are what else a query may name. Raises Malformed, and Problem 403.
    """
    asked = read_query(request, {**_COMMON, **{name: parse for name, (_, parse) in filters.items()}})
    account_id = _account(asked)
    if account_id:
        demand_account(request, account_id)
        rows = rows.filter(account_id=account_id)
    lookups = {"symbol": "symbol", **{name: lookup for name, (lookup, _) in filters.items()}}
    found, following = find_page(rows, caller(request).accounts, asked, lookups, moment_name)
    return Response({"results": list(map(show, found)), "next": following})


def find_page(
    rows: QuerySet[Row],
    accounts: Collection[str],
    asked: Mapping[str, Any],
    lookups: Mapping[str, str],
    moment_name: str,
    key_name: str = "id",
) -> tuple[list[Row], str | None]:
    """Return a page of rows, the newest first, and the cursor of the next; None after the last.

    Only those of some accounts (none: all) that every filter lets through: `lookups` say what each looks up. Raises
    Malformed.
    """
    if accounts:
        rows = rows.filter(account_id__in=accounts)
    rows = rows.filter(**{lookup: asked[name] for name, lookup in lookups.items() if name in asked})
    limit = asked.get("limit", A_PAGE)
    wanted = page_of(rows, asked, moment_name, key_name).order_by(f"-{moment_name}", f"-{key_name}")
    found = list(wanted[: limit + 1])
    last = found[limit - 1] if len(found) > limit else None
    following = last and make_cursor(str(microseconds(getattr(last, moment_name))), str(last.pk))
    return found[:limit], following


def page_of(rows: QuerySet[Row], asked: Mapping[str, Any], moment_name: str, key_name: str = "id") -> QuerySet[Row]:
    """Return the rows since and until the moments asked for, and after the last row of the page before."""
    if "since" in asked:
        rows = rows.filter(**{f"{moment_name}__gte": asked["since"]})
    if "until" in asked:
        rows = rows.filter(**{f"{moment_name}__lt": asked["until"]})
    return rows.filter(_after(asked["cursor"], moment_name, key_name)) if "cursor" in asked else rows


def _account(asked: Mapping[str, Any]) -> str:
    account_id, account = asked.get("account_id", ""), asked.get("account", "")
    if account_id and account and account_id != account:
        raise Malformed.of("account", "names another account than account_id", "conflict")
    return str(account_id or account)


def _after(cursor: tuple[str, ...], moment_name: str, key_name: str) -> Q:
    """Return the condition of being after the last row of the page before."""
    at: datetime
    try:
        at, key = moment(int(cursor[0])), UUID(cursor[1])
    except (ValueError, OverflowError):
        raise Malformed.of("cursor", "is not one that a list has answered with", "not_a_cursor") from None
    # The first condition alone lets the database begin in the index where the page begins.
    return Q(**{f"{moment_name}__lte": at}) & (Q(**{f"{moment_name}__lt": at}) | Q(**{f"{key_name}__lt": key}))
