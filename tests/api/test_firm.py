"""GET /risk/global and /risk/portfolio: the firm, and one account of it."""

from __future__ import annotations

from typing import Any

import pytest

from api import firm
from tests.api.test_rest import STATE, Api, api, trading
from tests.api.world import record, swap_keys

__all__ = ["api", "trading"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def looked_at_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what was looked at for another test."""
    monkeypatch.setattr(firm._lasting, "_last", None)
    monkeypatch.setattr(firm._lasting, "_life_s", -1.0)


def test_before_the_first_state_nothing_is_known(api: Api) -> None:
    found = api.get("/risk/global")
    assert (found["risk_level"], found["overall_risk_score"]) == ("UNKNOWN", None)
    assert (found["accounts"], found["accounts_valued"]) == (2, 0)
    assert found["emergency_tier_recommendation"] == "none"
    portfolio = api.get("/risk/portfolio")
    assert (portfolio["equity"], portfolio["positions"], portfolio["risk_level"]) == (None, [], "UNKNOWN")


def test_the_signal_is_of_the_summed_figures(trading: Any) -> None:
    found = trading.get("/risk/global")
    assert (found["risk_level"], found["emergency_action_required"]) == ("INFO", False)
    assert found["overall_risk_score"] == "23.81"  # a drawdown of 0.047619, of 0.20 that are allowed
    assert found["warnings"] == ["1 of 2 accounts are in no sum: they cannot be valued"]
    assert trading("PUT", "/risk/accounts/B/state", {**STATE, "equity": "60000"}).status_code == 200
    found = trading.get("/risk/global")
    assert (found["risk_level"], found["emergency_tier_recommendation"]) == ("CRITICAL", "halt")
    assert [one["account_id"] for one in found["accounts_at_risk"]] == ["B"]


def test_the_portfolio_of_the_firm_adds_up(trading: Any) -> None:
    assert trading("PUT", "/risk/accounts/B/state", STATE).status_code == 200
    found = trading.get("/risk/portfolio")
    assert (found["account_id"], found["equity"], found["margin_used"]) == ("", "200000", "20000")
    (held,) = found["positions"]
    assert (held["symbol"], held["quantity"], held["value"]) == ("BTCUSDT", "1", "50000")
    assert found["metrics"]["gross_exposure"] == "50000"
    assert found["value_at_risk"]["ready"] is False


def test_the_portfolio_of_an_account_is_its_own(trading: Any) -> None:
    found = trading.get("/risk/portfolio?account_id=A")
    assert (found["account_id"], found["equity"], found["risk_level"]) == ("A", "100000", "INFO")
    assert found["positions"][0]["quantity"] == "0.5"
    assert "limits" not in found
    assert trading("GET", "/risk/portfolio?account_id=Z").status_code == 404
    assert trading("GET", "/risk/portfolio?account=A").status_code == 400


def test_a_key_for_some_accounts_does_not_see_the_firm(trading: Any, store: Any) -> None:
    swap_keys(store, record(accounts=frozenset({"A"})))
    for path in ("/risk/global", "/risk/portfolio"):
        assert trading("GET", path).status_code == 403
    assert trading("GET", "/risk/portfolio?account_id=A").status_code == 200
    assert trading("GET", "/risk/portfolio?account_id=B").status_code == 403


def test_who_may_not_read_sees_nothing(trading: Any, store: Any) -> None:
    swap_keys(store, record("oms", "check"))
    for path in ("/risk/global", "/risk/portfolio", "/risk/portfolio?account_id=A"):
        assert trading("GET", path).status_code == 403
        assert trading("GET", path, headers={}).status_code == 401


def test_many_who_ask_look_once_a_second(trading: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firm._lasting, "_life_s", 60.0)
    first = trading.get("/risk/global")
    assert trading("PUT", "/risk/accounts/B/state", STATE).status_code == 200
    assert trading.get("/risk/global") == first
