"""Alerts and violations over REST: filtered, page by page, acted on by whoever may, for their accounts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import jsonschema  # type: ignore[import-untyped]
import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from api.rest.documentation import document
from audit.models import AccountGrant, AuditEvent
from state.store import Store
from state.wiring import forget_stores
from state.wiring import store as wired_store
from tests.api.world import bearer, record, swap_keys
from tests.violations.subjects import MARKUP, at, broken, look, only_alert, raised

pytestmark = pytest.mark.django_db


@pytest.fixture
def store(request) -> Iterator[Store]:
    if settings.REDIS_URL:
        request.getfixturevalue("clean_redis")
    forget_stores()
    found = wired_store()
    yield found
    found.close()
    forget_stores()


class Api:
    """A client with a key that may read and operate."""

    def __call__(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        answer = Client().generic(method, path, content, headers=bearer(), content_type="application/json")
        assert answer.status_code == status, answer.content
        return answer.json()

    def listed(self, path: str, name: str = "policy_id") -> list[Any]:
        return [row[name] for row in self("GET", path)["results"]]

    def fields(self, method: str, path: str, body: Any = None) -> set[str]:
        """Return the fields that a refusal names."""
        return {error["field"] for error in self(method, path, body, 400)["errors"]}


@pytest.fixture
def api(store: Store) -> Api:
    swap_keys(store, record())
    return Api()


@pytest.fixture
def alert(api: Api) -> Any:
    return raised(symbol="BTCUSDT")


def act(what: str, key: object = None) -> str:
    return f"/risk/alerts/{key or only_alert().pk}/{what}"


def in_an_hour() -> str:
    return (timezone.now() + timedelta(hours=1)).isoformat()


# --------------------------------------------------------------------------------------------- what is refused
@pytest.mark.parametrize("path", ["/risk/alerts", "/risk/violations"])
def test_nobody_reads_without_a_key_that_may(path, api, store):
    assert Client().get(path).status_code == 401
    swap_keys(store, record("oms", "check", "operate"))
    api("GET", path, status=403)


@pytest.mark.parametrize("what", ["acknowledge", "silence"])
def test_a_key_that_may_only_read_acts_on_nothing(what, alert, api, store):
    swap_keys(store, record("oms", "read"))
    api("POST", act(what), {"note": "on it"} if what == "acknowledge" else {"until": in_an_hour(), "reason": "x"}, 403)
    assert only_alert().state == "firing"


def person(*codenames: str, accounts: tuple[str, ...] = (), **what: Any) -> Client:
    """Return a browser of somebody with these permissions, whose posts bear the token."""
    user = User.objects.create(username="olga", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    AccountGrant.objects.bulk_create(AccountGrant(user=user, account_id=each) for each in accounts)
    client = Client(**what)
    client.force_login(user)
    return client


def acknowledge(client: Client, **what: Any) -> Any:
    return client.post(act("acknowledge"), {"note": "on it"}, content_type="application/json", **what)


@pytest.mark.parametrize(("path", "permission"), [("alerts", "view_alert"), ("violations", "view_violation")])
def test_a_person_reads_what_their_role_lets_them(path, permission, alert):
    client = person(permission)
    assert client.get(f"/risk/{path}").status_code == 200
    other = client.get("/risk/violations" if path == "alerts" else "/risk/alerts")
    assert (other.status_code, other.json()["code"]) == (403, "not_allowed")


def test_a_person_without_the_permission_acts_on_nothing_and_is_told_which(alert):
    answer = acknowledge(person("view_alert"))
    assert answer.status_code == 403
    assert "violations.handle_alert" in answer.json()["detail"]
    assert only_alert().state == "firing"


def test_a_person_acts_on_alerts_of_their_accounts_only(alert):
    assert acknowledge(person("handle_alert", accounts=("B",))).json()["code"] == "not_this_account"
    assert only_alert().state == "firing"


def test_another_site_acts_in_nobodys_name(alert):
    assert acknowledge(person("handle_alert", enforce_csrf_checks=True)).status_code == 403
    assert only_alert().state == "firing"


def test_a_person_with_the_permission_acts_on_an_alert(alert):
    assert acknowledge(person("handle_alert")).status_code == 200
    assert only_alert().acknowledged_by == AuditEvent.objects.get().actor == "olga"


def test_a_key_for_one_account_neither_sees_nor_handles_the_others(api, store):
    look(0, broken(), broken(account_id="B"), broken(account_id=""), accounts=("A", "B", ""))
    swap_keys(store, record(accounts=frozenset({"B"})))
    assert api.listed("/risk/alerts", "account_id") == api.listed("/risk/violations", "account_id") == ["B"]
    api("GET", "/risk/alerts?account_id=A", status=403)
    from violations.models import Alert

    for each in Alert.objects.exclude(account_id="B"):
        api("POST", act("acknowledge", each.pk), {"note": "mine"}, 403)
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *(("level=urgent", "level"), ("state=open", "state"), ("since=yesterday", "since"), ("cursor=x", "cursor")),
        *(
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("colour=red", "colour"),
            ("level=warning&level=critical", "level"),
        ),
        *(("account_id=A&account=B", "account"), ("symbol=a|b", "symbol"), ("cursor=eAp5", "cursor")),
    ],
)
def test_a_filter_that_is_not_understood_is_named(api, query, field):
    assert api.fields("GET", f"/risk/alerts?{query}") == {field}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"note"}),
        ({"note": ""}, {"note"}),
        ({"note": "  "}, {"note"}),
        ({"note": 7}, {"note"}),
        ({"note": "x" * 501}, {"note"}),
        ({"note": "a\0b"}, {"note"}),
        ({"note": "on it", "by": "bob"}, {"by"}),
        ([], {"body"}),
        (b'{"note": "a", "note": "b"}', {"note"}),
        (b"{", {"body"}),
    ],
)
def test_an_acknowledgement_that_is_not_understood_changes_nothing(alert, api, body, fields):
    assert api.fields("POST", act("acknowledge"), body) == fields
    assert only_alert().state == "firing"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"until", "reason"}),
        ({"until": "2020-01-01T00:00:00Z", "reason": "x"}, {"until"}),
        ({"until": "2999-01-01T00:00:00Z", "reason": "x"}, {"until"}),
        ({"until": "2026-11-21T12:00:00", "reason": "x"}, {"until"}),
        ({"until": "soon", "reason": "x"}, {"until"}),
        ({"until": -1, "reason": "x"}, {"until"}),
        ({"until": None, "reason": None}, {"until", "reason"}),
    ],
)
def test_a_silence_that_is_not_understood_changes_nothing(alert, api, body, fields):
    assert api.fields("POST", act("silence"), body) == fields
    assert only_alert().state == "firing"


def test_what_is_too_long_or_no_json_is_not_read(alert, api):
    api("POST", act("acknowledge"), {"note": "x" * 20_000}, 413)
    headers = bearer()
    assert Client().post(act("acknowledge"), "note=x", "text/plain", headers=headers).status_code == 415


def test_an_alert_that_is_not_there_is_not_found(api):
    api("POST", act("acknowledge", uuid4()), {"note": "on it"}, 404)
    assert api.fields("POST", act("acknowledge", "seven"), {"note": "on it"}) == {"id"}


def test_what_was_acknowledged_before_is_a_conflict(alert, api):
    api("POST", act("acknowledge"), {"note": "on it"})
    assert "key:oms" in api("POST", act("acknowledge"), {"note": "again"}, 409)["detail"]
    assert only_alert().note == "on it"


# ------------------------------------------------------------------------------------------------- what is done
def test_an_alert_is_acknowledged(alert, api):
    shown = api("POST", act("acknowledge"), {"note": f" {MARKUP} "})
    assert (shown["state"], shown["acknowledged_by"], shown["note"]) == ("acknowledged", "key:oms", MARKUP)
    assert (AuditEvent.objects.get().actor, AuditEvent.objects.get().reason) == ("key:oms", MARKUP)


@pytest.mark.parametrize("number", [False, True])
def test_an_alert_is_silenced(alert, api, number):
    until = (timezone.now() + timedelta(hours=1)).replace(microsecond=0)
    said = int(until.timestamp()) if number else until.isoformat()
    shown = api("POST", act("silence"), {"until": said, "reason": "known"})
    assert (shown["state"], shown["silence_reason"]) == ("silenced", "known")
    assert only_alert().silenced_until == until


# ----------------------------------------------------------------------------------------------- what is shown
def test_lists_are_filtered(api):
    look(0, broken(policy_id="old"))
    look(1, broken(policy_id="soft", policy_type="soft", symbol="X"), broken(policy_id="b", account_id="B"))
    for query, wanted in {
        "level=warning": ["soft"],
        "state=resolved": ["old"],
        "account_id=B": ["b"],
        "account=B": ["b"],
        "symbol=x": ["soft"],
        f"until={int(at(1).timestamp())}": ["old"],
        f"since={at(1).isoformat()}&level=critical": ["b"],
    }.items():
        assert api.listed(f"/risk/alerts?{query}") == wanted, query
    for query, wanted in {
        "open=false": ["old"],
        "open=true&account_id=B": ["b"],
        "policy_type=soft": ["soft"],
        "policy_id=b": ["b"],
        "kind=block": [],
        "metric=leverage&symbol=X": ["soft"],
    }.items():
        assert api.listed(f"/risk/violations?{query}") == wanted, query


@pytest.mark.parametrize("path", ["/risk/alerts", "/risk/violations"])
def test_pages_have_every_row_once_the_newest_first(api, path):
    for second in range(3):
        look(second, *(broken(policy_id=f"{second}-{number}") for number in range(3)))
    found, following = [], ""
    while True:
        page = api("GET", f"{path}?limit=2{following and f'&cursor={following}'}")
        found += [row["policy_id"] for row in page["results"]]
        following = page["next"]
        if following is None:
            break
    assert [each[0] for each in found] == ["2"] * 3 + ["1"] * 3 + ["0"] * 3
    assert len(set(found)) == 9


def test_a_page_takes_one_query_however_long(api):
    look(0, *(broken(policy_id=f"p-{number}") for number in range(20)))
    with CaptureQueriesContext(connection) as captured:
        api("GET", "/risk/alerts")
    assert len(captured) == 1


def test_they_are_as_the_document_says(api):
    spec = json.loads(document())
    look(0, broken("12.50", policy_name=MARKUP), broken(None, policy_id="p-2", account_id="", symbol="X"))
    for path, name in {"/risk/alerts": "Alert", "/risk/violations": "Violation"}.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": spec["components"]}
        rows = api("GET", path)["results"]
        assert len(rows) == 2
        for row in rows:
            jsonschema.Draft202012Validator(schema).validate(row)
            assert row.keys() == spec["components"]["schemas"][name]["properties"].keys()


def test_amounts_are_exact_text(api):
    look(0, broken("12.50"))
    (alert,), (violation,) = (api("GET", path)["results"] for path in ("/risk/alerts", "/risk/violations"))
    assert (alert["metric_value"], alert["threshold_value"]) == ("12.5", "10")
    assert (violation["worst_value"], violation["utilisation"]) == ("12.5", "1.25")
    assert alert["violation_id"] == violation["id"]
