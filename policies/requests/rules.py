"""Who may do what with a request: the same rules for the services that do it and the pages that offer it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from django.conf import settings

from audit.acting import Acting, NotAllowed, same_person
from policies.direction import Direction
from policies.errors import NeedsApproval, OwnRequest, WrongState
from policies.models import APPROVE_LIMITS, CHANGE_LIMITS, ChangeRequest, RequestStep, State, Step


class Action(StrEnum):
    """What may be done with a request."""

    EDIT = "edit"
    SUBMIT = "submit"
    APPROVE = "approve"
    REJECT = "reject"
    PUBLISH = "publish"
    UNSCHEDULE = "unschedule"
    WITHDRAW = "withdraw"
    ROLL_BACK = "roll back"


_OPEN = frozenset({State.DRAFT, State.SUBMITTED, State.APPROVED, State.SCHEDULED})

_STATES: dict[Action, frozenset[State]] = {
    Action.EDIT: _OPEN | {State.REJECTED},
    Action.SUBMIT: frozenset({State.DRAFT}),
    Action.APPROVE: frozenset({State.SUBMITTED}),
    Action.REJECT: _OPEN - {State.DRAFT},
    Action.PUBLISH: _OPEN,
    Action.UNSCHEDULE: frozenset({State.SCHEDULED}),
    Action.WITHDRAW: _OPEN,
    Action.ROLL_BACK: frozenset({State.PUBLISHED}),
}
_APPROVING = frozenset({Action.APPROVE, Action.REJECT})


def permission_for(action: Action) -> str:
    """Return the permission that it takes."""
    return APPROVE_LIMITS if action in _APPROVING else CHANGE_LIMITS


def refusal(action: Action, request: ChangeRequest, acting: Acting) -> Exception | None:
    """Return why somebody may not do this with a request now, None where they may.

    Whether it may be published goes by its direction as well: `missing_approvals`.
    """
    permission = permission_for(action)
    if not acting.may(permission):
        return NotAllowed(acting.name, permission)
    if not is_open_to(action, request):
        return WrongState(f"Request {request.pk} is {_said(request)}: there is nothing to {action} any more.")
    if action in _APPROVING and wrote(acting, request):
        return OwnRequest()
    if action is Action.APPROVE and _among(acting, (each.actor for each in approvals(request))):
        return WrongState(f"You have approved request {request.pk} already: it takes somebody else, too.")
    return None


def is_open_to(action: Action, request: ChangeRequest) -> bool:
    """Return whether anybody may do this with a request in its state."""
    return State(request.state) in _STATES[action]


def demand(action: Action, request: ChangeRequest, acting: Acting) -> None:
    """Raise NotAllowed, WrongState or OwnRequest where somebody may not do this with a request now."""
    error = refusal(action, request, acting)
    if error is not None:
        raise error


def writers(request: ChangeRequest) -> frozenset[str]:
    """Return everybody who wrote or edited a request."""
    steps = request.steps.filter(what__in=(Step.DRAFTED, Step.EDITED))
    return frozenset(steps.values_list("actor", flat=True))


def wrote(acting: Acting, request: ChangeRequest) -> bool:
    """Return whether somebody wrote or edited a request."""
    return _among(acting, writers(request))


def approvals(request: ChangeRequest) -> list[RequestStep]:
    """Return the approvals of what a request says now."""
    return list(request.steps.filter(what=Step.APPROVED, version=request.version))


def approvals_needed(direction: Direction) -> int:
    """Return how many have to approve what goes in this direction."""
    tightens = direction in (Direction.TIGHTENS, Direction.NEUTRAL)
    needed: int = settings.RISK_TIGHTENING_APPROVALS if tightens else settings.RISK_LOOSENING_APPROVALS
    return needed


def missing_approvals(request: ChangeRequest, direction: Direction) -> NeedsApproval | None:
    """Return what is missing before a request that goes in this direction may be published, None if nothing is."""
    missing = approvals_needed(direction) - len(approvals(request))
    if missing <= 0:
        return None
    who = "somebody else" if missing == 1 else f"{missing} other people"
    return NeedsApproval(f"{_WHY[direction]} {who} {'has' if missing == 1 else 'have'} to approve it.", missing=missing)


_WHY = {
    Direction.TIGHTENS: "Here a change that tightens limits takes two people, too:",
    Direction.NEUTRAL: "Here a change that neither tightens nor loosens takes two people, too:",
    Direction.LOOSENS: "This loosens limits:",
    Direction.UNCLEAR: "Nobody can tell whether this loosens limits, so it counts as if it did:",
}


def _among(acting: Acting, names: Iterable[str]) -> bool:
    return any(same_person(acting.name, each) for each in names)


def _said(request: ChangeRequest) -> str:
    return "a draft" if request.state == State.DRAFT else request.get_state_display()
