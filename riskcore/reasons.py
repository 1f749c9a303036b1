"""Reason codes: why an order was blocked. They are on the wire for ever; never rename one."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """A stable code for machines; the decision's message is for people."""

    INVALID_ORDER = "invalid_order"
    EMERGENCY_STOP_ACTIVE = "emergency_stop_active"
    GLOBAL_RISK_CRITICAL = "global_risk_critical"
    EMERGENCY_ACTION_REQUIRED = "emergency_action_required"
    SYMBOL_BLOCKED = "symbol_blocked"
    UNKNOWN_ACCOUNT = "unknown_account"
    STALE_ACCOUNT_STATE = "stale_account_state"
    PRICE_UNAVAILABLE = "price_unavailable"
    STRATEGY_NOT_ALLOWED = "strategy_not_allowed"
    NOT_REDUCING = "not_reducing"
    DUPLICATE_ORDER = "duplicate_order"
    RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"
    SELF_MATCH = "self_match"
    INSUFFICIENT_MARGIN = "insufficient_margin"
    POLICY_VIOLATION = "policy_violation"
    BATCH_REJECTED = "batch_rejected"
    RESERVATION_ENDED = "reservation_ended"
    STATE_UNAVAILABLE = "state_unavailable"
    CONTENTION = "contention"
    RECOVERING = "recovering"


# Refusals about the moment, not about the order: they are not remembered as the answer for its order_id,
# so the same order may be sent again when the moment has passed.
TRANSIENT = frozenset(
    {
        Reason.UNKNOWN_ACCOUNT,
        Reason.BATCH_REJECTED,
        Reason.STATE_UNAVAILABLE,
        Reason.CONTENTION,
        Reason.RECOVERING,
    }
)
