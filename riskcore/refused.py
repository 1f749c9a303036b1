"""The block that answers an order when nothing could be decided: the store is away or has lost its memory."""

from __future__ import annotations

from riskcore.batch import Answered, NewId
from riskcore.calendar import moment
from riskcore.decide import encode_decision
from riskcore.reasons import Reason
from riskcore.types import Decision, Order, RiskLevel, TradingState, Verdict

_TEXTS = {
    Reason.RECOVERING: "trading is halted until the live state has been restored",
    Reason.STATE_UNAVAILABLE: "the live state cannot be reached, so nothing is approved",
}


def not_decided(order: Order, reason: Reason, now_us: int, new_id: NewId) -> Answered:
    """Return the block of an order on which nothing is known. It is not journaled: there is no evidence for it."""
    decision = Decision(
        decision=Verdict.BLOCK,
        approved=False,
        decision_id=new_id(now_us),
        order_id=order.order_id,
        account_id=order.account_id,
        reason=reason,
        message=_TEXTS[reason],
        violations=(),
        warnings=(),
        max_quantity=None,
        scale_factor=None,
        binding_limit=None,
        risk_level=RiskLevel.UNKNOWN,
        trading_state=TradingState.HALTED,
        post_trade_metrics={},
        limit_utilization={},
        policy_book_version=None,
        account_state_at=None,
        reservation=None,
        what_if=order.what_if,
        timestamp=moment(now_us),
    )
    return Answered(order=order, decision=encode_decision(decision), approved=False, reason=reason)
