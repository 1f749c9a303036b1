"""Change requests as the doors make and show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import transaction
from msgspec.structs import asdict

from audit.acting import Acting
from policies.edits import Edit
from policies.errors import Unreadable
from policies.models import ChangeRequest, State
from policies.requests.publishing import Published
from policies.requests.rules import approvals, approvals_needed
from policies.requests.services import do_draft_request, do_publish_request, do_submit_request
from policies.requests.stating import tried_or_why
from policies.requests.trying import edits_of


@transaction.atomic
def ask(acting: Acting, reason: str, edits: Sequence[Edit]) -> ChangeRequest:
    """Return a request that was written and submitted: it waits for approval, or is ready to publish.

    Raises what the services raise; where there is one edit, errors are by its fields.
    """
    try:
        request = do_draft_request(acting=acting, reason=reason, edits=edits)
    except ValidationError as error:
        raise error if len(edits) > 1 else _of_one(error) from None
    return do_submit_request(acting=acting, request_id=request.pk, expected_version=request.version)


def waiting(acting: Acting, edits: Sequence[Edit]) -> ChangeRequest | None:
    """Return the request for the same edits by the same author that waits for approval, None where there is none."""
    rows = ChangeRequest.objects.filter(author=acting.name, state=State.SUBMITTED).order_by("id")
    return next((row for row in rows if _sets(row, edits)), None)


def publish_where_ready(acting: Acting, request: ChangeRequest) -> Published:
    """Publish a request that needs no approval; one that does stays as it is, without a book."""
    if request.state != State.APPROVED:
        return Published(request)
    return do_publish_request(acting=acting, request_id=request.pk, expected_version=request.version)


def _sets(request: ChangeRequest, edits: Sequence[Edit]) -> bool:
    try:
        return edits_of(request) == tuple(edits)
    except Unreadable:
        return False


def _of_one(error: ValidationError) -> ValidationError:
    names = {name: NON_FIELD_ERRORS if name == "0" else name.removeprefix("0.") for name in error.message_dict}
    by_field = {names[name]: texts for name, texts in error.message_dict.items()}
    return ValidationError(cast("Any", by_field))


def shown(request: ChangeRequest) -> dict[str, Any]:
    """Return a request in a list."""
    return {
        "id": request.pk,
        "title": request.title,
        "reason": request.reason,
        "state": request.state,
        "version": request.version,
        "direction": request.direction or None,
        "author": request.author,
        "created_at": request.created_at,
        "changed_at": request.changed_at,
        "publish_at": request.publish_at,
        "policy_book_version": request.book_id,
        "reverses": request.reverses_id,
        "problem": request.problem or None,
    }


def shown_whole(request: ChangeRequest) -> dict[str, Any]:
    """Return a request with its edits, what they change, its approvals and its time line."""
    tried, problem = tried_or_why(request)
    steps = [
        {"at": step.at, "actor": step.actor, "what": step.what, "version": step.version, "note": step.note or None}
        for step in request.steps.all()
    ]
    return {
        **shown(request),
        "direction": request.direction or None if tried is None else tried.direction,
        "problem": request.problem or problem or None,
        "edits": request.edits,
        "differences": None if tried is None else list(map(asdict, tried.judged)),
        "approvals_needed": None if tried is None else approvals_needed(tried.direction),
        "approvals": [{"actor": each.actor, "at": each.at, "note": each.note or None} for each in approvals(request)],
        "steps": steps,
    }
