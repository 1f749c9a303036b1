"""What no order moves is worked out once for a state, and is that state's alone."""

from __future__ import annotations

from decimal import Decimal

import pytest

from riskcore import unmoved
from riskcore.unmoved import unmoved_by_orders
from tests.riskcore.builders import check, compiled, order, policy, state

D = Decimal
UNDER = compiled(policy("drawdown_daily", "<=", "0.1"), policy("leverage", "<=", 2))


def scope_of(under=UNDER):
    return under.limits_for(order(1), under.accounts["A"], "")


def test_it_is_worked_out_once_for_a_state_and_its_limits() -> None:
    at = state()
    known = unmoved_by_orders(at, scope_of())
    assert unmoved_by_orders(at, scope_of()) is known
    assert unmoved_by_orders(state(), scope_of()) is not known
    other = compiled(policy("drawdown_daily", "<=", "0.2"))
    assert unmoved_by_orders(at, scope_of(other)) is not known


def test_what_an_order_moves_has_a_place_in_it() -> None:
    known = unmoved_by_orders(state(daily_start_equity=200_000), scope_of())
    assert (known.values[:2], known.used[:2]) == ((D("0.5"), None), (D(5), None))
    assert [finding.limit.policy.id for finding in known.broken.values()] == ["drawdown_daily"]
    assert (known.shown["drawdown_daily"], known.shown["leverage"]) == (D("0.5"), None)
    assert (known.utilisations["drawdown_daily"], known.utilisations["leverage"]) == (D(5), None)


def test_a_new_report_is_looked_at_anew() -> None:
    shown = [
        check(order("0.1"), at=state(equity=equity, daily_start_equity=100_000), under=UNDER).post_trade_metrics
        for equity in (100_000, 95_000, 100_000)
    ]
    assert [metrics["drawdown_daily"] for metrics in shown] == [0, D("0.05"), 0]


def test_no_more_are_kept_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unmoved._known, "most", 2)
    found = [
        unmoved_by_orders(state(equity=equity, account_id=f"A{equity}"), scope_of()).shown["daily_pnl"]
        for equity in (1, 2, 3, 4)
    ]
    assert found == [0, 0, 0, 0]
    assert len(unmoved._known) <= 2


def test_of_an_account_that_of_its_newest_state_is_kept() -> None:
    others = [state(equity=equity) for equity in (1, 2, 3)]
    for at in others:
        unmoved_by_orders(at, scope_of())
    assert [at for at, _, _ in unmoved._known.values()] == others[-1:]
