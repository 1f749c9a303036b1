"""The history of a row, for the page that shows it."""

from __future__ import annotations

from django import template

from policies.edits import EDITABLE
from policies.models import ChangeRequest, Managed, Step
from policies.requests.finding import requests_by_version

register = template.Library()


@register.simple_tag
def requests_of(row: Managed) -> dict[int, tuple[ChangeRequest, str]]:
    """Return the requests that made versions of a row, each with the names of who approved it."""
    kind = next(kind for kind, model in EDITABLE.items() if isinstance(row, model))
    found = requests_by_version(kind, str(row.pk))
    return {version: (request, _approvers(request)) for version, request in found.items()}


def _approvers(request: ChangeRequest) -> str:
    steps = (step for step in request.steps.all() if step.what == Step.APPROVED and step.version == request.version)
    return " and ".join(step.actor for step in steps)
