"""Who asked for a change and who approved it, as the steps of its request say."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from msgspec import Struct

from policies.models import ChangeRequest, RequestStep, Step


class Approval(Struct, frozen=True):
    """One approval, of one version of a request."""

    version: int
    actor: str
    at: datetime


class Asking(Struct, frozen=True):
    """A change request with its approvals, the oldest first; `direction` is empty before it was submitted."""

    author: str
    direction: str
    version: int
    given: list[Approval]

    def approvals(self, version: int, until: datetime) -> list[Approval]:
        """Return the approvals that a version had at a moment: editing a request takes away those of the one before."""
        return [each for each in self.given if each.version == version and each.at <= until]


def askings(request_ids: Collection[int]) -> dict[int, Asking]:
    """Return requests by their ids, with two queries."""
    rows = ChangeRequest.objects.order_by().filter(pk__in=request_ids)
    found = {
        key: Asking(author, direction, version, [])
        for key, author, direction, version in rows.values_list("id", "author", "direction", "version")
    }
    steps = RequestStep.objects.order_by("id").filter(request__in=request_ids, what=Step.APPROVED)
    for key, version, actor, at in steps.values_list("request", "version", "actor", "at"):
        found[key].given.append(Approval(version, actor, at))
    return found
