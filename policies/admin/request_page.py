"""What the page of a request shows."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils.http import urlencode
from msgspec import Struct

from audit.acting import Acting
from policies.direction import Direction, Judged
from policies.edits import EDITABLE, Edit
from policies.models import ChangeRequest, State
from policies.requests.rules import Action, approvals, refusal
from policies.requests.stating import DIRECTION_WORDS, LEADING, next_step, offers, tried_or_why
from policies.requests.trying import RowDifference, Tried, as_asked, edits_of

MOST_ROWS = 100

_COLOURS = {
    Direction.TIGHTENS: "success",
    Direction.NEUTRAL: "default",
    Direction.UNCLEAR: "warning",
    Direction.LOOSENS: "danger",
}


class Way(Struct, frozen=True):
    """One difference of the books, as it is shown."""

    item: str
    field: str
    words: str
    colour: str
    why: str


class ShownRow(Struct, frozen=True):
    """A row that a request writes, as it is shown; the addresses are empty where there is nothing to do."""

    what: str
    row: RowDifference
    ways: tuple[Way, ...]
    row_url: str
    edit_url: str


def page_of(request: ChangeRequest, acting: Acting) -> dict[str, Any]:
    """Return what the template of the page needs."""
    tried, problem = tried_or_why(request)
    direction = None if tried is None else tried.direction
    found, next_words = offers(request, acting, direction), next_step(request, acting, direction)
    why_not = {each.why_not for each in found if each.action in LEADING and each.why_not} - {next_words}
    return {
        "problem": problem,
        "direction": None if direction is None else DIRECTION_WORDS[direction],
        "direction_colour": None if direction is None else _COLOURS[direction],
        "next_step": next_words,
        "offers": {each.action.name.lower(): each for each in found if not each.why_not},
        "why_not": sorted(why_not),
        "rows": _rows(request, acting, tried),
        "hidden_rows": max(0, len(request.edits) - MOST_ROWS),
        "approvals": approvals(request),
        "steps": request.steps.all(),
        "reversed_by": request.reversed_by.exclude(state=State.WITHDRAWN),
    }


def _rows(request: ChangeRequest, acting: Acting, tried: Tried | None) -> list[ShownRow]:
    edits = edits_of(request)[:MOST_ROWS]
    may_edit = refusal(Action.EDIT, request, acting) is None
    rows = tried.rows[:MOST_ROWS] if tried is not None else tuple(map(as_asked, edits))
    judged = tried.judged if tried is not None else ()
    return [
        ShownRow(
            what=str(EDITABLE[edit.kind]._meta.verbose_name),
            row=row,
            ways=tuple(_way(each) for each in judged if (each.part, each.name) == (row.part, row.item)),
            row_url="" if row.new and request.book is None else _row_url(edit),
            edit_url=_edit_url(request, edit) if may_edit else "",
        )
        for edit, row in zip(edits, rows, strict=True)
    ]


def _way(judged: Judged) -> Way:
    words, colour = DIRECTION_WORDS[judged.direction], _COLOURS[judged.direction]
    return Way(judged.name, judged.field, words, colour, judged.why)


def _row_url(edit: Edit) -> str:
    return _url(edit, "change", edit.key)


def _edit_url(request: ChangeRequest, edit: Edit) -> str:
    """Return the form of the row as the request would have it."""
    if edit.expected_version:
        return f"{_url(edit, 'change', edit.key)}?request={request.pk}"
    return f"{_url(edit, 'add')}?{urlencode({'request': str(request.pk), 'row': edit.key})}"


def _url(edit: Edit, page: str, *args: str) -> str:
    return reverse(f"admin:policies_{EDITABLE[edit.kind]._meta.model_name}_{page}", args=args)
