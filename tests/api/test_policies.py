"""Limits and change requests over REST: writing asks, and only what was approved goes live."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import jsonschema  # type: ignore[import-untyped]
import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from api.rest.documentation import document
from policies.models import APPROVE_LIMITS, ChangeRequest, Policy, RestrictedSymbol
from tests.api.test_rest import Api, api, trading  # noqa: F401 - fixtures
from tests.api.world import record, swap_keys

pytestmark = pytest.mark.django_db(transaction=True)

LEVERAGE = "Max Account Leverage"
NEW: dict[str, Any] = {"name": "Max Order", "metric": "order_notional", "threshold": 1000, "reason": "New desk"}


@pytest.fixture
def bob() -> Client:
    """A browser session of somebody who approves."""
    user = User.objects.create(username="bob", is_staff=True)
    names = [APPROVE_LIMITS.partition(".")[2], "view_changerequest"]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(user)
    return client


def change(**fields: Any) -> dict[str, Any]:
    """Return the body of a change of leverage, 10 at first."""
    row = Policy.objects.get(name=LEVERAGE)
    return {"id": str(row.pk), "version": row.version, "reason": "Review", **fields}


def step(client: Any, what: str, request: dict[str, Any], **fields: Any) -> Any:
    path, body = f"/risk/requests/{request['id']}/{what}", {"version": request["version"], **fields}
    if isinstance(client, Client):
        return client.post(path, json.dumps(body), content_type="application/json")
    return client("POST", path, body)


# --------------------------------------------------------------------------------------------------- refused
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"threshold": "NaN"}, "threshold"),
        ({"threshold": True}, "threshold"),
        ({"threshold": "1e300"}, "threshold"),
        ({"enabled": "yes"}, "enabled"),
        ({"scope_ids": "BTCUSDT"}, "scope_ids"),
        ({"scope_ids": [7]}, "scope_ids[0]"),
        ({"metric": "luck"}, "metric"),
        ({"name": "Max Drawdown"}, "name"),
        ({"window_s": 60}, "window_s"),
        ({"priority": -1}, "priority"),
        ({"colour": "red"}, "colour"),
        ({"reason": " "}, "reason"),
        ({"version": 1.5}, "version"),
        ({"id": "no uuid"}, "id"),
    ],
    ids=str,
)
def test_a_wrong_change_is_refused_by_name(api, fields, named):  # noqa: F811
    answer = api("PATCH", "/risk/policies", change(**fields))
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [named]
    assert not ChangeRequest.objects.exists()


@pytest.mark.parametrize("missing", ["id", "version", "reason"])
def test_a_change_says_what_of_which_version_and_why(api, missing):  # noqa: F811
    body = change(threshold=8)
    del body[missing]
    answer = api("PATCH", "/risk/policies", body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, missing)


def test_a_change_of_what_is_not_there_is_404(api):  # noqa: F811
    assert api("PATCH", "/risk/policies", change(id=str(uuid4()), threshold=8)).status_code == 404


@pytest.mark.parametrize("version", [0, 7])
def test_a_change_of_what_was_not_seen_is_a_conflict(api, version):  # noqa: F811
    answer = api("PATCH", "/risk/policies", change(version=version, threshold=8))
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "look at version 1" in answer.json()["detail"]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_to_ask_takes_the_permission(api, store, method):  # noqa: F811
    swap_keys(store, record("oms", "check", "read", "feed"))
    body = NEW if method == "POST" else change(threshold=8)
    assert api(method, "/risk/policies", body).status_code == 403
    assert not ChangeRequest.objects.exists()


def test_a_key_for_some_accounts_asks_for_those_only(api, store):  # noqa: F811
    swap_keys(store, record(accounts=frozenset({"A"})))
    assert api("POST", "/risk/policies", NEW).status_code == 403
    own = {**NEW, "scope": "account", "scope_ids": ["A"]}
    assert api("POST", "/risk/policies", own).status_code == 201


@pytest.mark.parametrize("what", ["approve", "reject"])
def test_a_key_that_nobody_holds_approves_nothing(api, what):  # noqa: F811
    asked = api("PATCH", "/risk/policies", change(threshold=12)).json()
    assert step(api, what, asked).status_code == 403


@pytest.mark.parametrize("what", ["shred", "submit/x"])
def test_there_are_no_other_steps(api, what):  # noqa: F811
    asked = api("PATCH", "/risk/policies", change(threshold=12)).json()
    assert step(api, what, asked).status_code == 404


@pytest.mark.parametrize("number", ["0", "no", "77", "9" * 12])
def test_a_request_that_is_not_there(api, number):  # noqa: F811
    assert api("GET", f"/risk/requests/{number}").status_code in (400, 404)


# -------------------------------------------------------------------------------------------------- the way
def test_a_new_limit_that_tightens_is_asked_for_and_published(trading):  # noqa: F811
    asked = trading("POST", "/risk/policies", {**NEW, "threshold": "10"})
    assert asked.status_code == 201
    request = asked.json()
    assert (request["state"], request["direction"], request["approvals_needed"]) == ("approved", "tightens", 0)
    assert trading.check("o-1")["approved"] is True

    answer = step(trading, "publish", request).json()

    assert (answer["state"], answer["live"], answer["policy_book_version"]) == ("published", True, 4)
    assert trading.check("o-2")["reason"] == "policy_violation"


def test_what_loosens_waits_for_somebody_else(trading, bob):  # noqa: F811
    request = trading("PATCH", "/risk/policies", change(threshold="12.50")).json()
    assert (request["state"], request["direction"], request["approvals_needed"]) == ("submitted", "loosens", 1)
    assert request["edits"][0]["fields"] == {"threshold": "12.5"}
    assert [(each["field"], each["direction"]) for each in request["differences"]] == [("threshold", "loosens")]
    early = step(trading, "publish", request)
    assert (early.status_code, early.json()["code"]) == (409, "conflict")

    assert step(bob, "approve", request, note="Agreed").json()["state"] == "approved"
    assert step(trading, "publish", request).json()["state"] == "published"

    (limit,) = [each for each in trading.get("/risk/policies")["results"] if each["name"] == LEVERAGE]
    assert (limit["threshold"], limit["version"]) == ("12.5", 2)


def test_a_rejection_needs_a_note_and_says_it(api, bob):  # noqa: F811
    request = api("PATCH", "/risk/policies", change(threshold=12)).json()
    assert step(bob, "reject", request).status_code == 400
    assert step(bob, "reject", request, note="Too much").json()["state"] == "rejected"
    assert api.get(f"/risk/requests/{request['id']}")["steps"][-1]["note"] == "Too much"


def test_a_request_is_scheduled_unscheduled_and_withdrawn(api):  # noqa: F811
    request = api("PATCH", "/risk/policies", change(threshold=8)).json()
    at = (timezone.now() + timedelta(hours=1)).isoformat()
    scheduled = step(api, "publish", request, at=at).json()
    assert (scheduled["state"], scheduled["live"]) == ("scheduled", None)
    assert step(api, "unschedule", request).json()["state"] == "approved"
    assert step(api, "withdraw", request, note="Not now").json()["state"] == "withdrawn"
    assert step(api, "publish", request).status_code == 409


def test_requests_are_listed_the_newest_first_a_page_at_a_time(api):  # noqa: F811
    numbers = [api("PATCH", "/risk/policies", change(threshold=each)).json()["id"] for each in (9, 8, 12)]
    first = api.get("/risk/requests?limit=2")
    assert [each["id"] for each in first["results"]] == numbers[:0:-1]
    assert [each["id"] for each in api.get(f"/risk/requests?cursor={first['next']}")["results"]] == numbers[:1]
    assert [each["id"] for each in api.get("/risk/requests?state=submitted")["results"]] == numbers[2:]


def test_policies_are_listed_by_name_a_page_at_a_time(api):  # noqa: F811
    names: list[str] = []
    cursor = ""
    while True:
        found = api.get(f"/risk/policies?limit=5{cursor}")
        names += [each["name"] for each in found["results"]]
        if found["next"] is None:
            break
        cursor = f"&cursor={found['next']}"
    assert names == list(Policy.objects.order_by("name").values_list("name", flat=True))


def test_one_policy_is_read_by_its_id(api):  # noqa: F811
    row = Policy.objects.get(name=LEVERAGE)
    (found,) = api.get(f"/risk/policies?id={row.pk}")["results"]
    assert (found["name"], found["threshold"]) == (LEVERAGE, "10")
    assert "at or below 10" in found["in_words"]


def test_answers_are_as_the_document_says(api):  # noqa: F811
    spec = json.loads(document())

    def validate(name: str, instance: object) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": spec["components"]}
        jsonschema.Draft202012Validator(schema).validate(instance)

    validate("NewPolicy", NEW)
    validate("PolicyChange", change(threshold=8))
    validate("ChangeRequest", api("PATCH", "/risk/policies", change(threshold=8)).json())
    validate("ListedChangeRequest", api.get("/risk/requests")["results"][0])
    validate("Policy", api.get("/risk/policies")["results"][0])


# ------------------------------------------------------------------------------------------------- overrides
def wanted(**fields: Any) -> dict[str, Any]:
    until = (timezone.now() + timedelta(hours=1)).isoformat()
    return {"account_id": "A", "until": until, "reason": "closing the book", **fields}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"account_id": "nobody"}, "account"),
        ({"max_notional": "NaN"}, "max_notional"),
        ({"max_orders": 0}, "max_orders"),
        ({"until": "2020-01-01T00:00:00+00:00"}, "until"),
        ({"until": "tomorrow"}, "until"),
        ({"approved": True}, "approved"),
    ],
)
def test_a_wrong_override_is_refused_by_name(api, fields, named):  # noqa: F811
    answer = api("POST", "/risk/overrides", wanted(**fields))
    assert answer.status_code == 400
    assert named in answer.content.decode()


def test_an_override_is_asked_for_approved_and_listed_with_its_use(trading, bob):  # noqa: F811
    spec = json.loads(document())
    request = trading("POST", "/risk/overrides", wanted(max_orders=2)).json()
    assert (request["state"], request["direction"], request["approvals_needed"]) == ("submitted", "loosens", 1)
    assert trading.get("/risk/overrides")["results"] == []
    step(bob, "approve", request)
    assert step(trading, "publish", request).json()["live"] is True
    (found,) = trading.get("/risk/overrides")["results"]
    assert (found["account_id"], found["max_orders"]) == ("A", 2)
    assert found["used"] == {"orders": 0, "quantity": "0", "notional": "0"}
    schema = {"$ref": "#/components/schemas/Override", "components": spec["components"]}
    jsonschema.Draft202012Validator(schema).validate(found)


def test_a_key_for_some_accounts_asks_for_none_of_others(api, store):  # noqa: F811
    swap_keys(store, record(accounts=frozenset({"B"})))
    assert api("POST", "/risk/overrides", wanted()).status_code == 403


# -------------------------------------------------------------------------------------------------- symbols
def test_a_restriction_is_lifted_once_somebody_else_has_approved_that(trading, bob):  # noqa: F811
    trading("POST", "/risk/symbol/BTCUSDT/block", {"reason": "a delisting"})
    answer = trading("DELETE", "/risk/symbol/BTCUSDT/block?reason=over")
    assert (answer.status_code, answer.json()["live"]) == (202, False)
    assert trading.check("o-1")["reason"] == "symbol_blocked"

    again = trading("DELETE", "/risk/symbol/BTCUSDT/block?reason=over")
    request = again.json()["request"]
    assert request["id"] == answer.json()["request"]["id"]

    assert step(bob, "approve", request).status_code == 200
    assert step(trading, "publish", request).json()["live"] is True
    assert trading.check("o-2")["approved"] is True


def test_where_tightening_takes_two_a_restriction_waits_as_well(trading, settings):  # noqa: F811
    settings.RISK_TIGHTENING_APPROVALS = 1
    answer = trading("POST", "/risk/symbol/BTCUSDT/block", {"reason": "a delisting"})
    assert (answer.status_code, answer.json()["live"], answer.json()["active"]) == (202, False, False)
    assert not RestrictedSymbol.objects.exists()
    assert trading.check("o-1")["approved"] is True
