"""The schemas of alerts and violations, beside what `alerts` shows."""

from __future__ import annotations

from typing import Any

from riskcore.book import PolicyType
from violations.models import NOTE_LENGTH, AlertState, Kind, Level

Schema = dict[str, Any]

_MOMENT: Schema = {"type": "string", "format": "date-time"}
_OR_NONE: Schema = {"type": ["string", "null"]}
_MOMENT_OR_NONE: Schema = {**_OR_NONE, "format": "date-time"}
_ID: Schema = {"type": "string", "format": "uuid"}
_NUMBER: Schema = {"type": "string", "description": "An exact decimal, in the metric's unit."}
_NUMBER_OR_NONE: Schema = {**_OR_NONE, "description": "An exact decimal; null: not defined, which breaks every limit."}
_USED: Schema = {**_OR_NONE, "description": "A fraction of the limit; null: beyond measure."}
_COUNT: Schema = {"type": "integer", "minimum": 1}


def _words(description: str) -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": NOTE_LENGTH, "description": description}


def _object(properties: Schema, **more: Any) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties), **more}


_LIMIT: Schema = {
    "account_id": {**_OR_NONE, "description": "null: the whole firm."},
    "symbol": {**_OR_NONE, "description": "null: the whole account."},
    "exchange": _OR_NONE,
    "policy_id": {**_OR_NONE, "description": "null: a rule of the check itself, such as the available margin."},
    "policy_name": {"type": "string"},
    "policy_type": {"type": "string", "enum": [each.value for each in PolicyType]},
    "metric": {"type": "string"},
    "operator": {"type": "string", "description": "What must hold between the value and the threshold."},
}

_ALERT = _object(
    {
        "id": _ID,
        "level": {"type": "string", "enum": Level.values},
        "state": {"type": "string", "enum": AlertState.values},
        **_LIMIT,
        "metric_value": _NUMBER_OR_NONE,
        "threshold_value": _NUMBER,
        "message": {"type": "string"},
        "violation_id": {**_OR_NONE, "format": "uuid"},
        "timestamp": _MOMENT,
        "published_at": {**_MOMENT, "description": "When people were last told of it."},
        "times_published": _COUNT,
        "acknowledged_by": _OR_NONE,
        "acknowledged_at": _MOMENT_OR_NONE,
        "note": _OR_NONE,
        "silenced_by": _OR_NONE,
        "silenced_at": _MOMENT_OR_NONE,
        "silenced_until": _MOMENT_OR_NONE,
        "silence_reason": _OR_NONE,
        "resolved_at": _MOMENT_OR_NONE,
    }
)

_VIOLATION = _object(
    {
        "id": _ID,
        "kind": {"type": "string", "enum": Kind.values},
        **_LIMIT,
        "policy_version": {"type": ["integer", "null"]},
        "threshold": _NUMBER,
        "value": {**_NUMBER_OR_NONE, "description": "The last one observed; null: not defined."},
        "utilisation": _USED,
        "worst_value": _NUMBER_OR_NONE,
        "worst_utilisation": _USED,
        "worst_at": _MOMENT,
        "message": {"type": "string"},
        "observations": {**_COUNT, "description": "How often it was observed, or how many orders were blocked for it."},
        "opened_at": _MOMENT,
        "last_at": _MOMENT,
        "closed_at": {**_MOMENT_OR_NONE, "description": "null: it is not over."},
        "order_id": {**_OR_NONE, "description": "Of blocks: the last order."},
        "decision_id": {**_OR_NONE, "format": "uuid"},
    }
)

COMPONENTS: Schema = {
    "Alert": _ALERT,
    "Violation": _VIOLATION,
    "Acknowledgement": _object(
        {"note": _words("Kept in the audit log, with who acknowledged.")}, additionalProperties=False
    ),
    "Silence": _object(
        {
            "until": {
                "oneOf": [_MOMENT, {"type": "integer", "minimum": 1}],
                "description": "ISO 8601 with its zone, or seconds, milliseconds or microseconds since the epoch; at"
                " most 30 days ahead.",
            },
            "reason": _words("Kept in the audit log, with who silenced."),
        },
        additionalProperties=False,
    ),
}
