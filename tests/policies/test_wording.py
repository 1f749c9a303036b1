"""Limits in plain words."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from policies.models import Policy
from policies.wording import sentence
from riskcore.metrics import METRICS


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"metric": "leverage", "threshold": "10.00000000"},
            "Leverage of every account stays at or below 10 - hard",
        ),
        (
            {"metric": "margin_ratio", "operator": ">=", "threshold": "1.5", "type": "soft"},
            "Margin ratio of every account stays at or above 1.5 - soft",
        ),
        (
            {"metric": "position_value", "threshold": "1234567.5", "scope": "symbol", "scope_ids": ["BTCUSDT"]},
            "Position value in BTCUSDT stays at or below 1,234,567.5 - hard",
        ),
        (
            {"metric": "order_rate", "threshold": "50", "window_s": 10, "scope": "account", "scope_ids": ["a", "b"]},
            "Order rate of accounts a and b stays at or below 50 within 10 s - hard",
        ),
        (
            {"metric": "price_deviation", "operator": "<", "threshold": "0.025", "on_breach": "scale_down"},
            "Price deviation of every order stays below 2.5 %, else a smaller order is offered - hard",
        ),
        (
            {"metric": "order_notional", "threshold": "9", "scope": "profile", "scope_ids": ["micro"]},
            "Order notional of every order under profile micro stays at or below 9 - hard",
        ),
        (
            {
                "metric": "daily_pnl",
                "operator": ">",
                "threshold": "-5000",
                "scope": "strategy",
                "scope_ids": [*"abcde"],
            },
            "Daily P&L of every account stays above -5,000 for orders of strategies a, b, c and 2 others - hard",
        ),
        (
            {"metric": "order_quantity", "threshold": "1", "scope": "symbol", "scope_ids": ["A", "B", "C"]},
            "Order quantity of every order in A, B and C stays at or below 1 - hard",
        ),
        (
            {"metric": "open_orders", "operator": "!=", "threshold": "3", "scope": "profile", "scope_ids": ["low"]},
            "Open orders of every account with profile low are never 3 - hard",
        ),
        (
            {"metric": "concentration", "threshold": "0.5", "scope": "account", "scope_ids": ["a"]},
            "Concentration in every symbol of account a stays at or below 50 % - hard",
        ),
        (
            {"metric": "leverage", "threshold": "3", "scope": "symbol", "scope_ids": ["A", "B"]},
            "Leverage of every account stays at or below 3 for orders in A and B - hard",
        ),
        (
            {"metric": "leverage", "threshold": "3", "scope": "exchange", "scope_ids": ["ONE"]},
            "Leverage of every account on exchange ONE stays at or below 3 - hard",
        ),
        (
            {"metric": "position_value", "threshold": "3", "scope": "strategy", "scope_ids": ["s"]},
            "Position value in every symbol stays at or below 3 for orders of strategy s - hard",
        ),
        (
            {"metric": "order_rate", "threshold": "3", "window_s": 1, "scope": "strategy", "scope_ids": ["s"]},
            "Order rate of strategy s stays at or below 3 within 1 s - hard",
        ),
        (
            {"metric": "order_quantity", "threshold": "3", "scope": "strategy", "scope_ids": ["s"]},
            "Order quantity of every order of strategy s stays at or below 3 - hard",
        ),
        (
            {"metric": "order_adv_share", "threshold": "0.05", "scope": "symbol", "scope_ids": ["BTCUSDT"]},
            "Share of average daily volume of every order in BTCUSDT stays at or below 5 % - hard",
        ),
        (
            {"metric": "order_to_trade", "threshold": "100"},
            "Order-to-trade ratio of every account stays at or below 100 - hard",
        ),
        (
            {"metric": "order_to_trade", "threshold": "100", "scope": "exchange", "scope_ids": ["ONE"]},
            "Order-to-trade ratio of every account stays at or below 100 for orders on exchange ONE - hard",
        ),
        (
            {"metric": "daily_notional", "threshold": "9", "scope": "strategy", "scope_ids": ["s"]},
            "Daily notional of every account stays at or below 9 for orders of strategy s - hard",
        ),
        (
            {"metric": "daily_notional", "threshold": "9", "scope": "account", "scope_ids": ["a"]},
            "Daily notional of account a stays at or below 9 - hard",
        ),
        (
            {"metric": "leverage", "threshold": "5", "mode": "shadow", "rollout_percent": 30, "test_group": "pilot"},
            "Leverage of every account stays at or below 5 - hard, only in shadow, "
            "on 30 % of the accounts of group pilot",
        ),
        (
            {
                "metric": "leverage",
                "threshold": "5",
                "rollout_percent": 10,
                "active_windows": ["Mon-Fri 09:30-16:00 America/New_York", "Sat 00:00-24:00 UTC"],
            },
            "Leverage of every account stays at or below 5 - hard, on 10 % of the accounts, "
            "Mon-Fri 09:30-16:00 America/New_York and Sat 00:00-24:00 UTC",
        ),
        (
            {
                "metric": "leverage",
                "threshold": "5",
                "effective_from": datetime(2026, 12, 1, tzinfo=UTC),
                "effective_until": datetime(2026, 12, 24, 18, tzinfo=UTC),
                "volatility_symbol": "BTCUSDT",
                "volatility_reference": Decimal("0.6"),
            },
            "Leverage of every account stays at or below 5 - hard, from 2026-12-01 00:00:00 UTC, "
            "until 2026-12-24 18:00:00 UTC, multiplied by 60 % / volatility of BTCUSDT, from 50 % to 100 %",
        ),
        (
            {"metric": "gone", "operator": "!=", "threshold": "0"},
            "gone of every account is never 0 - hard",
        ),
    ],
)
def test_a_limit_is_said_in_words(fields: dict[str, Any], words):
    assert sentence(Policy(**{**fields, "threshold": Decimal(fields["threshold"])})) == words


@pytest.mark.parametrize("metric", METRICS)
def test_a_limit_on_any_metric_can_be_said(metric: str):
    said = sentence(Policy(metric=metric, operator="<=", threshold=Decimal(1)))
    assert said.startswith(f"{METRICS[metric].title} ")


def test_value_at_risk_is_of_the_account():
    limit = Policy(metric="var_99", operator="<=", threshold=Decimal("0.05"))
    assert sentence(limit) == "99 % value at risk of every account stays at or below 5 % - hard"
