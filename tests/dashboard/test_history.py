"""GET /history/: who may see it, what it refuses, and what charts get."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.models import AccountGrant
from feeds.models import EquityPoint
from policies.defaults import ensure_defaults
from policies.services import do_create_account
from tests.api.world import bearer

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
FIRM = ""


def person(*permissions: str, **what: Any) -> User:
    found = User.objects.create_user("vera", **{"is_staff": True, **what})
    for name in permissions:
        found.user_permissions.add(Permission.objects.get(codename=name))
    return found


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def now() -> datetime:
    return timezone.now().replace(microsecond=0)


@pytest.fixture
def vera(client: Client) -> Client:
    client.force_login(person("view_account"))
    return client


def point(account_id: str, at: datetime, equity: str = "100000", **figures: str) -> None:
    EquityPoint.objects.create(account_id=account_id, at=at, equity=equity, **figures)


def get(client: Client, query: str = "") -> Any:
    answer = client.get(f"/history/{query}")
    assert answer.status_code == 200, answer.content
    return answer.json()


# --------------------------------------------------------------------------------------------------- refused


def test_whoever_is_not_signed_in_is_refused(client):
    assert client.get("/history/").status_code == 401
    assert client.get("/history/?account=A").status_code == 401


def test_a_key_is_for_machines_and_no_way_in(client):
    assert client.get("/history/", headers=bearer()).status_code == 401


@pytest.mark.parametrize("what", [{"is_staff": False}, {"is_active": False}], ids=["no staff", "not active"])
def test_whoever_is_not_let_into_the_pages_is_refused(what):
    assert signed_in(person("view_account", **what)).get("/history/").status_code == 401


def test_without_the_permission_nothing_is_seen():
    client = signed_in(person("view_policy"))
    for query in ("", "?account=A"):
        assert client.get(f"/history/{query}").status_code == 403


def test_who_is_for_some_accounts_sees_neither_the_others_nor_the_firm(now):
    user = person("view_account")
    AccountGrant.objects.create(user=user, account_id="A")
    for account_id in ("A", "B", FIRM):
        point(account_id, now)
    client = signed_in(user)
    for query in ("", "?account=", "?account=B", "?account=Z"):
        assert client.get(f"/history/{query}").status_code == 403
    assert len(get(client, "?account=A")["at"]) == 1


@pytest.mark.parametrize("query", ["?hours=0", "?hours=169", "?hours=x", "?hours=1&hours=2", "?days=1", "?account=%00"])
def test_what_cannot_be_understood_is_refused(vera, query):
    assert vera.get(f"/history/{query}").status_code == 400


def test_it_changes_nothing(vera):
    for method in (vera.post, vera.put, vera.delete):
        assert method("/history/").status_code == 405


def test_an_account_that_is_not_there_is_404(vera):
    assert vera.get("/history/?account=nobody").status_code == 404


# ------------------------------------------------------------------------------------------------- the curves


def test_an_account_without_history_has_empty_curves(vera):
    ensure_defaults()
    do_create_account(actor="alice", reason="a new desk", account_id="new", profile="aggressive")
    assert set(get(vera, "?account=new")) == {"at", "equity", "gross_exposure", "drawdown_daily", "var_95"}
    assert not any(get(vera, "?account=new").values())


def test_curves_are_floats_beside_their_moments(vera, now):
    point("A", now - MINUTE, "99000.5", gross_exposure="250000.25", drawdown_daily="0.01", var_95="0.02")
    point("A", now, "98000")
    point(FIRM, now, "1")
    at_s = now.timestamp()
    assert get(vera, "?account=A") == {
        "at": [at_s - 60, at_s],
        "equity": [99_000.5, 98_000.0],
        "gross_exposure": [250_000.25, None],
        "drawdown_daily": [0.01, None],
        "var_95": [0.02, None],
    }


@pytest.mark.parametrize("query", ["", "?account="])
def test_without_an_account_it_is_the_firm(vera, now, query):
    point("A", now)
    point(FIRM, now, "7")
    assert get(vera, query)["equity"] == [7.0]


def test_only_the_last_hours_are_there(vera, now):
    for hours in (1, 23, 25, 167, 169):
        point("A", now - timedelta(hours=hours), str(hours))
    values = {
        hours: [value for value in get(vera, f"?account=A&hours={hours}")["equity"] if value is not None]
        for hours in (2, 24, 168)
    }
    assert values == {2: [1.0], 24: [23.0, 1.0], 168: [167.0, 25.0, 23.0, 1.0]}
    assert get(vera, "?account=A") == get(vera, "?account=A&hours=24")


def test_where_points_are_missing_there_are_nulls(vera, now):
    for minutes in (12, 11, 1):
        point("A", now - minutes * MINUTE, "5")
    found = get(vera, "?account=A&hours=1")
    assert found["equity"] == [5.0, 5.0, None, 5.0]
    assert found["at"][2] == found["at"][1] + 60


def test_a_week_of_minutes_is_thinned_and_keeps_its_worst_minute(vera, now):
    points = [
        EquityPoint(
            account_id="A", at=now - number * MINUTE, equity=Decimal(3 if number == 4_321 else 100 + number % 7)
        )
        for number in range(10_000)
    ]
    EquityPoint.objects.bulk_create(points)
    found = get(vera, "?account=A&hours=168")
    assert 300 < len(found["at"]) <= 1_500
    assert found["at"] == sorted(found["at"])
    assert found["at"][found["equity"].index(3.0)] == (now - 4_321 * MINUTE).timestamp()


def test_it_is_not_kept_by_anybody_on_the_way(vera, now):
    point("A", now)
    assert vera.get("/history/?account=A").headers["Cache-Control"] == "no-store"


def test_it_takes_as_many_queries_for_many_points_as_for_one(vera, now):
    taken = []
    for account_id, count in (("B", 1), ("B", 1), ("A", 200)):  # the first look of all may write what it has found out
        for number in range(count):
            EquityPoint.objects.update_or_create(
                account_id=account_id, at=now - number * MINUTE, defaults={"equity": 5}
            )
        with CaptureQueriesContext(connection) as queries:
            get(vera, f"?account={account_id}")
        taken.append(len(queries))
    assert taken[1] == taken[2] < 10
