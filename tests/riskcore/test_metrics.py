"""Every metric of SPEC 4 that needs no price history, on numbers worked out by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from riskcore.metrics import METRICS, WINDOWED, Kind, Subject
from riskcore.simulate import exposure_of
from riskcore.types import RiskLevel
from tests.riskcore.builders import (
    BUY,
    SELL,
    check,
    compiled,
    holding,
    instrument,
    market,
    marks,
    order,
    policy,
    position,
    reservation,
    soft,
    state,
)

D = Decimal

# An account long 2 BTC (in at 40,000, now 50,000) and short 10 ETH (in at 2,500, now 3,000): net 70,000 and
# gross 130,000. It has an open buy of 1 BTC at 49,000 and an open sell of 5 ETH at 3,100.
LONG_AND_SHORT = state(
    position(2, entry_price=40_000),
    position(-10, "ETHUSDT", entry_price=2_500),
    equity=100_000,
    margin_used=10_000,
    peak_equity=105_000,
    daily_start_equity=98_000,
    weekly_start_equity=125_000,
)
OPEN = holding(reservation(1, BUY, price=49_000), reservation(5, SELL, symbol="ETHUSDT", price=3_100))

# With an order to buy 1 BTC at 50,000 more.
AFTER = {
    "gross_exposure": D(245_000),  # 4 BTC x 50,000 + 15 ETH x 3,000
    "net_exposure": D(170_000),  # the high end: 4 x 50,000 - 10 x 3,000; the low end is 100,000 - 45,000
    "leverage": D("2.45"),
    "margin_ratio": D("4.662005"),  # 100,000 / (10,000 + 9,900 of the buys + 1,550 of the sell)
    "margin_available": D(78_550),
    "drawdown_daily": D(0),
    "drawdown_weekly": D("0.2"),
    "drawdown_max": D("0.047619"),
    "drawdown_rapid": D(0),
    "daily_loss": D(0),
    "weekly_loss": D("0.2"),
    "daily_pnl": D(2_000),
    "weekly_pnl": D(-25_000),
    "unrealized_pnl": D(15_000),  # 2 x 10,000 - 10 x 500
    "concentration": D(2),  # 4 x 50,000 / 100,000
    "position_value": D(200_000),
    "position_loss": D(0),
    "open_positions": D(2),
    "open_orders": D(3),
    "pending_notional": D(114_500),  # 49,000 + 15,500 + 50,000
}


@pytest.mark.parametrize("name", AFTER)
def test_a_metric_of_the_account_with_the_order_in_it(name: str) -> None:
    shown = check(order(1), at=LONG_AND_SHORT, ledger=OPEN).post_trade_metrics
    assert shown[name] == AFTER[name]


def test_a_decision_shows_every_metric_of_the_account_and_of_the_symbol() -> None:
    shown = check(order(1), at=LONG_AND_SHORT, ledger=OPEN).post_trade_metrics
    assert shown.keys() == AFTER.keys()
    assert shown.keys() == {name for name, metric in METRICS.items() if metric.kind in (Kind.ACCOUNT, Kind.SYMBOL)}


def test_the_worked_example_of_the_specification_comes_out_exactly() -> None:
    given = state(equity=100_000, margin_used=10_000, peak_equity=105_000, daily_start_equity=98_000)
    subject = Subject(state=given, exposure=exposure_of([]))
    assert METRICS["drawdown_daily"].value(subject) == 0
    drawdown_max = METRICS["drawdown_max"].value(subject)
    assert drawdown_max is not None
    assert str(drawdown_max).startswith("0.04761904761904761904761904")
    assert METRICS["margin_ratio"].value(subject) == 10


# ------------------------------------------------------------------------------------- ends of the range


def test_a_short_account_has_a_net_exposure_below_zero() -> None:
    shown = check(order(1, SELL), at=state(position(-2))).post_trade_metrics
    assert shown["net_exposure"] == -150_000
    assert shown["gross_exposure"] == 150_000


def test_net_exposure_is_shown_at_the_end_of_its_range_that_is_farther_from_zero() -> None:
    shown = check(order(1), at=state(), ledger=holding(reservation(3, SELL))).post_trade_metrics
    assert shown["net_exposure"] == -150_000


@pytest.mark.parametrize(
    ("operator", "threshold", "approved"),
    [("<=", 49_999, False), ("<=", 50_000, True), (">=", -149_999, False), (">=", -150_000, True)],
)
def test_a_cap_on_net_exposure_looks_at_its_high_end_and_a_floor_at_its_low_end(operator, threshold, approved) -> None:
    """With a sell of 3 open and a buy of 1 asked for, net exposure may be anything from -150,000 to 50,000."""
    decision = check(
        order(1), policy("net_exposure", operator, threshold), ledger=holding(reservation(3, SELL, price=60_000))
    )
    assert decision.approved is approved


def test_a_loss_since_a_start_of_nothing_is_not_defined_and_breaks_its_limit() -> None:
    decision = check(order(1), policy("drawdown_max", "<=", "0.5"), at=state(peak_equity=0))
    assert decision.post_trade_metrics["drawdown_max"] is None
    assert decision.reason == "policy_violation"


def test_the_loss_of_a_position_is_a_share_of_its_entry_value() -> None:
    losing_long = check(order(1), at=state(position(2, entry_price=62_500)))
    losing_short = check(order(1, SELL), at=state(position(-2, entry_price=40_000)))
    assert losing_long.post_trade_metrics["position_loss"] == D("0.2")
    assert losing_short.post_trade_metrics["position_loss"] == D("0.25")


def test_the_loss_of_a_position_does_not_count_open_orders() -> None:
    losing = check(order(3), at=state(position(2, entry_price=62_500)), ledger=holding(reservation(5)))
    assert losing.post_trade_metrics["position_loss"] == D("0.2")


def test_a_position_without_an_entry_price_has_no_loss() -> None:
    assert check(order(1), at=state(position(2, entry_price=0))).post_trade_metrics["position_loss"] == 0
    assert check(order(1), at=state(position(0))).post_trade_metrics["position_loss"] == 0


def test_a_flat_symbol_counts_as_a_position_once_an_open_order_may_open_it() -> None:
    shown = check(order(1), at=state(position(0), position(0, "ETHUSDT"))).post_trade_metrics
    assert shown["open_positions"] == 1


def test_a_symbol_that_open_orders_would_close_is_still_a_position() -> None:
    shown = check(order(1, SELL), at=state(position(1))).post_trade_metrics
    assert shown["open_positions"] == 1


# -------------------------------------------------------------------------------------- margin and equity


def test_the_margin_ratio_is_infinite_where_no_margin_is_used() -> None:
    closing = check(order(1, SELL), at=state(position(2)))
    assert closing.post_trade_metrics["margin_ratio"] == D("Infinity")
    assert check(order(1, SELL), policy("margin_ratio", ">=", 1000), at=state(position(2))).warnings == ()


@pytest.mark.parametrize("equity", [0, -1])
@pytest.mark.parametrize("metric", ["leverage", "margin_ratio", "concentration"])
def test_every_ratio_on_equity_is_broken_without_equity(metric: str, equity: int) -> None:
    operator, bound = (">=", 0) if metric == "margin_ratio" else ("<=", 10**6)
    decision = check(order(1), policy(metric, operator, bound), at=state(equity=equity))
    assert decision.post_trade_metrics[metric] is None
    assert metric in [breach.metric for breach in decision.violations]
    (breach,) = (one for one in decision.violations if one.policy_id == metric)
    assert (breach.value, breach.utilisation) == (None, None)
    assert "undefined (equity is not above zero)" in breach.message
    assert decision.risk_level is RiskLevel.CRITICAL


@pytest.mark.parametrize("equity", [0, -1])
def test_the_risk_of_a_single_trade_is_broken_without_equity(equity: int) -> None:
    decision = check(order(1), policy("single_trade_risk", "<=", 10**6), at=state(equity=equity))
    assert "single_trade_risk" in [breach.metric for breach in decision.violations]


def test_a_ratio_on_equity_is_broken_for_a_reducing_order_too_but_only_warns() -> None:
    decision = check(order(1, SELL), soft("leverage", "<=", 10), at=state(position(2), equity=-5))
    assert decision.approved
    assert "leverage" in [breach.metric for breach in decision.warnings]


# ------------------------------------------------------------------------------------------ of the order


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("order_quantity", 2),
        ("order_notional", 98_000),
        ("price_deviation", "0.02"),
        ("single_trade_risk", "0.98"),
        ("daily_notional", 98_500),
        ("order_adv_share", "0.125"),
        ("order_to_trade", 4),
    ],
)
def test_a_metric_of_the_order_is_held_against_its_limit_exactly(metric: str, value: object) -> None:
    """2 BTC at 49,000 with the mark at 50,000, of 16 that trade in a day, after 7 orders for 500 and 2 trades today."""
    known = holding(daily_notional=D(500), daily_orders=7, daily_fills=2, day_end_us=10**18)
    exactly, rules = D(str(value)), (instrument(average_daily_volume=16),)
    least, less = (compiled(policy(metric, operator, exactly), instruments=rules) for operator in ("<=", "<"))
    assert check(order(2, price=49_000), under=least, ledger=known).approved
    decision = check(order(2, price=49_000), under=less, ledger=known)
    assert [breach.value for breach in decision.violations] == [exactly]


def test_a_market_order_is_valued_at_the_mark_and_slippage_whichever_its_side() -> None:
    for side in (BUY, SELL):
        assert check(market(1, side), policy("order_notional", "<=", "50050")).approved
        assert not check(market(1, side), policy("order_notional", "<", "50050")).approved
        assert not check(market(1, side), policy("price_deviation", "<", "0.001")).approved


def test_a_price_far_above_the_mark_deviates_like_one_far_below() -> None:
    collar = policy("price_deviation", "<=", "0.05")
    assert not check(order(1, price=52_501), collar).approved
    assert not check(order(1, price=47_499), collar).approved
    assert check(order(1, price=52_500), collar).approved
    assert check(order(1, price=47_500), collar).approved


def test_exposure_is_valued_at_the_mark_and_margin_at_the_orders_price() -> None:
    shown = check(order(1, price=40_000)).post_trade_metrics
    assert shown["gross_exposure"] == 50_000
    assert shown["pending_notional"] == 40_000
    assert shown["margin_available"] == 96_000


def test_no_metric_depends_on_a_symbol_that_the_account_does_not_hold() -> None:
    before = check(order(1), at=LONG_AND_SHORT, ledger=OPEN, prices=marks()).post_trade_metrics
    after = check(order(1), at=LONG_AND_SHORT, ledger=OPEN, prices=marks(XRPUSDT=1)).post_trade_metrics
    assert before == after


# ---------------------------------------------------------------------------------------------- the list


def test_a_metric_of_the_order_has_no_value_without_one() -> None:
    for name, metric in METRICS.items():
        if metric.kind is Kind.ORDER:
            with pytest.raises(ValueError, match="no order"):
                metric.value(Subject(state=state(), exposure=exposure_of([])))
        elif metric.kind is Kind.COUNTED:
            assert name in WINDOWED
            with pytest.raises(ValueError, match="own window"):
                metric.value(Subject(state=state(), exposure=exposure_of([])))


def test_a_metric_of_a_symbol_is_nothing_where_there_is_no_symbol() -> None:
    subject = Subject(state=state(), exposure=exposure_of([]))
    for metric in METRICS.values():
        if metric.kind is Kind.SYMBOL:
            assert metric.value(subject) == 0


def test_every_metric_has_a_title_and_a_description() -> None:
    assert all(metric.title and metric.description.endswith(".") for metric in METRICS.values())
    assert METRICS["daily_pnl"].title == "Daily P&L"
