"""Who asks for changes in tests, and short ways to ask."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from audit.acting import acting
from policies.edits import Edit
from policies.models import APPROVE_LIMITS, CHANGE_LIMITS, ChangeRequest, Policy
from policies.requests import services
from policies.requests.publishing import Published

ALICE = acting("alice", [CHANGE_LIMITS])
CAROL = acting("carol", [CHANGE_LIMITS])
BOB = acting("bob", [APPROVE_LIMITS])
DAVE = acting("dave", [CHANGE_LIMITS, APPROVE_LIMITS])
NOBODY = acting("nobody", [])


def threshold(book: Any, name: str = "Max Account Leverage") -> Decimal:
    """Return the threshold of a limit in a book of riskcore."""
    found: dict[str, Decimal] = {each.name: each.threshold for each in book.policies}
    return found[name]


def policy(name: str = "Max Account Leverage") -> Policy:
    found: Policy = Policy.objects.get(name=name)
    return found


def setting(row: Any, kind: str = "policy", **fields: Any) -> Edit:
    """Return the edit that sets fields of a row as it is now."""
    return Edit(kind, str(row.pk), row.version, fields)


def making(kind: str, key: str = "", **fields: Any) -> Edit:
    return Edit(kind, key, 0, fields)


def new_limit(name: str = "Max Order Notional", **fields: Any) -> Edit:
    wanted: Mapping[str, Any] = {"metric": "order_notional", "threshold": "1000"}
    return making("policy", name=name, **{**wanted, **fields})


def draft(*edits: Edit, by: Any = ALICE, reason: str = "Review") -> ChangeRequest:
    return services.do_draft_request(acting=by, reason=reason, edits=edits)


def leverage(threshold: str, by: Any = ALICE) -> ChangeRequest:
    """Return a draft for another leverage of every account; it is 10 at first."""
    return draft(setting(policy(), threshold=threshold), by=by)


def seen(request: ChangeRequest) -> dict[str, Any]:
    return {"request_id": request.pk, "expected_version": request.version}


def submitted(request: ChangeRequest, by: Any = ALICE) -> ChangeRequest:
    return services.do_submit_request(acting=by, **seen(request))


def approved(request: ChangeRequest, by: Any = BOB) -> ChangeRequest:
    return services.do_approve_request(acting=by, **seen(submitted(request)))


def published(request: ChangeRequest, by: Any = ALICE) -> Published:
    return services.do_publish_request(acting=by, **seen(request))
