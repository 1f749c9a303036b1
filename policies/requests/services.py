"""Everything that people do with change requests. All take keywords only.

`acting` is who asks and what they may (audit.acting), `expected_version` the version of the request that they saw.
They raise

- `NotAllowed` (audit.acting) where it takes a permission that they have not got;
- `WrongState`, `StaleRequest`, `OwnRequest`, `NeedsApproval`, `NotFound` (policies.errors), of the request;
- `StaleEdit`, `NotFound`, `NothingToChange`, of a row; and `ValidationError` (Django's), of the reason, or by edit and
  field (`0.threshold`).

Every step is an audit event and a line of the request's time line, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from audit.acting import Acting
from policies.book import lock_books
from policies.changes import check_who_and_why
from policies.edits import Edit
from policies.errors import StaleEdit, WrongState
from policies.models import CHANGE_LIMITS, ChangeRequest, State, Step
from policies.requests import publishing, reversing
from policies.requests.publishing import Published
from policies.requests.rules import Action, approvals, approvals_needed, demand, wrote
from policies.requests.scope import check_accounts, check_request
from policies.requests.steps import lock_request, take_step
from policies.requests.trying import RowDifference, edits_of, try_edits
from policies.requests.writing import canonical, title_of

__all__ = [
    "Published",
    "do_approve_request",
    "do_draft_request",
    "do_edit_request",
    "do_publish_request",
    "do_reject_request",
    "do_roll_back_request",
    "do_submit_request",
    "do_unschedule_request",
    "do_withdraw_request",
]

# Later than this nobody knows any more what was meant.
_LONGEST_WAIT = timedelta(days=366)


@transaction.atomic
def do_draft_request(
    *,
    acting: Acting,
    reason: str,
    edits: Sequence[Edit],
    title: str = "",
    reverses: ChangeRequest | None = None,
) -> ChangeRequest:
    """Write a request. It is tried at once: what could not be published cannot be written either.

    Without a title it gets one that says what it changes. `reverses` is the request that it takes back.
    """
    acting.demand(CHANGE_LIMITS)
    check_who_and_why(acting.name, reason)
    edits = canonical(edits)
    lock_books()
    check_accounts(acting, edits)
    tried = try_edits(edits)
    at = timezone.now()
    request = ChangeRequest(
        title=title.strip() or title_of(tried.rows),
        reason=reason.strip(),
        edits=_as_json(edits),
        author=acting.name,
        created_at=at,
        reverses=reverses,
    )
    request.clean_fields(exclude=("changed_at",))
    take_step(request, Step.DRAFTED, actor=acting.name, at=at)
    return request


@transaction.atomic
def do_edit_request(
    *, acting: Acting, request_id: int, expected_version: int, reason: str, edits: Sequence[Edit], title: str = ""
) -> ChangeRequest:
    """Write a request anew. It is a draft again, and its approvals count no more.

    Where other edits than those written now are stale, that is no hindrance: they are brought up to date one by one.
    """
    edits = canonical(edits)
    lock_books()
    request = lock_request(request_id, expected_version)
    demand(Action.EDIT, request, acting)
    check_who_and_why(acting.name, reason)
    kept = edits_of(request)
    check_accounts(acting, (*kept, *edits))
    rows = _tried_rows(edits, kept)
    request.title = title.strip() or (title_of(rows) if rows is not None else request.title)
    request.reason = reason.strip()
    request.edits = _as_json(edits)
    request.version += 1
    request.direction, request.problem, request.publish_at = "", "", None
    request.clean_fields()
    take_step(request, Step.EDITED, actor=acting.name, at=timezone.now(), state=State.DRAFT)
    return request


@transaction.atomic
def do_submit_request(*, acting: Acting, request_id: int, expected_version: int) -> ChangeRequest:
    """Ask for what a request still needs: it waits for approval, or is ready to publish where it needs none."""
    lock_books()
    request = lock_request(request_id, expected_version)
    demand(Action.SUBMIT, request, acting)
    edits = edits_of(request)
    check_accounts(acting, edits)
    direction = try_edits(edits).direction
    request.direction, request.problem = direction, ""
    state = State.SUBMITTED if approvals_needed(direction) else State.APPROVED
    take_step(request, Step.SUBMITTED, actor=acting.name, at=timezone.now(), state=state)
    return request


@transaction.atomic
def do_approve_request(*, acting: Acting, request_id: int, expected_version: int, note: str = "") -> ChangeRequest:
    """Approve this version of a request, that somebody else wrote. With its last approval it is ready to publish."""
    lock_books()
    request = lock_request(request_id, expected_version)
    demand(Action.APPROVE, request, acting)
    edits = edits_of(request)
    check_accounts(acting, edits)
    direction = try_edits(edits).direction
    request.direction = direction
    enough = len(approvals(request)) + 1 >= approvals_needed(direction)
    state = State.APPROVED if enough else State.SUBMITTED
    take_step(request, Step.APPROVED, actor=acting.name, at=timezone.now(), note=note.strip(), state=state)
    return request


@transaction.atomic
def do_reject_request(*, acting: Acting, request_id: int, expected_version: int, note: str = "") -> ChangeRequest:
    """Reject a request that somebody else wrote, and say why. Editing it makes it a draft again."""
    request = lock_request(request_id, expected_version)
    demand(Action.REJECT, request, acting)
    check_request(acting, request)
    if not note.strip():
        raise ValidationError({"note": "Say why, so that whoever wrote it can do better."})
    request.publish_at = None
    take_step(request, Step.REJECTED, actor=acting.name, at=timezone.now(), note=note.strip(), state=State.REJECTED)
    return request


@transaction.atomic
def do_withdraw_request(*, acting: Acting, request_id: int, expected_version: int, note: str = "") -> ChangeRequest:
    """Take a request back for good. Who withdraws what others wrote says why, in `note`."""
    request = lock_request(request_id, expected_version)
    demand(Action.WITHDRAW, request, acting)
    check_request(acting, request)
    if not note.strip() and not wrote(acting, request):
        raise ValidationError({"note": f"{request.author} wrote this: say why you withdraw it."})
    request.publish_at = None
    take_step(request, Step.WITHDRAWN, actor=acting.name, at=timezone.now(), note=note.strip(), state=State.WITHDRAWN)
    return request


def do_publish_request(
    *, acting: Acting, request_id: int, expected_version: int, at: datetime | None = None
) -> Published:
    """Make a request live now, or at a moment to come (timezone-aware).

    Where it was submitted and may not be published any more, because a row has changed meanwhile or it is looser than
    it was, it becomes a draft again, and the error says why.
    """
    acting.demand(CHANGE_LIMITS)
    if at is not None and at <= timezone.now():
        raise ValidationError({"at": "This moment has passed: publish it now, or choose a later one."})
    if at is not None and at - timezone.now() > _LONGEST_WAIT:
        raise ValidationError({"at": f"This is more than {_LONGEST_WAIT.days} days away: choose an earlier moment."})
    return publishing.publish(acting, request_id, expected_version, at)


@transaction.atomic
def do_unschedule_request(*, acting: Acting, request_id: int, expected_version: int) -> ChangeRequest:
    """Take a request off the schedule; it stays ready to publish."""
    request = lock_request(request_id, expected_version)
    demand(Action.UNSCHEDULE, request, acting)
    check_request(acting, request)
    request.publish_at = None
    take_step(request, Step.UNSCHEDULED, actor=acting.name, at=timezone.now(), state=State.APPROVED)
    return request


@transaction.atomic
def do_roll_back_request(*, acting: Acting, request_id: int, reason: str) -> ChangeRequest:
    """Write the request that takes a published one back: every field that it set gets the value that it had.

    Raises WrongState where a later change has set one of these fields since, or all of it was taken back already.
    """
    lock_books()
    request = lock_request(request_id)
    demand(Action.ROLL_BACK, request, acting)
    edits = reversing.edits_to_reverse(request)
    if not edits:
        raise WrongState(f"Nothing of request {request.pk} can be taken back: the rows that it made stay.")
    return do_draft_request(
        acting=acting, reason=reason, edits=edits, title=f"Roll back: {request.title}"[:200], reverses=request
    )


def _tried_rows(edits: Sequence[Edit], kept: Sequence[Edit]) -> Sequence[RowDifference] | None:
    """Return what edits would do to their rows, None where one that was kept is stale and the new ones are sound."""
    try:
        return try_edits(edits).rows
    except StaleEdit:
        new = [each for each in edits if each not in kept]
        if not new or len(new) == len(edits):
            raise
        try_edits(new)
        return None


def _as_json(edits: Sequence[Edit]) -> list[dict[str, object]]:
    return [{name: getattr(edit, name) for name in Edit.__struct_fields__} for edit in edits]
