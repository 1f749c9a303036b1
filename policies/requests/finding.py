"""Finds requests by what they change."""

from __future__ import annotations

from django.db.models import TextField
from django.db.models.functions import Cast

from policies.errors import Unreadable
from policies.models import ChangeRequest, State
from policies.requests.trying import edits_of

OPEN = (State.DRAFT, State.SUBMITTED, State.APPROVED, State.SCHEDULED)


def open_requests(kind: str, key: str) -> list[ChangeRequest]:
    """Return the requests that are not decided yet and change the row of this kind and key, the oldest first."""
    # SQLite cannot look into JSON for this: the key is looked for in its text, and then in the edits.
    rows = ChangeRequest.objects.filter(state__in=OPEN).annotate(text=Cast("edits", TextField()))
    found = rows.filter(text__contains=key).order_by("id")
    return [each for each in found if _changes(each, kind, key)]


def requests_by_version(kind: str, key: str) -> dict[int, ChangeRequest]:
    """Return the requests that made versions of the row of this kind and key, by the version that each made."""
    rows = ChangeRequest.objects.filter(state=State.PUBLISHED).annotate(text=Cast("edits", TextField()))
    found = rows.filter(text__contains=key).prefetch_related("steps")
    return {
        edit.expected_version + 1: request
        for request in found
        if _changes(request, kind, key)
        for edit in edits_of(request)
        if (edit.kind, edit.key) == (kind, key)
    }


def _changes(request: ChangeRequest, kind: str, key: str) -> bool:
    try:
        return any((edit.kind, edit.key) == (kind, key) for edit in edits_of(request))
    except Unreadable:
        return False
