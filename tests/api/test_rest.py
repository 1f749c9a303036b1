"""The documented doors beside the checks, through all of Django, on both stores."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.staticfiles import finders
from django.test import Client

from audit.drain import drain
from audit.models import AccountGrant
from policies.book import latest
from policies.defaults import ensure_defaults
from policies.models import RestrictedSymbol
from policies.services import do_create_account
from riskcore.types import RiskLevel
from state.store import Store
from tests.api.world import bearer, record, swap_keys
from tests.support.beginning import begin_with

pytestmark = pytest.mark.django_db(transaction=True)

STATE: dict[str, Any] = {
    "equity": "100000",
    "margin_used": "10000",
    "peak_equity": "105000",
    "daily_start_equity": "98000",
    "positions": [{"symbol": "BTCUSDT", "quantity": "0.5", "entry_price": "40000"}],
}
PRICES = {"prices": [{"symbol": "BTCUSDT", "price": 50000}, {"symbol": "ETHUSDT", "price": "3000.5"}]}


class Api:
    """A client with a key."""

    def __init__(self) -> None:
        self.client = Client()

    def __call__(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        send: dict[str, Any] = {"content_type": "application/json"} if body is not None else {}
        found = bearer() if headers is None else headers
        return self.client.generic(method, path, content, headers=found, **send)

    def get(self, path: str) -> Any:
        answer = self("GET", path)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def check(self, order_id: str = "o-1", **what: Any) -> Any:
        order = {"order_id": order_id, "account_id": "A", "symbol": "BTCUSDT", "side": "BUY", "quantity": "0.002"}
        return self("POST", "/risk/check", {**order, "price": "50000", **what}).json()


@pytest.fixture
def api(store: Store) -> Api:
    """Accounts A and B under the default policies, and the key `oms`."""
    begin_with("rest", _rows)
    book = latest()
    assert book is not None
    store.restore(book_version=book.version, content=book.content.encode(), stops=(), keys=b"[]")
    swap_keys(store, record())
    return Api()


def _rows() -> None:
    ensure_defaults()
    for account_id in ("A", "B"):
        do_create_account(actor="alice", reason="a new desk", account_id=account_id, profile="aggressive")


@pytest.fixture
def trading(api: Api) -> Api:
    """Account A has a state, and there are prices."""
    assert api("PUT", "/risk/prices", PRICES).status_code == 200
    assert api("PUT", "/risk/accounts/A/state", STATE).status_code == 200
    return api


# ------------------------------------------------------------------------------------------------- feeds
def test_a_state_and_prices_make_orders_pass(trading):
    assert trading.check()["approved"] is True


def test_a_report_says_whether_it_was_applied(api):
    for sequence, applied in ((5, True), (5, False), (4, False), (6, True)):
        answer = api("PUT", "/risk/accounts/A/state", {**STATE, "sequence": sequence})
        assert answer.json() == {"account_id": "A", "applied": applied}


def test_a_report_for_an_account_that_nobody_has_made_is_404(api):
    assert api("PUT", "/risk/accounts/nobody/state", STATE).status_code == 404


def test_a_wrong_report_is_refused_by_name_and_changes_nothing(trading):
    answer = trading("PUT", "/risk/accounts/A/state", {**STATE, "equity": "NaN", "positions": [{"symbol": "X"}]})

    assert answer.status_code == 400
    assert {error["field"] for error in answer.json()["errors"]} == {"equity", "positions[0].quantity"}
    assert trading.get("/risk/metrics/A")["equity"] == "100000"


def test_wrong_prices_change_nothing(trading):
    answer = trading(
        "PUT", "/risk/prices", {"prices": [{"symbol": "BTCUSDT", "price": 1}, {"symbol": "X", "price": 0}]}
    )

    assert answer.status_code == 400
    assert trading.get("/risk/metrics/A")["positions"][0]["mark"] == "50000"


def test_a_key_for_some_accounts_reports_no_prices(api, store):
    swap_keys(store, record(accounts=frozenset({"A"})))

    assert api("PUT", "/risk/prices", PRICES).status_code == 403
    assert api("PUT", "/risk/accounts/A/state", STATE).status_code == 200
    assert api("PUT", "/risk/accounts/B/state", STATE).status_code == 403


def test_what_is_too_long_is_413(api):
    assert api("PUT", "/risk/prices", b" " * 1_100_000).status_code == 413


# ----------------------------------------------------------------------------------------------- reading
def test_metrics_are_worked_out_from_the_live_state(trading):
    found = trading.get("/risk/metrics/A")

    assert found["metrics"]["drawdown_max"] == "0.047619"
    assert found["metrics"]["drawdown_daily"] == "0.000000"
    assert found["metrics"]["margin_ratio"] == "10.000000"
    assert found["metrics"]["unrealized_pnl"] == "5000"
    assert (found["fresh"], found["risk_level"]) == (True, "INFO")
    assert found["positions"][0]["value"] == "25000"


def test_metrics_need_no_database(trading, django_assert_num_queries):
    with django_assert_num_queries(0):
        trading.get("/risk/metrics/A")
        trading.get("/risk/limits")
        trading.get("/risk/reservations")


def test_an_account_without_a_state_has_no_figures(api):
    found = api.get("/risk/metrics/B")

    assert (found["metrics"], found["risk_level"], found["fresh"]) == ({}, "UNKNOWN", False)


def test_an_approved_order_counts_at_once(trading):
    trading.check()

    assert trading.get("/risk/metrics/A")["metrics"]["open_orders"] == "1"


def test_limits_have_value_utilisation_and_headroom(trading):
    (account,) = trading.get("/risk/limits?account_id=A")["results"]

    exposure = next(limit for limit in account["limits"] if limit["name"] == "Max Gross Exposure")
    assert (exposure["value"], exposure["utilisation"], exposure["headroom"]) == ("25000", "0.025000", "975000")
    per_symbol = [limit for limit in account["limits"] if limit["metric"] == "position_value"]
    assert {limit["symbol"] for limit in per_symbol} >= {"BTCUSDT", "ETHUSDT"}


def test_limits_of_all_accounts_come_in_pages(trading):
    first = trading.get("/risk/limits?limit=1")
    second = trading.get(f"/risk/limits?limit=1&cursor={first['next']}")

    assert [page["results"][0]["account_id"] for page in (first, second)] == ["A", "B"]
    assert second["next"] is None


def test_a_key_for_some_accounts_sees_no_others(trading, store):
    swap_keys(store, record(accounts=frozenset({"B"})))

    assert [account["account_id"] for account in trading.get("/risk/limits")["results"]] == ["B"]
    assert trading("GET", "/risk/metrics/A").status_code == 403
    assert trading("GET", "/risk/limits?account_id=A").status_code == 403


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/risk/limits?frobnicate=1", "frobnicate"),
        ("/risk/limits?limit=0", "limit"),
        ("/risk/limits?limit=1&limit=2", "limit"),
        ("/risk/limits?cursor=%21", "cursor"),
        ("/risk/decisions?approved=yes", "approved"),
        ("/risk/decisions?since=yesterday", "since"),
        ("/risk/decisions?since=2026-01-01T00:00:00", "since"),
        ("/risk/decisions?reason=bad_luck", "reason"),
        ("/risk/decisions?cursor=YQpi", "cursor"),
        ("/risk/decisions/7", "decision_id"),
    ],
)
def test_what_a_query_says_is_read_strictly(api, path, named):
    answer = api("GET", path)

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [named]


def test_what_does_not_exist_is_404(api):
    for path in ("/risk/metrics/nobody", "/risk/limits?account_id=nobody"):
        answer = api("GET", path)
        assert (answer.status_code, answer["content-type"]) == (404, "application/problem+json")


def test_another_method_is_405(api):
    answer = api("POST", "/risk/limits", {})

    assert answer.status_code == 405
    assert answer["Allow"] == "GET, HEAD"


def test_before_the_restore_reading_is_503(store):
    swap_keys(store, record())

    answer = Api()("GET", "/risk/limits")

    assert (answer.status_code, answer.json()["code"]) == (503, "recovering")
    assert answer["Retry-After"] == "1"


# ------------------------------------------------------------------------------------------ reservations
def test_reservations_are_listed_and_released(trading):
    decision = trading.check()
    (held,) = trading.get("/risk/reservations?account_id=A")["results"]
    assert (held["id"], held["order_id"], held["quantity"]) == (decision["reservation"]["id"], "o-1", "0.002")

    answer = trading("DELETE", "/risk/reservations/o-1?account_id=A&reason=filled")

    assert (answer.status_code, answer.json()["order_id"]) == (200, "o-1")
    assert trading.get("/risk/reservations")["results"] == []
    assert trading.get("/risk/metrics/A")["metrics"]["open_orders"] == "0"


def test_a_reservation_is_released_once(trading):
    trading.check()
    trading("DELETE", "/risk/reservations/o-1")

    assert trading("DELETE", "/risk/reservations/o-1").status_code == 404
    assert trading("DELETE", "/risk/reservations/o-1?account_id=A").status_code == 404


def test_the_same_order_id_in_two_accounts_needs_the_account(trading):
    trading("PUT", "/risk/accounts/B/state", STATE)
    trading.check()
    trading.check(account_id="B")

    assert trading("DELETE", "/risk/reservations/o-1").status_code == 409
    assert trading("DELETE", "/risk/reservations/o-1?account_id=B").status_code == 200


def test_a_key_for_some_accounts_releases_no_others(trading, store):
    trading.check()
    swap_keys(store, record(accounts=frozenset({"B"})))

    assert trading("DELETE", "/risk/reservations/o-1?account_id=A").status_code == 403
    assert trading("DELETE", "/risk/reservations/o-1").status_code == 404


def test_a_reservation_that_ran_out_is_not_listed(trading):
    import time

    trading.check(reservation_ttl=1)
    time.sleep(1.01)

    assert trading.get("/risk/reservations")["results"] == []


# --------------------------------------------------------------------------------------------- decisions
def test_decisions_come_with_all_that_the_journal_kept(trading, store):
    decision = trading.check()
    drain(store)

    (found,) = trading.get("/risk/decisions")["results"]

    assert found["decision_id"] == decision["decision_id"]
    decision.pop("processing_time_us")
    assert found["answer"] == decision
    assert found["inputs"]["order"]["order_id"] == "o-1"
    assert trading.get(f"/risk/decisions/{decision['decision_id']}")["reservation_end"] is None


def test_a_decision_tells_of_the_early_end_of_its_reservation(trading, store):
    decision = trading.check()
    trading("DELETE", "/risk/reservations/o-1?reason=filled")
    drain(store)

    end = trading.get(f"/risk/decisions/{decision['decision_id']}")["reservation_end"]

    assert (end["actor"], end["reason"]) == ("key:oms", "filled")


def test_pages_of_decisions_miss_none_and_repeat_none(trading, store):
    sent = [trading.check(f"o-{number}")["decision_id"] for number in range(7)]
    drain(store)
    found, following = [], ""
    while following is not None:
        page = trading.get(f"/risk/decisions?limit=3{following and '&cursor=' + following}")
        found += [decision["decision_id"] for decision in page["results"]]
        following = page["next"]

    assert found == sent[::-1]


def test_decisions_are_filtered(trading, store):
    trading.check("o-1")
    trading.check("o-2", symbol="ETHUSDT", price="3000")
    blocked = trading.check("o-3", quantity="10000")
    drain(store)

    def ids(query: str) -> list[str]:
        return [found["order_id"] for found in trading.get(f"/risk/decisions?{query}")["results"]]

    assert ids("symbol=ethusdt") == ["o-2"]
    assert ids("approved=false") == ["o-3"]
    assert ids(f"reason={blocked['reason']}") == ["o-3"]
    assert ids("order_id=o-1") == ["o-1"]
    assert ids("account_id=B") == []
    assert ids(f"since={blocked['timestamp']}") == ["o-3"]
    assert ids(f"until={blocked['timestamp']}") == ["o-2", "o-1"]


def test_a_key_for_some_accounts_sees_no_other_decisions(trading, store):
    decision = trading.check()
    drain(store)
    swap_keys(store, record(accounts=frozenset({"B"})))

    assert trading.get("/risk/decisions")["results"] == []
    assert trading("GET", f"/risk/decisions/{decision['decision_id']}").status_code == 404


# ----------------------------------------------------------------------------------------------- symbols
def test_a_restricted_symbol_blocks_at_once_until_it_is_lifted(trading, settings):
    settings.RISK_LOOSENING_APPROVALS = 0
    answer = trading("POST", "/risk/symbol/btcusdt/block", {"reason": "a delisting"})
    assert (answer.status_code, answer.json()["live"]) == (201, True)
    assert trading.check("o-1")["reason"] == "symbol_blocked"
    (listed,) = trading.get("/risk/symbols")["results"]
    assert (listed["symbol"], listed["reason"], listed["side"]) == ("BTCUSDT", "a delisting", None)

    assert trading("DELETE", "/risk/symbol/BTCUSDT/block?reason=over").status_code == 200

    assert trading.check("o-2")["approved"] is True
    assert trading.get("/risk/symbols")["results"] == []


def test_a_restriction_may_be_of_one_side_and_account(trading):
    body = {
        "reason": "wind-down",
        "side": "buy",
        "account_id": "A",
        "close_only": True,
        "until": "2100-01-01T00:00:00Z",
    }

    answer = trading("POST", "/risk/symbol/BTCUSDT/block", body)

    row = RestrictedSymbol.objects.get()
    assert (row.side, row.account_id, row.close_only) == ("BUY", "A", True)
    assert answer.json()["until"] == "2100-01-01T00:00:00Z"
    assert trading.check("o-1")["reason"] == "symbol_blocked"
    assert trading.check("o-2", side="SELL")["approved"] is True


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "reason"),
        ({"reason": ""}, "reason"),
        ({"reason": "x", "side": "HOLD"}, "side"),
        ({"reason": "x", "until": "tomorrow"}, "until"),
        ({"reason": "x", "until": "2020-01-01T00:00:00Z"}, "until"),
        ({"reason": "x", "account_id": "nobody"}, "account"),
        ({"reason": "x", "frobnicate": 1}, "frobnicate"),
    ],
)
def test_a_wrong_restriction_is_refused_by_name(api, body, named):
    answer = api("POST", "/risk/symbol/BTCUSDT/block", body)

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [named]
    assert not RestrictedSymbol.objects.exists()


def test_what_is_not_restricted_cannot_be_lifted(api):
    assert api("DELETE", "/risk/symbol/BTCUSDT/block").status_code == 404


def test_a_symbol_may_have_a_slash(trading):
    assert trading("POST", "/risk/symbol/EUR/USD/block", {"reason": "x"}).json()["symbol"] == "EUR/USD"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_to_read_needs_the_permission(api, store, method):
    swap_keys(store, record("oms", "check", "feed"))

    for path in ("/risk/limits", "/risk/metrics/A", "/risk/decisions", "/stats"):
        assert api(method, path).status_code == 403


def test_to_restrict_needs_the_permission(api, store):
    swap_keys(store, record("oms", "check", "read", "feed"))

    assert api("POST", "/risk/symbol/BTCUSDT/block", {"reason": "x"}).status_code == 403


def test_a_key_for_some_accounts_restricts_for_those_only(api, store):
    swap_keys(store, record(accounts=frozenset({"A"})))

    assert api("POST", "/risk/symbol/BTCUSDT/block", {"reason": "x"}).status_code == 403
    assert api("POST", "/risk/symbol/BTCUSDT/block", {"reason": "x", "account_id": "A"}).status_code == 201


# ------------------------------------------------------------------------------------------------ people
def signed_in(trading: Api, *codenames: str, accounts: tuple[str, ...] = ()) -> None:
    olga = User.objects.create_user("olga", is_staff=True)
    olga.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    AccountGrant.objects.bulk_create(AccountGrant(user=olga, account_id=each) for each in accounts)
    trading.client.force_login(olga)


def test_somebody_signed_in_reads_nothing_without_a_permission(trading):
    signed_in(trading)

    for path in ("metrics/A", "limits", "portfolio", "global", "reservations", "decisions", "symbols", "alerts"):
        answer = trading("GET", f"/risk/{path}", headers={})
        assert answer.status_code == 403
        assert ".view_" in answer.json()["detail"]


def test_somebody_signed_in_who_may_look_looks_and_changes_nothing(trading):
    signed_in(trading, "view_account")

    assert trading("GET", "/risk/metrics/A", headers={}).status_code == 200
    assert trading("PUT", "/risk/prices", PRICES, headers={}).status_code == 403
    assert trading("POST", "/risk/symbol/BTCUSDT/block", {"reason": "x"}, headers={}).status_code == 403
    assert trading("POST", "/risk/check", {}, headers={}).status_code == 401


def test_somebody_for_one_account_sees_that_one(trading):
    signed_in(trading, "view_account", accounts=("A",))

    assert trading("GET", "/risk/metrics/A", headers={}).status_code == 200
    assert trading("GET", "/risk/metrics/B", headers={}).status_code == 403
    assert trading("GET", "/risk/global", headers={}).status_code == 403
    found = trading("GET", "/risk/limits", headers={}).json()["results"]
    assert [each["account_id"] for each in found] == ["A"]


def test_somebody_else_may_not(trading):
    trading.client.force_login(User.objects.create_user("ned"))

    assert trading("GET", "/risk/metrics/A", headers={}).status_code == 401


# ------------------------------------------------------------------------------------------- the service
def test_health_is_answered_whatever_is_down(store, away):
    away()

    answer = Client().get("/health")

    assert answer.json() == {"status": "healthy", "service": "risk"}


def test_ready_says_what_each_dependency_is(api, store):
    store.put_signal(RiskLevel.INFO, action_required=False, token=1)
    found = Client().get("/ready")

    assert (found.status_code, found.json()["status"]) == (200, "ready")
    assert {each["status"] for each in found.json()["dependencies"].values()} == {"up"}


def test_a_silent_monitor_degrades_and_where_it_blocks_nothing_is_ready(api, store, settings):
    found = Client().get("/ready")
    assert (found.status_code, found.json()["status"]) == (200, "degraded")
    assert found.json()["dependencies"]["monitor"]["detail"] == "no monitor has looked at the accounts yet"
    store.put_signal(RiskLevel.INFO, action_required=False, token=1)
    settings.RISK_MONITOR_SILENCE = timedelta(0)
    assert Client().get("/ready").json()["status"] == "degraded"
    settings.RISK_MONITOR_SILENCE_BLOCKS = True
    assert Client().get("/ready").status_code == 503


def test_ready_is_503_before_the_restore(store):
    found = Client().get("/ready")

    assert (found.status_code, found.json()["status"]) == (503, "not_ready")
    assert found.json()["dependencies"]["live_state"]["status"] == "down"
    assert found.json()["dependencies"]["database"]["status"] == "up"


def test_ready_is_503_while_the_state_is_away(api, away):
    away()

    assert Client().get("/ready").status_code == 503


def test_without_the_database_checks_go_on(api, monkeypatch):
    from django.db import OperationalError

    def down() -> str:
        raise OperationalError("could not connect to db.internal")

    monkeypatch.setattr("api.rest.system._database", down)

    found = Client().get("/ready")

    assert (found.status_code, found.json()["status"]) == (200, "degraded")
    assert "db.internal" not in found.content.decode()


def test_statistics_count_what_was_decided(trading):
    before = trading.get("/stats")
    trading.check("o-1")
    trading.check("o-1")
    trading.check("o-2", quantity="10000")
    trading.check("o-3", what_if=True)

    after = trading.get("/stats")

    assert [after[name] - before[name] for name in ("orders_checked", "orders_approved", "orders_rejected")] == [
        2,
        1,
        1,
    ]
    assert after["latency_us"]["p50"] > 0
    assert (after["active_positions"], after["risk_level"]) == (1, "INFO")


def test_prometheus_finds_the_names_that_are_binding(trading):
    trading.check("o-1")
    trading.check("o-2", quantity="10000")

    found = Client().get("/metrics").content.decode()

    for name in (
        'risk_order_checks_total{result="approved"}',
        "risk_order_check_duration_microseconds_bucket",
        "risk_orders_approved_total",
        'risk_orders_rejected_total{reason="',
        "risk_open_positions 1.0",
        "risk_current_equity 100000.0",
        "risk_emergency_stop_active 0.0",
        "risk_account_state_age_seconds",
        "risk_journal_lag_seconds",
        "django_http_requests_total",
    ):
        assert name in found
    assert "o-1" not in found


def test_prometheus_is_answered_while_the_state_is_away(store, away):
    away()

    found = Client().get("/metrics")

    assert found.status_code == 200
    assert b"risk_current_equity" not in found.content


def test_amounts_of_a_metric_are_text(trading):
    assert isinstance(trading.get("/risk/metrics/A")["equity"], str)
    assert Decimal(trading.get("/risk/metrics/A")["equity"]) == 100_000


def test_browsers_find_an_icon(client):
    response = client.get("/favicon.ico")
    assert (response.status_code, response["Location"]) == (302, "/static/riskportal/favicon.svg")
    assert finders.find("riskportal/favicon.svg")
