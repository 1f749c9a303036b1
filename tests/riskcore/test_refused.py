"""The block that answers an order when nothing could be decided."""

from __future__ import annotations

import msgspec
import pytest

from riskcore.reasons import Reason
from riskcore.refused import not_decided
from riskcore.types import Decision, RiskLevel, TradingState, Verdict
from tests.riskcore.builders import NOW, order


@pytest.mark.parametrize("reason", [Reason.RECOVERING, Reason.STATE_UNAVAILABLE])
@pytest.mark.parametrize("what_if", [True, False])
def test_an_order_that_could_not_be_decided_is_blocked_and_says_why(reason: Reason, what_if: bool) -> None:
    of = order(1, what_if=what_if)
    answer = not_decided(of, reason, NOW, lambda now_us: f"id-at-{now_us}")
    assert (answer.order, answer.approved, answer.reason, answer.replayed) == (of, False, reason, False)
    decision = msgspec.json.decode(answer.decision, type=Decision)
    assert (decision.decision, decision.approved, decision.reason) == (Verdict.BLOCK, False, reason)
    assert (decision.trading_state, decision.risk_level) == (TradingState.HALTED, RiskLevel.UNKNOWN)
    assert (decision.order_id, decision.account_id, decision.what_if) == (of.order_id, "A", what_if)
    assert decision.decision_id == f"id-at-{NOW}"
    assert decision.policy_book_version is None
    assert decision.account_state_at is None
    assert decision.reservation is None
    assert decision.message
