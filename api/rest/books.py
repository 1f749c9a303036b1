"""Published books: which limits applied when, who published them, and what two books differ in."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from msgspec import UNSET
from msgspec.structs import replace
from rest_framework.request import Request
from rest_framework.response import Response

from api import errors
from api.rest.base import RiskView, caller
from api.rest.queries import instant, make_cursor, read_cursor, read_part, read_query, whole
from policies.book import loaded
from policies.books.finding import book_at, visible
from policies.compare import NOTHING
from policies.direction import judge
from policies.models import Book
from policies.wording import sentence
from riskcore import book as core
from riskcore.calendar import microseconds

VIEW_BOOK = "policies.view_book"

_A_PAGE = 50

_number = whole(1, 999_999_999)
_QUERY = {"as_of": instant, "cursor": read_cursor(1), "limit": whole(1, 500)}


class BooksView(RiskView):
    """Published books, the newest first."""

    needs = {"GET": (VIEW_BOOK,)}

    def get(self, request: Request) -> Response:
        """Return a page of books; `as_of` a moment the one that checks went by then, none before the first."""
        asked = read_query(request, _QUERY)
        if "as_of" in asked:
            book = book_at(asked["as_of"])
            return Response({"results": [] if book is None else [_shown(book)], "next": None})
        limit = asked.get("limit", _A_PAGE)
        rows = _books()
        if "cursor" in asked:
            rows = rows.filter(pk__lt=read_part("cursor", asked["cursor"][0], _number))
        found = list(rows[: limit + 1])
        following = make_cursor(str(found[limit - 1].pk)) if len(found) > limit else None
        return Response({"results": list(map(_shown, found[:limit])), "next": following})


class BookView(RiskView):
    """One published book."""

    needs = {"GET": (VIEW_BOOK,)}

    def get(self, request: Request, version: str) -> Response:
        """Return a book whole, and what it changed of the book before it, or of the one that `since` names."""
        since = read_query(request, {"since": whole(0, 999_999_999)}).get("since")
        number = read_part("version", version, _number)
        row = _books().filter(pk=number).first()
        if row is None:
            raise errors.not_found(f"there is no book {number}")
        acting = caller(request).acting
        book = visible(_content(number), acting)
        before = visible(_content(number - 1 if since is None else since), acting)
        limits = [{**_fields(limit), "in_words": sentence(limit)} for limit in book.policies]
        at_us = microseconds(row.created_at)
        said = {**_fields(replace(book, returns=UNSET)), "policies": limits}
        return Response({**_shown(row), "book": said, "differences": judge(before, book, at_us=at_us)})


def _books() -> QuerySet[Book]:
    return Book.objects.select_related("change_request").defer("content", "change_request__edits").order_by("-version")


def _content(version: int) -> core.Book:
    """Return what a book says; nothing before the first. Raises Problem where it is not what was published."""
    if version == 0:
        return NOTHING
    try:
        return loaded(version)
    except LookupError:
        raise errors.not_found(f"there is no book {version}") from None
    except ValueError as error:
        raise errors.Problem(500, "book_damaged", str(error)) from None


def _shown(row: Book) -> dict[str, Any]:
    request = getattr(row, "change_request", None)
    return {
        "version": row.version,
        "published_at": row.created_at,
        "published_by": row.actor,
        "reason": row.reason,
        "request": None if request is None else request.pk,
        "sha256": row.sha256,
    }


def _fields(item: Any) -> dict[str, Any]:
    found = {name: getattr(item, name) for name in item.__struct_fields__}
    return {name: value for name, value in found.items() if value is not UNSET}
