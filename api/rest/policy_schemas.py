"""The schemas of limits and of change requests: what is sent, and what is answered."""

from __future__ import annotations

from typing import Any

from policies.direction import Direction
from policies.edits import EDITABLE
from policies.hours import EXAMPLE
from policies.models import State, Step
from riskcore.book import Mode, OnBreach, Operator, PolicyType, Scope

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_TIME: Schema = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
_WHOLE: Schema = {"type": "integer", "minimum": 0}
_WHOLE_OR_NULL: Schema = {"type": ["integer", "null"]}
_NAMES: Schema = {"type": "array", "items": _TEXT}
_DECIMAL: Schema = {"type": ["string", "number"], "description": "Exact, as text or number."}


def _one_of(values: Any) -> Schema:
    return {"type": "string", "enum": [each.value for each in values]}


def _object(properties: Schema, required: list[str] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties) if required is None else required,
    }


_FIELDS: Schema = {
    "name": {**_TEXT, "maxLength": 120},
    "description": _TEXT,
    "type": _one_of(PolicyType),
    "metric": {**_TEXT, "examples": ["leverage"]},
    "operator": {**_one_of(Operator), "description": "The condition that must hold."},
    "threshold": {**_DECIMAL, "examples": ["8"]},
    "scope": _one_of(Scope),
    "scope_ids": {**_NAMES, "description": "Which of them; empty for global scope."},
    "enabled": {"type": "boolean"},
    "priority": {**_WHOLE, "maximum": 1000},
    "on_breach": _one_of(OnBreach),
    "window_s": {**_WHOLE, "description": "Seconds over which a counting metric counts; 0 for all others."},
    "owner": _TEXT,
    "regulatory_tags": _NAMES,
    "mode": {**_one_of(Mode), "description": "In shadow it is evaluated and recorded, without effect."},
    "active_windows": {**_NAMES, "description": f"When it is in force, as {EXAMPLE}; none: always."},
    "effective_from": {**_TIME_OR_NULL, "description": "null: from its publication."},
    "effective_until": {**_TIME_OR_NULL, "description": "null: without end."},
    "rollout_percent": {**_WHOLE, "maximum": 100, "description": "Of so many accounts in a hundred it is enforced."},
    "test_group": {**_TEXT, "description": "Policies of one group reach the same accounts."},
    "volatility_symbol": {**_TEXT, "description": "Whose volatility the threshold follows; empty: none's."},
    "volatility_reference": {**_DECIMAL, "description": "Annualised volatility at which the threshold is as written."},
    "volatility_least": {**_DECIMAL, "description": "The threshold is never multiplied by less than this."},
    "volatility_most": {**_DECIMAL, "description": "And never by more than this."},
}
_REASON: Schema = {**_TEXT, "description": "Why, for the audit log."}
_SEEN: Schema = {**_WHOLE, "description": "The version that was seen. Another one by now is a conflict (409)."}

_NEW: Schema = {
    **_object({**_FIELDS, "reason": _REASON}, ["metric", "name", "reason", "threshold"]),
    "additionalProperties": False,
}
_CHANGE: Schema = {
    **_object({"id": {**_TEXT, "format": "uuid"}, "version": _SEEN, **_FIELDS, "reason": _REASON}),
    "required": ["id", "reason", "version"],
    "additionalProperties": False,
}
_POLICY = _object(
    {"id": {**_TEXT, "format": "uuid"}, "version": _WHOLE, **_FIELDS, "in_words": _TEXT},
)

_REQUEST: Schema = {
    "id": _WHOLE,
    "title": _TEXT,
    "reason": _TEXT,
    "state": _one_of(State),
    "version": {**_WHOLE, "description": "Counts its edits; an approval is of one version."},
    "direction": {
        "enum": [*[each.value for each in Direction], None],
        "description": "Its loosest difference; unclear counts as loosens.",
    },
    "author": _TEXT,
    "created_at": _TIME,
    "changed_at": _TIME,
    "publish_at": _TIME_OR_NULL,
    "policy_book_version": {**_WHOLE_OR_NULL, "description": "The book that it made; null: it is not published."},
    "reverses": {**_WHOLE_OR_NULL, "description": "The request that it takes back."},
    "problem": {**_TEXT_OR_NULL, "description": "Why it cannot be published, or became a draft again."},
}
_EDIT = _object(
    {
        "kind": {"type": "string", "enum": list(EDITABLE)},
        "key": _TEXT,
        "expected_version": {**_WHOLE, "description": "The version of the row that was seen; 0: a new row."},
        "fields": {"type": "object"},
    }
)
_DIFFERENCE = _object(
    {
        "part": _TEXT,
        "name": _TEXT,
        "field": _TEXT,
        "before": {},
        "after": {},
        "direction": _one_of(Direction),
        "why": _TEXT,
    }
)
_APPROVAL = _object({"actor": _TEXT, "at": _TIME, "note": _TEXT_OR_NULL})
_STEP = _object({"at": _TIME, "actor": _TEXT, "what": _one_of(Step), "version": _WHOLE, "note": _TEXT_OR_NULL})
_WHOLE_REQUEST = _object(
    {
        **_REQUEST,
        "edits": {"type": "array", "items": _EDIT},
        "differences": {"type": ["array", "null"], "items": _DIFFERENCE},
        "approvals_needed": _WHOLE_OR_NULL,
        "approvals": {"type": "array", "items": _APPROVAL},
        "steps": {"type": "array", "items": _STEP},
    }
)
_STEP_BODY: Schema = {
    **_object(
        {
            "version": _SEEN,
            "note": {**_TEXT, "maxLength": 500, "description": "Approve, reject, withdraw. A rejection needs one."},
            "at": {**_TIME, "description": "Publish: when, with its zone. Absent: now."},
        },
        ["version"],
    ),
    "additionalProperties": False,
}

_OVERRIDE_FIELDS: Schema = {
    "account_id": _TEXT,
    "symbol": {**_TEXT_OR_NULL, "description": "None: every symbol."},
    "side": {"enum": ["BUY", "SELL", None], "description": "None: both."},
    "max_orders": {**_WHOLE, "minimum": 1},
    "max_quantity": {**_DECIMAL, "description": "Of all its orders together; 0: no bound."},
    "max_notional": {**_DECIMAL, "description": "Of all its orders together, in currency; 0: no bound."},
    "valid_from": _TIME_OR_NULL,
    "until": {**_TIME, "description": "A month ahead at most."},
    "liquidation": {"type": "boolean", "description": "Also lets orders that reduce a position through a stop."},
    "reason": _TEXT,
}
_USED = _object({"orders": _WHOLE, "quantity": _DECIMAL, "notional": _DECIMAL})
_NEW_OVERRIDE: Schema = {
    **_object(
        {**_OVERRIDE_FIELDS, "symbol": _TEXT, "side": {"enum": ["BUY", "SELL"]}, "valid_from": _TIME},
        ["account_id", "reason", "until"],
    ),
    "additionalProperties": False,
}

COMPONENTS: Schema = {
    "Override": _object({"id": _TEXT, **_OVERRIDE_FIELDS, "used": {"anyOf": [_USED, {"type": "null"}]}}),
    "NewOverride": _NEW_OVERRIDE,
    "Policy": _POLICY,
    "NewPolicy": _NEW,
    "PolicyChange": _CHANGE,
    "ListedChangeRequest": _object(_REQUEST),
    "ChangeRequest": _WHOLE_REQUEST,
    "ChangeRequestStep": _STEP_BODY,
}
