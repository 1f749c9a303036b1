"""Lists by time: filters that are read as the API reads them, and a page at a time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.dateparse import parse_datetime
from msgspec import Struct

from api.rest.lists import find_page
from api.rest.queries import Parser, identifier, instant, read_cursor, read_parameters, symbol
from dashboard.views.page import Page
from feeds.malformed import Malformed


class Filter(Struct, frozen=True, kw_only=True):
    """A field to filter by. `lookup`: what it looks up, by default its name; `choices`: values, each with its word."""

    name: str
    label: str
    parse: Parser
    lookup: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    kind: str = "text"


class Field(Struct, frozen=True):
    """A filter as it was filled in; `problem` is empty where that was understood."""

    of: Filter
    value: str
    problem: str = ""


def choices(values: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return values with words for people."""
    return tuple((value, value.replace("_", " ")) for value in values)


def moment_in_form(text: str) -> datetime:
    """Return a moment as the API reads it, or as a form sends it: without a zone it is UTC. Raises Wrong."""
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else instant(text)


ACCOUNT = Filter(name="account_id", label="Account", parse=identifier)
SYMBOL = Filter(name="symbol", label="Symbol", parse=symbol)
SINCE = Filter(name="since", label="Since (UTC)", parse=moment_in_form, kind="datetime-local")
UNTIL = Filter(name="until", label="Until (UTC)", parse=moment_in_form, kind="datetime-local")


class ListPage(Page):
    """A list, the newest first. `moment_name` and `key_name` are the columns that it goes by."""

    filters: ClassVar[tuple[Filter, ...]]
    moment_name: ClassVar[str]
    key_name: ClassVar[str] = "id"

    @abstractmethod
    def rows(self) -> QuerySet[Any]:
        """Return all rows that there are."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        context = self.get_context_data(**kwargs)
        return self.render_to_response(context, status=400 if context["problems"] else 200)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        given = filled_in(self.request.GET)
        found: list[Model] = []
        following: str | None = None
        problems: dict[str, str] = {}
        try:
            asked = read_parameters(given, {**{each.name: each.parse for each in self.filters}, "cursor": _cursor})
            found, following = self._find(asked)
        except Malformed as error:
            problems = {each.field: each.message for each in error.errors}
        return super().get_context_data(**kwargs) | {
            "fields": [Field(each, given.get(each.name, ""), problems.get(each.name, "")) for each in self.filters],
            "problems": problems,
            "rows": found,
            "filtered": any(each.name in given for each in self.filters),
            "is_first": "cursor" not in given,
            "first": _address(given),
            "older": None if following is None else _address(given, cursor=following),
        }

    def _find(self, asked: Mapping[str, Any]) -> tuple[list[Any], str | None]:
        lookups = {each.name: each.lookup or each.name for each in self.filters if each.name not in ("since", "until")}
        return find_page(self.rows(), self.acting.accounts, asked, lookups, self.moment_name, self.key_name)


_cursor = read_cursor(2)


def filled_in(query: QueryDict) -> QueryDict:
    """Return a query without the fields that a form sends empty."""
    found = query.copy()
    for name in list(found):
        if not any(found.getlist(name)):
            del found[name]
    return found


def _address(given: QueryDict, **more: str) -> str:
    """Return the query of the same list, from its beginning or from a cursor on."""
    kept = {name: value for name, value in given.items() if name != "cursor"}
    return f"?{urlencode({**kept, **more})}"
