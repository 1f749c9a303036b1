"""Takes a step with a request: its row, its time line and the audit log, in the caller's transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from audit.sealing import seal
from audit.services import record
from policies.errors import NotFound, StaleRequest
from policies.models import ChangeRequest, RequestStep, State, Step

_ACTIONS = {
    Step.DRAFTED: "request.draft",
    Step.EDITED: "request.edit",
    Step.SUBMITTED: "request.submit",
    Step.APPROVED: "request.approve",
    Step.REJECTED: "request.reject",
    Step.WITHDRAWN: "request.withdraw",
    Step.SCHEDULED: "request.schedule",
    Step.UNSCHEDULED: "request.unschedule",
    Step.PUBLISHED: "request.publish",
    Step.RETURNED: "request.return",
}
_WRITING = (Step.DRAFTED, Step.EDITED)


def lock_request(request_id: int, expected_version: int | None = None) -> ChangeRequest:
    """Return a request that nobody else changes until the transaction ends.

    Who locks the books as well locks them first.
    Raises NotFound, and StaleRequest where it is not the version that the person saw (None: any).
    """
    request = ChangeRequest.objects.select_for_update(of=("self",)).filter(pk=request_id).first()
    if request is None:
        raise NotFound("change request", request_id)
    if expected_version not in (None, request.version):
        last = request.steps.filter(what__in=(Step.EDITED, Step.RETURNED)).order_by("-id")[0]
        raise StaleRequest(request.pk, current_version=request.version, actor=last.actor)
    return request


def take_step(
    request: ChangeRequest, what: Step, *, actor: str, at: datetime, note: str = "", state: State | None = None
) -> None:
    """Save a request, in another state where one is given, with the step and its audit event.

    `note` is what was said with it; the audit event has the request's own reason where nothing was.
    """
    before = None if what is Step.DRAFTED else _evidence(ChangeRequest.objects.get(pk=request.pk), what)
    request.changed_at = at
    if state is not None:
        request.state = state
    request.save()
    record(
        actor=actor,
        action=_ACTIONS[what],
        object_type="changerequest",
        object_id=request.pk,
        object_label=str(request),
        reason=note or request.reason,
        before=before,
        after=_evidence(request, what),
        at=at,
    )
    seal(RequestStep(request=request, at=at, actor=actor, what=what, version=request.version, note=note))


def _evidence(request: ChangeRequest, what: Step) -> dict[str, object]:
    """Return a request as the audit log keeps it; what it sets only where that is what was written."""
    said: dict[str, Any] = {
        "title": request.title,
        "reason": request.reason,
        "version": request.version,
        "state": str(request.state),
        "direction": request.direction,
        "publish_at": request.publish_at,
        "book": request.book_id,
        "reverses": request.reverses_id,
    }
    return {**said, "edits": request.edits} if what in _WRITING else said
