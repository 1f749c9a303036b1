"""A request in words: what happens next, what somebody may do with it now, and where they may not, why not."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from msgspec import Struct

from audit.acting import Acting, NotAllowed
from policies.direction import Direction
from policies.errors import OwnRequest, PolicyError, Unreadable, WrongState
from policies.models import APPROVE_LIMITS, CHANGE_LIMITS, ChangeRequest, State, Step
from policies.requests.publishing import text_of
from policies.requests.rules import Action, approvals, is_open_to, missing_approvals, refusal
from policies.requests.trying import Tried, as_published, edits_of, try_edits

# What brings a request on; beside these somebody may only hold it up.
LEADING = frozenset({Action.APPROVE, Action.PUBLISH, Action.SUBMIT})


class Offer(Struct, frozen=True):
    """Something that may be done with a request. `why_not` is for whoever may not; empty: they may."""

    action: Action
    label: str
    why_not: str = ""


_LABELS = {
    Action.APPROVE: "Approve",
    Action.REJECT: "Reject",
    Action.PUBLISH: "Publish now",
    Action.SUBMIT: "Ask for approval",
    Action.UNSCHEDULE: "Take off the schedule",
    Action.WITHDRAW: "Withdraw",
    Action.ROLL_BACK: "Roll back",
}

_WHO = {CHANGE_LIMITS: "changes limits", APPROVE_LIMITS: "approves changes of limits"}

DIRECTION_WORDS = {
    Direction.TIGHTENS: "tightens",
    Direction.NEUTRAL: "neither tightens nor loosens",
    Direction.UNCLEAR: "cannot be told: counts as loosening",
    Direction.LOOSENS: "loosens",
}


def tried_or_why(request: ChangeRequest) -> tuple[Tried | None, str]:
    """Return what a request did, or would do now, or why it cannot be done; neither for one that was withdrawn."""
    if request.state == State.WITHDRAWN:
        return None, ""
    try:
        return as_published(request, request.book) if request.book is not None else try_edits(edits_of(request)), ""
    except (PolicyError, ValidationError, LookupError, ValueError) as error:
        return None, text_of(error)


def offers(request: ChangeRequest, acting: Acting, direction: Direction | None) -> tuple[Offer, ...]:
    """Return what is to be done with a request in its state, by anybody.

    `direction` None: it cannot be published as things are, but edited or withdrawn.
    """
    found = (_offer(action, request, acting, direction) for action in _LABELS)
    return tuple(each for each in found if each is not None)


def next_step(request: ChangeRequest, acting: Acting, direction: Direction | None) -> str:
    """Return what happens next with a request, for whoever looks at it."""
    match State(request.state):
        case State.DRAFT:
            return _of_draft(request, direction)
        case State.SUBMITTED:
            return _waiting(request, acting, direction)
        case State.APPROVED if direction is None:
            return f"As things are it cannot be published. {_way_out(request)}"
        case State.APPROVED:
            return f"{_approved_by(request)} It can be published now, or at a time."
        case State.SCHEDULED:
            return f"It goes live by itself, within {_refresh_s()} s of {request.publish_at:%Y-%m-%d %H:%M:%S} UTC."
        case State.PUBLISHED:
            return f"It is live since book {request.book_id}."
        case State.REJECTED:
            last = request.steps.filter(what=Step.REJECTED).order_by("-id")[0]
            return f'{last.actor} rejected it: "{last.note}". Edited, it is a draft again.'
        case State.WITHDRAWN:
            return "It was withdrawn. Nothing comes of it."


def _of_draft(request: ChangeRequest, direction: Direction | None) -> str:
    if direction is None:
        return f"As things are it cannot be published. {_way_out(request)}"
    missing = missing_approvals(request, direction)
    if missing is not None:
        return str(missing)
    only = "It only tightens limits" if direction is Direction.TIGHTENS else "It does not loosen any limit"
    if direction.counts_as_looser:
        only = "Here nobody else has to approve it"
    return f"{only}: it can be published at once."


def _waiting(request: ChangeRequest, acting: Acting, direction: Direction | None) -> str:
    error = refusal(Action.APPROVE, request, acting)
    if direction is None:
        return f"As things are it cannot be published. {_way_out(request)}"
    missing = missing_approvals(request, direction)
    said = str(missing) if missing is not None else "It waits for approval."
    if error is None:
        return f"{said} It waits for you."
    return str(error) if isinstance(error, OwnRequest) else said


def _way_out(request: ChangeRequest) -> str:
    """Return what is to be done with a request that cannot be published."""
    try:
        edits_of(request)
    except Unreadable:
        return "Withdraw it, and ask anew for what is still wanted."
    return "Edit it, or withdraw it."


def _approved_by(request: ChangeRequest) -> str:
    names = " and ".join(each.actor for each in approvals(request))
    return f"{names} approved it." if names else "It needs no approval."


def _offer(action: Action, request: ChangeRequest, acting: Acting, direction: Direction | None) -> Offer | None:
    error = refusal(action, request, acting)
    if not is_open_to(action, request) or isinstance(error, WrongState):
        return None
    if action in LEADING and direction is None:
        return None
    if action in (Action.PUBLISH, Action.SUBMIT) and direction is not None:
        missing = missing_approvals(request, direction)
        if (missing is None) is (action is Action.SUBMIT):
            return None
    return Offer(action, _LABELS[action], "" if error is None else _why_not(action, error))


def _why_not(action: Action, error: Exception) -> str:
    if isinstance(error, NotAllowed) and error.permission:
        return f"{_LABELS[action]}: that is for somebody who {_WHO[error.permission]}."
    return str(error)


def _refresh_s() -> str:
    return f"{settings.RISK_POLICY_REFRESH.total_seconds():g}"
