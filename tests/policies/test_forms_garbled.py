"""Whatever is typed into a form, or left out of it, is answered in words: no page breaks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from policies.models import Account, CapitalProfile, ChangeRequest, Instrument, Override, Policy, RestrictedSymbol
from policies.services import do_create_account
from tests.policies.test_admin import listed, officer, typed

__all__ = ["officer"]

GARBLED = ("", "nonsense", "NaN", "-1", "1e400", "9" * 400, "\0", "<b>", "²")

_SOON = timezone.now() + timedelta(hours=1)

# What makes a form of each kind a good one.
GOOD: dict[type[Any], dict[str, Any]] = {
    Policy: {
        **{"name": "A limit", "metric": "leverage", "operator": "<=", "threshold": "5", "volatility_symbol": "BTCUSDT"},
        **{"volatility_reference": "0.5", "change_reason": "test"},
    },
    CapitalProfile: {
        **{"name": "own", "allowed_leverage": "2", "max_single_trade_risk": "0.01", "max_daily_loss": "0.02"},
        **{"max_weekly_loss": "0.05", "max_open_positions": "5", "change_reason": "test"},
    },
    Account: {"id": "desk-9", "profile": "normal", "change_reason": "test"},
    RestrictedSymbol: {"symbol": "BTCUSDT", "reason": "test", "change_reason": "test"},
    Instrument: {"symbol": "BTCUSDT", "change_reason": "test"},
    Override: {
        **{"account": "desk-1", "max_orders": "1", "reason": "test", "change_reason": "test"},
        **{"until_0": f"{_SOON:%Y-%m-%d}", "until_1": f"{_SOON:%H:%M:%S}"},
    },
}


@pytest.fixture
def accounts(live):
    do_create_account(actor="test", reason="test", account_id="desk-1", profile="normal")


@pytest.mark.parametrize("model", GOOD, ids=lambda model: model.__name__)
def test_every_field_may_be_garbled(accounts, officer, model):
    url = listed(model, "add")
    sent = {**typed(officer, url), **GOOD[model]}
    for name in sent:
        # Django itself breaks on a NUL in the key of another row, which nobody can type.
        for garbled in GARBLED if name != "account" else GARBLED[:-3]:
            answer = officer.post(url, {**sent, name: garbled})
            assert answer.status_code in (200, 302), (name, garbled)


@pytest.mark.parametrize("model", GOOD, ids=lambda model: model.__name__)
def test_the_form_as_it_should_be_makes_a_request(accounts, officer, model):
    url = listed(model, "add")
    answer = officer.post(url, {**typed(officer, url), **GOOD[model]})
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    assert ChangeRequest.objects.exists()
