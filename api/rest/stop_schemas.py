"""The schemas of emergency stops: what is sent, and what is answered."""

from __future__ import annotations

from typing import Any

from emergency.services import LONGEST_ACTOR, LONGEST_REASON
from emergency.words import Command, Status, Trigger
from riskcore.ports import StopScope

Schema = dict[str, Any]

_STOPPING = ["HALTED", "REDUCING"]
_TIME: Schema = {"type": "string", "format": "date-time"}


def _text(description: str, longest: int) -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": longest, "description": description}


def _or_null(schema: Schema) -> Schema:
    return {"oneOf": [schema, {"type": "null"}]}


def _sent(properties: Schema, required: list[str]) -> Schema:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _answered(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": sorted(properties)}


_SCOPE: Schema = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": [each.value for each in StopScope]},
        "id": {"type": "string", "maxLength": 64, "description": "Left out, or empty, for global scope."},
    },
    "required": ["type"],
    "additionalProperties": False,
}
_STATE: Schema = {
    "type": "string",
    "enum": _STOPPING,
    "description": "In REDUCING, orders pass that strictly reduce a position.",
}
_STATUS: Schema = {"type": "string", "enum": [each.value for each in Status], "description": "How far it has come."}
_GIVEN_UP: Schema = {"type": "boolean", "description": "The OMS is asked no more for what is left."}
_ID: Schema = {"type": "string", "format": "uuid"}

_STOP = _sent(
    {
        "reason": _text("Why, for people.", LONGEST_REASON),
        "triggered_by": _text("The person who stops trading; another one re-enables it.", LONGEST_ACTOR),
        "scope": {**_SCOPE, "description": "What is stopped. Absent: everything."},
        "state": {**_STATE, "default": "HALTED"},
        "unwind": {"type": "boolean", "default": False, "description": "Close positions as well."},
        "force": {"type": "boolean", "default": False, "description": "Taken and of no effect: no stop is refused."},
        "drill": {"type": "boolean", "default": False, "description": "Recorded as a drill; in force like any other."},
    },
    ["reason", "triggered_by"],
)
_RE_ENABLE = {
    **_sent(
        {
            "stop_id": _ID,
            "scope": {**_SCOPE, "description": "Lifts every stop in force in exactly this scope."},
            "authorized_by": _text("Who takes it on themselves; yourself, unless a machine asks.", LONGEST_ACTOR),
            "reason": _text("Why trading may go on.", LONGEST_REASON),
            "force": {
                "type": "boolean",
                "default": False,
                "description": "Although an emergency policy is breached: a second person must send the same within 15"
                " minutes. Only people, signed in or with a key of their own.",
            },
        },
        ["authorized_by", "reason"],
    ),
    "oneOf": [{"required": ["stop_id"]}, {"required": ["scope"]}],
}
_PATIENCE = _sent(
    {
        "stop_id": _ID,
        "authorized_by": _text("Who takes it on themselves; yourself, unless a machine asks.", LONGEST_ACTOR),
        "reason": _text("Why.", LONGEST_REASON),
    },
    ["stop_id", "authorized_by", "reason"],
)
_PATIENCE_SAID = _answered({"stop_id": _ID, "status": _STATUS, "given_up": _GIVEN_UP})
_ENGAGED = _answered(
    {
        "stop_id": _ID,
        "status": _or_null(_STATUS),
        "scope": _SCOPE,
        "state": _STATE,
        "unwind": {"type": "boolean"},
        "engaged_at": _TIME,
        "new": {"type": "boolean", "description": "False: it was in force before, and asks for no less."},
        "recorded": {"type": "boolean", "description": "False: the database is away; it is recorded later."},
        "accounts": _or_null({"type": "integer", "description": "Accounts in its scope, kept as they were."}),
    }
)
_COUNT: Schema = {"type": "integer", "minimum": 0}
_RESIDUAL: Schema = {
    "type": "object",
    "properties": {
        "account_id": {"type": "string", "description": "Empty in the last of a list that was cut short."},
        "why": {"type": "string"},
        "command": _or_null({"type": "string", "enum": [each.value for each in Command]}),
        "remaining": _or_null({**_COUNT, "description": "Orders and positions that the OMS says are left."}),
        "open_orders": {**_COUNT, "description": "Orders from before the stop that are not reported as closed."},
        "positions": {
            "type": "array",
            "items": _answered(
                {
                    "symbol": {"type": "string"},
                    "exchange": {"type": "string"},
                    "quantity": {"type": "string", "description": "Signed."},
                }
            ),
        },
        "rejects": {"type": "object", "additionalProperties": _COUNT, "description": "Blocked orders by reason."},
    },
    "required": ["account_id", "why"],
}
_PROGRESS: Schema = {
    **_answered(
        {
            "accounts": {**_COUNT, "description": "That the stop is about."},
            "cancelled": {**_COUNT, "description": "Of these, those whose orders are cancelled."},
            "orders_canceled": _COUNT,
            "positions_closed": _COUNT,
        }
    ),
    "description": "What the OMS has done so far.",
}
_WHO: Schema = {
    "reason": _or_null({"type": "string"}),
    "triggered_by": _or_null({"type": "string"}),
    "trigger": _or_null({"type": "string", "enum": [each.value for each in Trigger]}),
    "residuals": _or_null({"type": "array", "items": _RESIDUAL, "description": "What is left, by account."}),
}
_IN_FORCE = _answered(
    {
        "stop_id": {"type": "string"},
        "scope": _SCOPE,
        "state": _STATE,
        "unwind": {"type": "boolean"},
        "engaged_at": _or_null(_TIME),
        "status": _or_null(_STATUS),
        "given_up": _or_null(_GIVEN_UP),
        "progress": _or_null(_PROGRESS),
        **_WHO,
    }
)
_RECORD = _answered(
    {
        "stop_id": _ID,
        "scope": _SCOPE,
        "state": _STATE,
        "unwind": {"type": "boolean"},
        **_WHO,
        "engaged_at": _TIME,
        "status": _STATUS,
        "accounts": {"type": "integer"},
        "active": {"type": "boolean"},
        "lifted_at": _or_null(_TIME),
        "lifted_by": _or_null({"type": "string"}),
        "lifted_reason": _or_null({"type": "string"}),
        "forced": {"type": "boolean"},
        "approved_by": _or_null({"type": "string"}),
        "given_up": _GIVEN_UP,
        "given_up_by": _or_null({"type": "string", "description": "Who said so, or that it is asked again."}),
        "given_up_reason": _or_null({"type": "string"}),
        "steps": {
            "type": "array",
            "items": _answered({"at": _TIME, "what": {"type": "string"}, "detail": _or_null({"type": "string"})}),
        },
    }
)
_LIFTED = _answered(
    {
        "results": {
            "type": "array",
            "items": _answered(
                {
                    "stop_id": _ID,
                    "status": {"type": "string", "enum": ["lifted", "approval_needed"]},
                    "approve_before": _or_null(_TIME),
                }
            ),
        },
        "live": {"type": "boolean", "description": "False: the flags are taken down when the live state is back."},
    }
)

COMPONENTS: Schema = {
    "EmergencyStop": _STOP,
    "ReEnable": _RE_ENABLE,
    "EngagedStop": _ENGAGED,
    "StopInForce": _IN_FORCE,
    "StopRecord": _RECORD,
    "LiftedStops": _LIFTED,
    "Patience": _PATIENCE,
    "PatienceSaid": _PATIENCE_SAID,
}
