"""What a new installation starts with."""

from __future__ import annotations

from decimal import Decimal

import pytest

from audit.models import AuditEvent
from audit.verify import verify_chain
from policies.book import loaded
from policies.defaults import ensure_defaults
from policies.models import Book, CapitalProfile, Policy
from policies.wording import sentence
from tests.policies.subjects import limit


def test_the_first_policies_are_those_of_the_contract(defaults):
    assert {policy.name: sentence(policy) for policy in Policy.objects.all()} == {
        "Max Account Leverage": "Leverage of every account stays at or below 10 - hard",
        "Min Margin Ratio": "Margin ratio of every account stays at or above 1 - hard",
        "Daily Drawdown Warning": "Daily drawdown of every account stays at or below 10 % - soft",
        "Max Drawdown": "Drawdown from the peak of every account stays at or below 20 % - hard",
        "Emergency Drawdown Stop": "Drawdown from the peak of every account stays at or below 25 % - emergency",
        "Max Gross Exposure": "Gross exposure of every account stays at or below 1,000,000 - hard",
        "Max Open Positions": "Open positions of every account stay at or below 100 - hard",
        "Order Price Collar": "Price deviation of every order stays at or below 5 % - hard",
        "Portfolio Loss Breaker": "Daily loss of every account stays at or below 10 % - emergency",
        "Position Loss Breaker": "Position loss in every symbol stays at or below 30 % - emergency",
        "Rapid Drawdown Breaker": "Rapid drawdown of every account stays at or below 5 % - emergency",
        "Max BTCUSDT Position": "Position value in BTCUSDT stays at or below 500,000 - hard",
        "Max ETHUSDT Position": "Position value in ETHUSDT stays at or below 300,000 - hard",
    }


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("micro", ("1", "0.002", "0.005", "0.02", 3)),
        ("low", ("2", "0.005", "0.01", "0.03", 5)),
        ("normal", ("3", "0.01", "0.02", "0.07", 10)),
        ("aggressive", ("5", "0.02", "0.05", "0.15", 20)),
    ],
)
def test_the_capital_profiles_are_those_of_the_contract(defaults, name, bounds):
    row = CapitalProfile.objects.get(name=name)
    leverage, trade, daily, weekly, positions = bounds
    assert row.allowed_leverage == Decimal(leverage)
    assert row.max_single_trade_risk == Decimal(trade)
    assert (row.max_daily_loss, row.max_weekly_loss) == (Decimal(daily), Decimal(weekly))
    assert (row.max_open_positions, row.strategies) == (positions, [])


@pytest.mark.django_db
def test_leverage_and_drawdowns_are_as_configured(settings):
    settings.RISK_MAX_LEVERAGE = Decimal(4)
    settings.RISK_MAX_DRAWDOWN = Decimal("0.3")
    settings.RISK_EMERGENCY_THRESHOLD = Decimal("0.4")
    ensure_defaults()
    found = dict(Policy.objects.values_list("name", "threshold"))
    assert found["Max Account Leverage"] == Decimal(4)
    assert (found["Max Drawdown"], found["Emergency Drawdown Stop"]) == (Decimal("0.3"), Decimal("0.4"))


def test_all_of_them_are_one_book_and_each_an_event(defaults):
    assert Book.objects.count() == defaults.version == 1
    assert len(loaded(1).policies) == 13
    assert AuditEvent.objects.filter(actor="bootstrap").count() == AuditEvent.objects.count() == 17
    assert verify_chain().intact


def test_they_are_made_once_only(defaults):
    limit()
    assert ensure_defaults() is None
    assert Policy.objects.count() == 14
