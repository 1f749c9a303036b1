"""What the page of a request shows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.urls import reverse
from django.utils.http import urlencode
from msgspec import Struct

from audit.acting import Acting
from policies.direction import Direction, Judged
from policies.edits import EDITABLE, Edit
from policies.errors import Unreadable
from policies.models import ChangeRequest, State, Step
from policies.requests.finding import OPEN
from policies.requests.rules import Action, approvals, refusal, wrote
from policies.requests.stating import DIRECTION_WORDS, LEADING, next_step, offers, tried_or_why
from policies.requests.trying import RowDifference, Tried, as_asked, edits_of

MOST_ROWS = 100

_COLOURS = {
    Direction.TIGHTENS: "success",
    Direction.NEUTRAL: "default",
    Direction.UNCLEAR: "warning",
    Direction.LOOSENS: "danger",
}


_STEP_WORDS = {
    Step.DRAFTED: "wrote it",
    Step.EDITED: "edited it",
    Step.SUBMITTED: "submitted it",
    Step.APPROVED: "approved it",
    Step.REJECTED: "rejected it",
    Step.WITHDRAWN: "withdrew it",
    Step.SCHEDULED: "scheduled it",
    Step.UNSCHEDULED: "took it off the schedule",
    Step.PUBLISHED: "published it",
    Step.RETURNED: "could not publish it, so that it is a draft again",
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
    history_url: str

    @property
    def none(self) -> str:
        """Return what is said of a side on which it is not in force."""
        return f"No such {'limit' if self.row.kind == 'policy' else self.what} is in force"


def page_of(request: ChangeRequest, acting: Acting) -> dict[str, Any]:
    """Return what the template of the page needs."""
    tried, problem = tried_or_why(request)
    edits = _edits(request)
    direction = None if tried is None else tried.direction
    found, next_words = offers(request, acting, direction), next_step(request, acting, direction)
    why_not = {each.why_not for each in found if each.action in LEADING and each.why_not} - {next_words}
    may = {each.action.name.lower(): each for each in found if not each.why_not}
    return {
        "problem": problem,
        "direction": None if direction is None else DIRECTION_WORDS[direction],
        "direction_colour": None if direction is None else _COLOURS[direction],
        "next_step": next_words,
        "offers": may,
        "note_label": _note_label(may, wrote=wrote(acting, request)),
        "why_not": sorted(why_not),
        "rows": _rows(request, edits, acting, tried),
        "hidden_rows": max(0, len(edits) - MOST_ROWS),
        "approvals": approvals(request),
        "steps": [(step, _STEP_WORDS[Step(step.what)]) for step in request.steps.all()],
        "not_previewed": direction is not None and _nobody_looked(request),
        "reversed_by": request.reversed_by.exclude(state=State.WITHDRAWN),
    }


def _note_label(may: Collection[str], *, wrote: bool) -> str:
    """Return what the note beside the buttons is for, empty where none takes one."""
    if "roll_back" in may:
        return "Reason for rolling back"
    needed = [
        what for what, needs in (("reject", "reject" in may), ("withdraw", "withdraw" in may and not wrote)) if needs
    ]
    if not needed:
        return ""
    return f"Note (needed to {' or '.join(needed)})"


def _nobody_looked(request: ChangeRequest) -> bool:
    """Return whether a request is open of which no preview was made as it is now."""
    return request.state in OPEN and not request.previews.filter(request_version=request.version).exists()


def _edits(request: ChangeRequest) -> tuple[Edit, ...]:
    """Return what a request sets; nothing where nobody can read it, which `tried_or_why` says."""
    try:
        return edits_of(request)
    except Unreadable:
        return ()


def _rows(request: ChangeRequest, edits: Sequence[Edit], acting: Acting, tried: Tried | None) -> list[ShownRow]:
    edits = edits[:MOST_ROWS]
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
            history_url=_url(edit, "history", edit.key) if request.book is not None else "",
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
