"""Who stands behind what a book says: the changes that made an item what it was, as the audit log has them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from audit.models import AuditEvent
from reports.asked_by import Approval, Asking, askings


class Request(Struct, frozen=True, kw_only=True):
    """The request by which a change was made. `direction` is how it was judged, `approvals` are of what it said."""

    number: int
    author: str
    direction: str
    approvals: tuple[Approval, ...]


class Change(Struct, frozen=True, kw_only=True):
    """A change of one item, published by `actor` in a book. `request` None: the configuration made it, without one.

    `before` and `after` are the columns of its row; `before` None: it was new.
    """

    event: int
    at: datetime
    actor: str
    reason: str
    book: int
    before: Mapping[str, Any] | None
    after: Mapping[str, Any]
    request: Request | None

    def sets(self, fields: Collection[str]) -> bool:
        """Return whether it gave one of these columns another value."""
        before = self.before
        return before is None or any(before.get(name) != self.after.get(name) for name in fields)


class Lineage(Struct, frozen=True):
    """The changes of one item, the oldest first: at least one."""

    changes: tuple[Change, ...]

    @property
    def last(self) -> Change:
        """Return the change that made it what it was."""
        return self.changes[-1]

    def last_of(self, *fields: str) -> Change:
        """Return the last change that gave one of these columns another value; the first of all made them all."""
        return next((each for each in reversed(self.changes) if each.sets(fields)), self.changes[0])


def lineages(kind: str, keys: Collection[str], book: int) -> dict[str, Lineage]:
    """Return the changes of some rows that were published by a book, by their keys.

    `kind` is what the audit log calls them: "policy", "capitalprofile", "account". What it has no event of is left out.
    """
    events = AuditEvent.objects.filter(object_type=kind, object_id__in=keys).order_by("sequence")
    found = [event for event in events if 0 < _book_of(event) <= book]
    asked = askings({_request_of(event) for event in found} - {0})
    requests = {number: _request(number, asking) for number, asking in asked.items()}
    changes: defaultdict[str, list[Change]] = defaultdict(list)
    for event in found:
        changes[event.object_id].append(_change(event, requests.get(_request_of(event))))
    return {key: Lineage(tuple(each)) for key, each in changes.items()}


def _change(event: AuditEvent, request: Request | None) -> Change:
    return Change(
        event=event.sequence,
        at=event.at,
        actor=event.actor,
        reason=event.reason,
        book=_book_of(event),
        before=event.before,
        after=event.after or {},
        request=request,
    )


def _book_of(event: AuditEvent) -> int:
    said = (event.after or {}).get("book")
    version = said.get("version") if isinstance(said, dict) else None
    return version if isinstance(version, int) else 0


def _request_of(event: AuditEvent) -> int:
    number = (event.after or {}).get("request")
    return number if isinstance(number, int) else 0


def _request(number: int, asking: Asking) -> Request:
    return Request(
        number=number,
        author=asking.author,
        direction=asking.direction,
        # An approval is of one version of the edits; of those before, nothing was published.
        approvals=tuple(each for each in asking.given if each.version == asking.version),
    )


def approved_by(change: Change) -> str:
    """Return who approved a change, by name; empty where nobody did."""
    return ", ".join(each.actor for each in change.request.approvals) if change.request is not None else ""


def approval_in_words(change: Change) -> str:
    """Return in words who approved a change, or why nobody had to."""
    if change.request is None:
        return f"nobody was asked: {change.actor} made it by the configuration"
    if change.request.approvals:
        return f"approved by {approved_by(change)}"
    return f"published by {change.actor} without a second: {_WHY.get(change.request.direction, 'none was needed')}"


_WHY = {"tightens": "it tightened limits", "neutral": "it neither tightened nor loosened limits"}
