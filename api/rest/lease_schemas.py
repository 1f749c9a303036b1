"""The schemas of the leases of OMSs: what is sent, and what is answered."""

from __future__ import annotations

from typing import Any

from emergency.leases import LONGEST_HOLDER, LONGEST_S, SHORTEST_S, OnSilence

Schema = dict[str, Any]

_TIME: Schema = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
_HOLDER: Schema = {"type": "string", "minLength": 1, "maxLength": LONGEST_HOLDER}
_ACCOUNTS: Schema = {"type": "array", "items": {"type": "string"}}
_ON_SILENCE: Schema = {"type": "string", "enum": [each.value for each in OnSilence]}

LEASE_EXAMPLE: Schema = {"holder": "oms-1", "accounts": ["desk-1", "desk-2"], "ttl": 10, "on_silence": "reduce"}

_ASKED: Schema = {
    "type": "object",
    "properties": {
        "holder": {**_HOLDER, "description": "The name of the OMS, the same at each renewal and no other one's."},
        "accounts": {
            **_ACCOUNTS,
            "minItems": 1,
            "description": "What it trades. Absent: all accounts that the API key is for.",
        },
        "ttl": {
            "type": "integer",
            "minimum": SHORTEST_S,
            "maximum": LONGEST_S,
            "description": "Seconds within which it will be renewed: some three times the time between two renewals.",
        },
        "on_silence": {
            **_ON_SILENCE,
            "default": OnSilence.ALERT.value,
            "description": "alert: people are told. reduce: its accounts are moved to REDUCING as well, until people"
            " re-enable them. The stricter of this and of RISK_LEASE_ON_SILENCE holds.",
        },
    },
    "required": ["holder", "ttl"],
    "additionalProperties": False,
    "examples": [LEASE_EXAMPLE],
}

_PROPERTIES: Schema = {
    "holder": _HOLDER,
    "accounts": {**_ACCOUNTS, "description": "Those that the API key is for."},
    "ttl": {"type": "integer", "description": "Seconds."},
    "on_silence": {**_ON_SILENCE, "description": "What holds: the stricter of what was asked and of the settings."},
    "renewed_by": {"type": "string"},
    "granted_at": _TIME,
    "renewed_at": _TIME,
    "expires_at": {**_TIME, "description": "Until when it must be renewed."},
    "age_ms": {"type": "integer", "description": "Since it was renewed, in milliseconds."},
    "silent": {"type": "boolean", "description": "It has run out."},
    "silent_since": {**_TIME_OR_NULL, "description": "When it ran out, once that was noticed."},
}
_LEASE: Schema = {"type": "object", "properties": _PROPERTIES, "required": sorted(_PROPERTIES)}
_RENEWED: Schema = {
    "type": "object",
    "properties": {
        **_PROPERTIES,
        "was_silent_since": {
            **_TIME_OR_NULL,
            "description": "The silence that this renewal has ended. It lifts no stop: people do.",
        },
    },
    "required": sorted([*_PROPERTIES, "was_silent_since"]),
}

COMPONENTS: Schema = {"LeaseRequest": _ASKED, "Lease": _LEASE, "RenewedLease": _RENEWED}
