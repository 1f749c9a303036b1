"""The firm as a whole: its sums, its risk signal, and what is recommended."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from riskcore.book import Policy, PolicyType, Returns, Scope
from riskcore.compiled import CompiledBook
from riskcore.ledger import encode_ledger
from riskcore.overview import AccountOverview
from riskcore.picture import Picture, take_picture
from riskcore.ports import AccountView, Stop
from riskcore.signal import GlobalSignal, Tier, firm_overview, glance_of, global_signal, read_account, read_firm
from riskcore.types import Ledger, Position, RiskLevel, TradingState
from riskcore.var import tail_risk
from tests.riskcore.builders import (
    NOW,
    SECOND,
    SELL,
    account,
    as_raw,
    compiled,
    holding,
    marks,
    policy,
    position,
    reservation,
    scoped,
    soft,
    state,
)

D = Decimal


def firm(*policies: Policy, accounts: str = "AB", **what: Any) -> CompiledBook:
    return compiled(*policies, accounts=tuple(account(name) for name in accounts), **what)


def picture(
    under: CompiledBook, name: str, *positions: Position, ledger: Ledger | None = None, known: bool = True, **what: Any
) -> Picture:
    """An account of the firm with 100,000 of equity."""
    content = bytes(as_raw(state(*positions, account_id=name, **what))) if known else None
    view = AccountView(
        account_id=name,
        version=1,
        state=content,
        ledger=None if ledger is None else encode_ledger(ledger),
        prices=marks(),
        answers={},
        expired=(),
        own_bids={},
        own_asks={},
    )
    return take_picture(view, under, NOW, ())


def signal(under: CompiledBook, *pictures: Picture) -> GlobalSignal:
    accounts = (glance_of(read_account(each)) for each in pictures)
    return global_signal(accounts, glance_of(read_firm(pictures, under, NOW)), under, NOW)


def whole(under: CompiledBook, *pictures: Picture, stops: tuple[Stop, ...] = ()) -> AccountOverview:
    return firm_overview(read_firm(pictures, under, NOW), stops)


def emergency(metric: str, operator: str, threshold: Any) -> Policy:
    return policy(metric, operator, threshold, type=PolicyType.EMERGENCY)


# ------------------------------------------------------------------------------------------------- the sums


def test_money_and_exposure_add_up() -> None:
    under = firm()
    one = picture(under, "A", position(2), position(10, "ETHUSDT"), margin_used=20_000, peak_equity=120_000)
    other = picture(under, "B", position(-1), ledger=holding(reservation(1, SELL, account_id="B")), equity=50_000)
    found = whole(under, one, other)
    assert (found.account_id, found.equity, found.margin_used) == ("", D(150_000), D(20_000))
    assert (found.peak_equity, found.daily_start_equity) == (D(170_000), D(150_000))
    metrics = found.metrics
    assert metrics["gross_exposure"] == 130_000 + 100_000
    assert metrics["net_exposure"] == 130_000 - 50_000
    assert metrics["leverage"] == D("1.533333")
    assert metrics["margin_available"] == 150_000 - 20_000 - 5_000
    assert metrics["open_orders"] == 1
    assert metrics["drawdown_max"] == D("0.117647")


def test_a_symbol_has_all_that_the_firm_has_of_it() -> None:
    under = firm(policy("position_value", "<=", 200_000))
    one, other = picture(under, "A", position(2)), picture(under, "B", position(-1))
    found = whole(under, one, other)
    (held,) = found.positions
    assert (held.symbol, held.quantity, held.value) == ("BTCUSDT", D(1), D(150_000))
    (limit,) = found.limits
    assert (limit.symbol, limit.value, limit.utilisation) == ("BTCUSDT", D(150_000), D("0.75"))


def test_value_at_risk_is_of_what_the_firm_holds_together() -> None:
    history = np.random.default_rng(3).normal(0, 0.02, 100)
    returns = Returns(
        version="v", symbols=("BTCUSDT",), days=100, since="", until="2026-01-06", values=history.tobytes()
    )
    under = firm(returns=returns)
    hedged = whole(under, picture(under, "A", position(2)), picture(under, "B", position(-2)))
    assert hedged.metrics["var_99"] == 0
    alone = whole(under, picture(under, "A", position(2)), picture(under, "B"))
    assert alone.metrics["var_99"] is not None
    assert float(alone.metrics["var_99"]) == pytest.approx(tail_risk(100_000 * history).var_99 / 200_000, abs=1e-6)


def test_it_is_as_old_as_its_oldest_state() -> None:
    under = firm()
    found = whole(under, picture(under, "A"), picture(under, "B", received_at_us=NOW - 3 * SECOND))
    assert found.state_age_ms == 3_000


def test_an_account_that_cannot_be_valued_is_in_no_sum_and_said_to_be_missing() -> None:
    under = firm(accounts="ABC")
    known = picture(under, "A")
    pictures = (known, picture(under, "B", known=False), picture(under, "C", position(1, "XYZ")))
    found = signal(under, *pictures)
    assert (found.accounts, found.accounts_valued) == (3, 1)
    assert found.warnings == ("2 of 3 accounts are in no sum: they cannot be valued",)
    assert whole(under, *pictures).equity == 100_000


def test_stops_of_everything_are_the_firms() -> None:
    stop = Stop(id="s", state=TradingState.REDUCING)
    assert whole(firm(), picture(firm(), "A"), stops=(stop,)).trading_state is TradingState.REDUCING


# ------------------------------------------------------------------------------------------------ the signal


def test_before_the_first_state_nothing_is_known() -> None:
    under = firm()
    found = signal(under, picture(under, "A", known=False))
    assert (found.risk_level, found.overall_risk_score) == (RiskLevel.UNKNOWN, None)
    assert found.emergency_tier_recommendation is Tier.NONE
    assert whole(under, picture(under, "A", known=False)).metrics == {}


@pytest.mark.parametrize(
    ("quantity", "level", "score", "tier"),
    [
        (1, RiskLevel.INFO, 50, Tier.NONE),
        ("1.5", RiskLevel.WARNING, 75, Tier.NONE),
        ("1.8", RiskLevel.CRITICAL, 90, Tier.REDUCE_ONLY),
        (3, RiskLevel.CRITICAL, 100, Tier.REDUCE_ONLY),
    ],
)
def test_the_level_is_that_of_the_firms_binding_limit(quantity: Any, level: RiskLevel, score: int, tier: Tier) -> None:
    under = firm(policy("gross_exposure", "<=", 100_000))
    half = D(quantity) / 2
    found = signal(under, picture(under, "A", position(half)), picture(under, "B", position(half)))
    assert (found.risk_level, found.overall_risk_score) == (level, D(score))
    assert (found.emergency_tier_recommendation, found.emergency_action_required) == (tier, False)


def test_a_broken_emergency_limit_demands_action() -> None:
    under = firm(emergency("daily_loss", "<=", "0.10"))
    lost = picture(under, "A", equity=80_000, daily_start_equity=110_000)
    found = signal(under, lost, picture(under, "B"))
    assert found.emergency_tier_recommendation is Tier.HALT
    assert found.emergency_action_required
    assert found.critical_issues[0] == "Limit on daily_loss: daily_loss 0.142857 breaks <= 0.1"


@pytest.mark.parametrize("what", [{"equity": -1}, {"equity": 10_000, "margin_used": 10_001}])
def test_a_firm_that_cannot_cover_its_margin_unwinds(what: dict[str, Any]) -> None:
    under = firm(accounts="A")
    found = signal(under, picture(under, "A", **what))
    assert (found.emergency_tier_recommendation, found.emergency_action_required) == (Tier.UNWIND, True)


def test_only_limits_of_global_scope_are_the_firms() -> None:
    under = firm(policy("gross_exposure", "<=", 1, **scoped(Scope.ACCOUNT, "A")))
    found = signal(under, picture(under, "A", position(1)), picture(under, "B"))
    assert (found.risk_level, found.overall_risk_score) == (RiskLevel.INFO, D(0))


def test_what_does_not_add_up_is_no_figure_of_the_firm() -> None:
    under = firm(emergency("drawdown_rapid", "<=", "0.05"), emergency("position_loss", "<=", "0.3"))
    found = signal(under, picture(under, "A", position(1)), picture(under, "B", position(1)))
    assert (found.risk_level, found.emergency_tier_recommendation) == (RiskLevel.INFO, Tier.NONE)


def test_an_account_near_its_own_limit_is_listed_and_does_not_stop_the_firm() -> None:
    under = firm(
        policy("leverage", "<=", 1, **scoped(Scope.ACCOUNT, "A")),
        policy("leverage", "<=", 2, id="b", **scoped(Scope.ACCOUNT, "B")),
    )
    found = signal(under, picture(under, "A", position(3)), picture(under, "B", position(D("3.2"))))
    assert [(one.account_id, one.risk_level, one.risk_score) for one in found.accounts_at_risk] == [
        ("A", RiskLevel.CRITICAL, D(100)),
        ("B", RiskLevel.WARNING, D(80)),
    ]
    assert found.critical_issues == ("account A is critical",)
    assert found.warnings == ("account B is near a limit",)
    assert (found.risk_level, found.emergency_tier_recommendation) == (RiskLevel.INFO, Tier.NONE)


def test_a_broken_soft_limit_warns() -> None:
    under = firm(soft("leverage", "<=", "0.1"))
    found = signal(under, picture(under, "A", position(1)), picture(under, "B"))
    assert found.warnings == ("Limit on leverage: leverage 0.250000 breaks <= 0.1",)
    assert found.critical_issues == ()
