"""What the pages of books show."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils import timezone

from audit.acting import Acting
from policies.book import latest, loaded
from policies.books.finding import neighbours, request_of, visible
from policies.books.restoring import edits_to_restore
from policies.books.telling import Told, counted, differences_of, sections_of
from policies.compare import NOTHING
from policies.direction import Direction
from policies.models import CHANGE_LIMITS, Book
from policies.requests.stating import DIRECTION_WORDS
from policies.requests.trying import try_edits
from riskcore import book as core
from riskcore.calendar import microseconds

MOST_DIFFERENCES = 500
_COLOURS = {
    Direction.TIGHTENS: "success",
    Direction.NEUTRAL: "default",
    Direction.UNCLEAR: "warning",
    Direction.LOOSENS: "danger",
}


def page_of(book: Book, acting: Acting, wanted: str) -> dict[str, Any]:
    """Return what the page of a book needs. Raises ValueError where its content is not what was published."""
    content = visible(loaded(book.version), acting)
    before, after = neighbours(book.version)
    older = visible(loaded(before.version), acting) if before is not None else NOTHING
    return {
        "book": book,
        "before": before,
        "after": after,
        "request_url": _request_url(book),
        "change_request": request_of(book),
        "sections": sections_of(content, wanted),
        "wanted": wanted,
        "may_restore": after is not None and acting.may(CHANGE_LIMITS),
        **shown_differences(older, content, book.created_at),
    }


def comparison_of(older: int, newer: int, acting: Acting) -> dict[str, Any]:
    """Return what the page needs on which two books are compared. Raises LookupError and ValueError."""
    one, other = (visible(loaded(version), acting) for version in (older, newer))
    at = Book.objects.filter(version=newer).values_list("created_at", flat=True).first()
    if at is None:
        raise LookupError(f"there is no book {newer}")
    return {"older": older, "newer": newer, **shown_differences(one, other, at)}


def restoring_of(book: Book) -> dict[str, Any]:
    """Return what the page needs on which a book is restored: the edits, and what they would do.

    Raises what `try_edits` raises.
    """
    restoring = edits_to_restore(loaded(book.version))
    found: dict[str, Any] = {"book": book, "restoring": restoring, "newest": latest()}
    if restoring.edits:
        tried = try_edits(restoring.edits)
        found |= shown_differences(tried.before, tried.after, timezone.now())
    return found


def shown_differences(before: core.Book, after: core.Book, at: datetime) -> dict[str, Any]:
    """Return the differences of two books, of which the second comes at a moment, for the template that lists them."""
    told = differences_of(before, after, at_us=microseconds(at))
    return {
        "differences": [(each, *_badge(each)) for each in told[:MOST_DIFFERENCES]],
        "hidden_differences": max(0, len(told) - MOST_DIFFERENCES),
        "counts": [(DIRECTION_WORDS[direction], count, _COLOURS[direction]) for direction, count in counted(told)],
    }


def _badge(told: Told) -> tuple[str, str]:
    return DIRECTION_WORDS[told.direction], _COLOURS[told.direction]


def _request_url(book: Book) -> str:
    request = request_of(book)
    return "" if request is None else reverse("admin:policies_changerequest_change", args=(request.pk,))
