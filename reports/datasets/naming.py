"""Which audit events are about what orders are checked against, and which of them name an account, symbol or policy."""

from __future__ import annotations

import json
from collections.abc import Collection

from django.db import connection
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from audit.models import AuditEvent
from policies.models import ChangeRequest
from reports.datasets.selecting import policy_meant

REQUEST = "changerequest"

# The types of objects as the audit log has them, and as people say.
KINDS = {
    "policy": "limit",
    "capitalprofile": "capital profile",
    "account": "account",
    "instrument": "instrument",
    "restrictedsymbol": "restricted symbol",
    "override": "override",
    "parameters": "settings",
    "returns": "history of returns",
    REQUEST: "change request",
}


def changes_of_policy(events: QuerySet[AuditEvent], policy: str) -> QuerySet[AuditEvent]:
    """Return the changes of a policy, by its id or a name that it has or had, with the steps of their requests."""
    meant = policy_meant(policy)
    named = [*sorted(meant.ids), *sorted(meant.names)]
    return _with_requests(events, Q(object_type="policy") & _events_naming(named), named)


def changes_naming(events: QuerySet[AuditEvent], name: str) -> QuerySet[AuditEvent]:
    """Return the changes that name an account or a symbol, before or after, with the steps of their requests."""
    return _with_requests(events, ~Q(object_type=REQUEST) & _events_naming([name]), [name])


def _with_requests(events: QuerySet[AuditEvent], wanted: Q, names: Collection[str]) -> QuerySet[AuditEvent]:
    told = {"was": Cast("before", TextField()), "now": Cast("after", TextField())}
    # Of all time: a request is older than what came of it.
    made = AuditEvent.objects.order_by().annotate(**told).filter(wanted, object_type__in=KINDS)
    came_of = set(made.values_list("after__request", flat=True).distinct()) - {None}
    drafts = ChangeRequest.objects.order_by().annotate(text=Cast("edits", TextField()))
    asked_for = drafts.filter(_containing("text", names)).values_list("pk", flat=True)
    requests = [str(key) for key in sorted(came_of.union(asked_for))]
    return events.annotate(**told).filter(wanted | Q(object_type=REQUEST, object_id__in=requests))


def _events_naming(names: Collection[str]) -> Q:
    return Q(object_id__in=names) | _containing("was", names) | _containing("now", names)


def _containing(column: str, names: Collection[str]) -> Q:
    """Return the condition that a text of the database, which is JSON, has one of these texts in it, whole."""
    found = Q(pk__in=[])
    for name in names:
        found |= Q(**{f"{column}__contains": _quoted(name)})
    return found


def _quoted(name: str) -> str:
    """Return a text as JSON columns have it, which PostgreSQL writes by itself."""
    return json.dumps(name, ensure_ascii=connection.vendor != "postgresql")
