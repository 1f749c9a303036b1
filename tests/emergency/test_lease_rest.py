"""The doors of leases: to take and renew one, to see who holds which, and to release it."""

from __future__ import annotations

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from msgspec.structs import replace

from api.rest.documentation import document
from api.rest.lease_schemas import LEASE_EXAMPLE
from emergency.leases import kept_leases, swap
from tests.emergency.test_rest import Api, api
from tests.emergency.world import ACCOUNTS, World, database_away

__all__ = ["api"]

LEASE = "/risk/lease"
BODY: dict[str, Any] = {"holder": "oms-1", "accounts": ["desk-1", "desk-2"], "ttl": 10}


@pytest.fixture
def world(many_lanes: World) -> World:
    """One store: what stores do with leases is told elsewhere."""
    return many_lanes


def delete(api: Api, holder: str, status: int = 200) -> Any:
    answer = api.client.delete(f"{LEASE}/{holder}", headers=api.headers)
    assert answer.status_code == status, answer.content
    return answer.json()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"ttl": 10}, "holder"),
        ({"holder": "oms-1"}, "ttl"),
        ({**BODY, "holder": ""}, "holder"),
        ({**BODY, "holder": "x" * 65}, "holder"),
        ({**BODY, "holder": 1}, "holder"),
        ({**BODY, "accounts": []}, "accounts"),
        ({**BODY, "accounts": "desk-1"}, "accounts"),
        ({**BODY, "accounts": ["desk-1", 2]}, "accounts[1]"),
        ({**BODY, "accounts": ["desk-1", "desk-11"]}, "accounts[1]"),
        ({**BODY, "ttl": 1}, "ttl"),
        ({**BODY, "ttl": 601}, "ttl"),
        ({**BODY, "ttl": "10"}, "ttl"),
        ({**BODY, "ttl": 2.5}, "ttl"),
        ({**BODY, "on_silence": "halt"}, "on_silence"),
        ({**BODY, "colour": "red"}, "colour"),
        (b"{", "body"),
    ],
)
def test_what_is_not_understood_is_no_lease(world: World, api: Api, body: Any, field: str) -> None:
    answer = api.post(LEASE, body, 400)
    assert [error["field"] for error in answer["errors"]] == [field]
    assert world.store.oms_leases() == {}


def test_a_lease_says_until_when_it_must_be_renewed(api: Api) -> None:
    given = api.post(LEASE, BODY, 201)
    assert (given["accounts"], given["ttl"], given["on_silence"]) == (["desk-1", "desk-2"], 10, "alert")
    assert (given["silent"], given["silent_since"], given["was_silent_since"]) == (False, None, None)
    renewed = api.post(LEASE, BODY)
    assert renewed["expires_at"] > given["expires_at"]
    assert renewed["granted_at"] == given["granted_at"]


def test_without_accounts_it_is_for_all_of_the_key(api: Api) -> None:
    asked = {"holder": "oms-1", "ttl": 10}
    assert api.post(LEASE, asked, 201)["accounts"] == list(ACCOUNTS)


def test_the_answer_says_what_silence_does(api: Api, settings) -> None:
    assert api.post(LEASE, {**BODY, "on_silence": "reduce"}, 201)["on_silence"] == "reduce"
    settings.RISK_LEASE_ON_SILENCE = "reduce"
    assert api.post(LEASE, {**BODY, "on_silence": "alert"})["on_silence"] == "reduce"


def test_the_list_says_how_old_each_is(api: Api) -> None:
    api.post(LEASE, BODY, 201)
    api.post(LEASE, {**BODY, "holder": "oms-0", "accounts": ["desk-3"]}, 201)
    first, second = api.get(LEASE)["results"]
    assert (first["holder"], second["holder"]) == ("oms-0", "oms-1")
    assert 0 <= first["age_ms"] <= second["age_ms"]


def test_prometheus_sees_how_many_are_silent(world: World, api: Api) -> None:
    api.post(LEASE, BODY, 201)
    api.post(LEASE, {**BODY, "holder": "oms-2"}, 201)
    assert "risk_silent_leases 0.0" in api.client.get("/metrics").content.decode()
    kept = kept_leases(world.store, "oms-1")["oms-1"]
    assert kept.lease is not None
    assert swap(world.store, kept, replace(kept.lease, renewed_at_us=1))
    assert "risk_silent_leases 1.0" in api.client.get("/metrics").content.decode()
    delete(api, "oms-1")
    assert "risk_silent_leases 0.0" in api.client.get("/metrics").content.decode()


def test_released_it_is_in_no_list_and_may_be_taken_again(api: Api) -> None:
    api.post(LEASE, BODY, 201)
    assert delete(api, "oms-1")["holder"] == "oms-1"
    assert api.get(LEASE)["results"] == []
    assert delete(api, "oms-1", 404)["code"] == "not_found"
    api.post(LEASE, BODY, 201)


def test_without_the_database_it_is_given_listed_and_released(api: Api) -> None:
    with database_away():
        api.post(LEASE, BODY, 201)
        api.post(LEASE, BODY)
        assert len(api.get(LEASE)["results"]) == 1
        delete(api, "oms-1")


def test_before_a_restore_it_is_refused_and_may_be_asked_for_again(world: World, api: Api) -> None:
    content = world.store.fetch_keys()
    assert content is not None
    world.lose()
    world.store.put_keys(content)
    answer = api("POST", LEASE, BODY)
    assert (answer.status_code, answer.json()["code"]) == (503, "recovering")


# ------------------------------------------------------------------------------------------- who may what
class TestPermissions:
    def test_who_may_only_read_takes_none(self, api: Api) -> None:
        reader = Api("reader")
        reader.post(LEASE, BODY, 403)
        assert reader.get(LEASE)["results"] == []
        api.post(LEASE, BODY, 201)
        delete(reader, "oms-1", 403)

    def test_without_a_key_nothing(self, api: Api) -> None:
        assert api("POST", LEASE, BODY, key=False).status_code == 401
        assert api("GET", LEASE, key=False).status_code == 401

    def test_a_key_takes_one_for_its_own_accounts_alone(self, world: World, api: Api) -> None:
        desk = Api("trader")
        assert desk.post(LEASE, BODY, 403)["code"] == "not_this_account"
        assert desk.post(LEASE, {"holder": "oms-9", "ttl": 10}, 201)["accounts"] == ["desk-1"]

    def test_of_a_lease_of_others_a_key_sees_its_own_accounts_and_changes_nothing(self, api: Api) -> None:
        api.post(LEASE, BODY, 201)
        api.post(LEASE, {**BODY, "holder": "oms-2", "accounts": ["desk-3"]}, 201)
        desk = Api("trader")
        (seen,) = desk.get(LEASE)["results"]
        assert (seen["holder"], seen["accounts"]) == ("oms-1", ["desk-1"])
        assert desk.post(LEASE, {**BODY, "accounts": ["desk-1"]}, 409)["code"] == "held_by_another"
        assert delete(desk, "oms-1", 403)["code"] == "not_this_account"
        assert api.post(LEASE, BODY)["accounts"] == ["desk-1", "desk-2"]


def test_the_example_is_as_documented() -> None:
    spec = json.loads(document())
    schema = {**spec["components"]["schemas"]["LeaseRequest"], "components": spec["components"]}
    jsonschema.Draft202012Validator(schema).validate(LEASE_EXAMPLE)
