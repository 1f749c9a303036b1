"""The doors of the emergency stop: to stop, to re-enable, what is in force and what was."""

from __future__ import annotations

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from api import desk, survey
from api.keyring import encode_records
from api.rest.documentation import document
from emergency.models import EmergencyStop
from emergency.records import add_step
from emergency.words import Status
from state.store import StateUnavailable
from tests.api.world import bearer, record
from tests.emergency.test_lifting import breach
from tests.emergency.world import World, database_away, engage, lift, row

STOP = "/risk/emergency-stop"
RE_ENABLE, HISTORY = f"{STOP}/re-enable", f"{STOP}/history"
BODY: dict[str, Any] = {"reason": "fat finger", "triggered_by": "alice"}


class Api:
    """A client whose answers are held against the OpenAPI document."""

    def __init__(self, key_id: str = "oms") -> None:
        self.client, self.headers = Client(), bearer(key_id)

    def __call__(self, method: str, path: str, body: Any = None, *, key: bool = True) -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        send: dict[str, Any] = {"content_type": "application/json"} if body is not None else {}
        answer = self.client.generic(method, path, content, headers=self.headers if key else {}, **send)
        _is_as_documented(method, path, answer)
        return answer

    def get(self, path: str) -> Any:
        answer = self("GET", path)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def post(self, path: str, body: Any, status: int = 200) -> Any:
        answer = self("POST", path, body)
        assert answer.status_code == status, answer.content
        return answer.json()


def _is_as_documented(method: str, path: str, answer: Any) -> None:
    spec = json.loads(document())
    said = spec["paths"][path.split("?", maxsplit=1)[0]].get(method.lower())
    if said is None:
        assert answer.status_code == 405
        return
    kind = answer.headers["Content-Type"]
    schema = said["responses"][str(answer.status_code)]["content"][kind]["schema"]
    jsonschema.Draft202012Validator({**schema, "components": spec["components"]}).validate(answer.json())


def sign_in(api: Api, name: str, *codenames: str) -> None:
    """Have the client of `api` signed in as somebody with these permissions."""
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    api.client.force_login(user)


@pytest.fixture
def api(world: World) -> Api:
    keys = (
        record(),
        record("reader", "read"),
        record("desk", "read", "operate", accounts=frozenset({"desk-1"})),
        record("bob", "operate", holder="bob"),
        record("carol", "operate", holder="carol"),
        record("trader", "check", accounts=frozenset({"desk-1"})),
    )
    world.store.put_keys(encode_records(keys))
    desk._desk = None
    return Api()


class TestStop:
    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"reason": "x"}, "triggered_by"),
            ({"triggered_by": "x"}, "reason"),
            ({**BODY, "reason": ""}, "reason"),
            ({**BODY, "reason": 1}, "reason"),
            ({**BODY, "colour": "red"}, "colour"),
            ({**BODY, "state": "ACTIVE"}, "state"),
            ({**BODY, "state": "ASLEEP"}, "state"),
            ({**BODY, "unwind": "yes"}, "unwind"),
            ({**BODY, "drill": "yes"}, "drill"),
            ({**BODY, "force": 1}, "force"),
            ({**BODY, "scope": "global"}, "scope"),
            ({**BODY, "scope": {"id": "desk-1"}}, "scope.type"),
            ({**BODY, "scope": {"type": "planet"}}, "scope.type"),
            ({**BODY, "scope": {"type": "account"}}, "scope.id"),
            ({**BODY, "scope": {"type": "global", "id": "x"}}, "scope.id"),
            ({**BODY, "scope": {"type": "global", "name": "x"}}, "scope.name"),
            (b"{", "body"),
        ],
    )
    def test_what_is_not_understood_stops_nothing(self, world, api, body, field):
        answer = api.post(STOP, body, 400)
        assert [error["field"] for error in answer["errors"]] == [field]
        assert world.up() == []

    def test_it_stops_everything_by_default(self, world, api):
        answer = api.post(STOP, BODY, 201)
        assert (answer["scope"], answer["state"], answer["unwind"]) == ({"type": "global", "id": ""}, "HALTED", False)
        assert (answer["status"], answer["new"], answer["recorded"]) == ("blocked", True, True)
        assert not world.approves()
        found = EmergencyStop.objects.get(pk=answer["stop_id"])
        assert (found.triggered_by, found.trigger, found.reason) == ("alice", "person", "fat finger")

    def test_it_stops_what_it_names(self, world, api):
        body = {
            **BODY,
            "scope": {"type": "symbol", "id": "btcusdt"},
            "state": "reducing",
            "unwind": True,
            "force": True,
        }
        answer = api.post(STOP, body, 201)
        assert (answer["scope"]["id"], answer["state"], answer["unwind"]) == ("BTCUSDT", "REDUCING", True)

    def test_again_it_is_the_same(self, world, api):
        first = api.post(STOP, BODY, 201)
        again = api.post(STOP, BODY, 200)
        assert (again["stop_id"], again["new"], again["status"]) == (first["stop_id"], False, "blocked")

    def test_it_works_without_the_database(self, world, api):
        with database_away():
            answer = api.post(STOP, BODY, 201)
            assert not answer["recorded"]
            assert not world.approves()
            (shown,) = api.get(STOP)["results"]
            assert (shown["stop_id"], shown["triggered_by"], shown["status"]) == (answer["stop_id"], "alice", None)

    def test_without_the_live_state_it_says_that_it_is_not_in_force(self, world, api, monkeypatch):
        def refuse(*_args, **_named):
            raise StateUnavailable("connection refused")

        with monkeypatch.context() as away:
            away.setattr(type(world.store), "raise_stop", refuse)
            answer = api("POST", STOP, BODY)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert "not known to be in force" in answer.json()["detail"]

    def test_it_needs_permission(self, world, api):
        assert Api("reader")("POST", STOP, BODY).status_code == 403
        assert api("POST", STOP, BODY, key=False).status_code == 401
        assert world.up() == []

    @pytest.mark.parametrize("codename", ["view_emergencystop", "lift_stop"])
    def test_who_is_signed_in_without_the_permission_stops_nothing_and_is_told_which(self, world, api, codename):
        sign_in(api, "sue", codename)
        answer = api("POST", STOP, BODY, key=False)
        assert answer.status_code == 403
        assert "emergency.engage_stop" in answer.json()["detail"]
        assert world.up() == []

    def test_who_is_signed_in_and_may_stops(self, world, api):
        sign_in(api, "sue", "engage_stop")
        assert api("POST", STOP, BODY, key=False).status_code == 201
        assert api("GET", STOP, key=False).json()["active"]

    def test_a_key_for_one_account_stops_that_one(self, world, api):
        of_desk = Api("desk")
        assert of_desk("POST", STOP, BODY).status_code == 403
        assert of_desk("POST", STOP, {**BODY, "scope": {"type": "account", "id": "desk-2"}}).status_code == 403
        assert of_desk("POST", STOP, {**BODY, "scope": {"type": "symbol", "id": "X"}}).status_code == 403
        of_desk.post(STOP, {**BODY, "scope": {"type": "account", "id": "desk-1"}}, 201)


class TestInForce:
    def test_where_nothing_is_stopped_there_is_nothing(self, api):
        assert api.get(STOP) == {"results": [], "next": None, "active": False}

    def test_it_says_who_why_and_how_far(self, api):
        engaged = engage(unwind=True)
        add_step(engaged.stop_id, "flat", status=Status.FLAT, residuals=[{"account_id": "desk-2", "why": "?"}])
        (shown,) = api.get(STOP)["results"]
        assert (shown["stop_id"], shown["reason"], shown["unwind"]) == (engaged.stop_id, "a test", True)
        assert (shown["status"], shown["residuals"]) == ("flat", [{"account_id": "desk-2", "why": "?"}])

    def test_a_key_for_one_account_sees_what_stops_it_and_nothing_of_others(self, api):
        engage(scope="account", scope_id="desk-2")
        mine, all_ = engage(scope="account", scope_id="desk-1"), engage()
        add_step(all_.stop_id, "flat", "desk-2 is flat", residuals=[{"account_id": "desk-2"}])
        shown = Api("desk").get(STOP)["results"]
        assert [each["stop_id"] for each in shown] == [mine.stop_id, all_.stop_id]
        assert "desk-2" not in json.dumps(shown)
        assert "desk-2" not in json.dumps(Api("desk").get(HISTORY))

    def test_a_live_state_that_is_not_restored_says_so(self, world, api):
        world.lose()
        world.store.put_keys(encode_records((record(),)))
        assert api("GET", STOP).status_code == 503


class TestReEnable:
    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"authorized_by": "bob"}, "reason"),
            ({"reason": "x"}, "authorized_by"),
            ({}, "stop_id"),
            ({"stop_id": "x"}, "stop_id"),
            ({"stop_id": "01a1fef2-cf88-7641-9189-bac8ce18d6e9", "scope": {"type": "global"}}, "stop_id"),
            ({"scope": {"type": "account"}}, "scope.id"),
            ({"scope": {"type": "global"}, "why": "x"}, "why"),
        ],
    )
    def test_what_is_not_understood_lifts_nothing(self, world, api, body, field):
        engage()
        whole = body if len(body) == 1 and field in ("reason", "authorized_by") else {**_by("bob"), **body}
        assert field in [error["field"] for error in api.post(RE_ENABLE, whole, 400)["errors"]]
        assert not world.approves()

    def test_by_its_id(self, world, api):
        engaged = engage()
        answer = api.post(RE_ENABLE, {**_by("bob"), "stop_id": engaged.stop_id})
        assert answer["live"]
        assert answer["results"] == [{"stop_id": engaged.stop_id, "status": "lifted", "approve_before": None}]
        assert world.approves()

    def test_by_its_scope(self, world, api):
        engage(scope="symbol", scope_id="BTCUSDT")
        api.post(RE_ENABLE, {**_by("bob"), "scope": {"type": "symbol", "id": "btcusdt"}})
        assert world.approves()

    def test_not_by_who_stopped_it(self, world, api):
        engaged = engage(triggered_by="alice")
        assert api.post(RE_ENABLE, {**_by("alice"), "stop_id": engaged.stop_id}, 409)["code"] == "same_person"

    def test_a_breach_takes_force_and_a_second_person(self, world, api):
        engaged = engage()
        breach(world)
        bob, carol = Api("bob"), Api("carol")
        body = {"stop_id": engaged.stop_id}
        assert bob.post(RE_ENABLE, {**_by("bob"), **body}, 409)["code"] == "still_breached"
        first = bob.post(RE_ENABLE, {**_by("bob"), **body, "force": True}, 202)
        assert first["results"][0]["status"] == "approval_needed"
        assert bob.post(RE_ENABLE, {**_by("bob"), **body, "force": True}, 409)["code"] == "same_person"
        assert (
            bob.post(RE_ENABLE, {**_by("carol"), **body, "force": True}, 400)["errors"][0]["field"] == "authorized_by"
        )
        assert not world.approves(account_id="desk-2")
        carol.post(RE_ENABLE, {**_by("carol"), **body, "force": True}, 200)
        assert world.approves(account_id="desk-2")

    def test_a_person_who_is_signed_in_is_a_second_person(self, world, api):
        engaged = engage()
        breach(world)
        body = {"stop_id": engaged.stop_id, "force": True}
        Api("bob").post(RE_ENABLE, {**_by("bob"), **body}, 202)
        sign_in(api, "sue", "lift_stop")
        assert api("POST", RE_ENABLE, {**_by("sue"), **body}, key=False).status_code == 200
        assert row(engaged).approved_by == "sue"

    def test_force_takes_people_not_names_that_a_machine_says(self, world, api):
        engaged = engage()
        breach(world)
        body = {"stop_id": engaged.stop_id, "force": True}
        assert api.post(RE_ENABLE, {**_by("bob"), **body}, 403)["code"] == "person_needed"
        assert row(engaged).in_force

    def test_it_takes_its_own_permission(self, world, api):
        engaged = engage()
        sign_in(api, "sue", "engage_stop")
        for what in (RE_ENABLE, f"{STOP}/give-up"):
            answer = api("POST", what, {**_by("sue"), "stop_id": engaged.stop_id}, key=False)
            assert answer.status_code == 403
            assert "emergency.lift_stop" in answer.json()["detail"]
        assert row(engaged).in_force

    def test_what_is_not_in_force(self, world, api):
        engaged = engage()
        lift(engaged.stop_id)
        api.post(RE_ENABLE, {**_by("bob"), "stop_id": engaged.stop_id}, 404)
        api.post(RE_ENABLE, {**_by("bob"), "stop_id": "01a1fef2-cf88-7641-9189-bac8ce18d6e9"}, 404)
        api.post(RE_ENABLE, {**_by("bob"), "scope": {"type": "global"}}, 404)

    def test_one_that_is_only_noted(self, world, api):
        with database_away():
            engaged = engage()
        api.post(RE_ENABLE, {**_by("bob"), "stop_id": engaged.stop_id})
        assert world.approves()

    def test_without_the_database_it_is_refused(self, world, api):
        engaged = engage()
        with database_away():
            answer = api("POST", RE_ENABLE, {**_by("bob"), "stop_id": engaged.stop_id})
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert not world.approves()

    def test_it_needs_permission_for_the_scope(self, world, api):
        everywhere, there = engage(), engage(scope="account", scope_id="desk-1", unwind=True)
        assert Api("reader")("POST", RE_ENABLE, {**_by("bob"), "stop_id": there.stop_id}).status_code == 403
        assert Api("desk")("POST", RE_ENABLE, {**_by("bob"), "stop_id": everywhere.stop_id}).status_code == 403
        assert Api("desk")("POST", RE_ENABLE, {**_by("bob"), "scope": {"type": "global"}}).status_code == 403
        Api("desk").post(RE_ENABLE, {**_by("bob"), "stop_id": there.stop_id})
        assert world.up() == [everywhere.stop_id]


def _by(who: str) -> dict[str, str]:
    return {"authorized_by": who, "reason": "all is well"}


class TestHistory:
    def test_it_has_the_whole_story(self, api):
        engaged = engage()
        lift(engaged.stop_id)
        (shown,) = api.get(HISTORY)["results"]
        assert (shown["stop_id"], shown["active"], shown["lifted_by"]) == (engaged.stop_id, False, "bob")
        assert [step["what"] for step in shown["steps"]] == ["asked", "in_force", "recorded", "lifted"]
        assert shown["accounts"] == engaged.accounts

    def test_pages_are_the_newest_first_and_without_gap(self, api):
        made = [engage(scope="strategy", scope_id=f"s-{number}").stop_id for number in range(5)]
        found, path = [], f"{HISTORY}?limit=2"
        cursor = ""
        while cursor is not None:
            page = api.get(f"{path}&cursor={cursor}" if cursor else path)
            assert len(page["results"]) <= 2
            found += [each["stop_id"] for each in page["results"]]
            cursor = page["next"]
        assert found == made[::-1]

    def test_filters(self, api):
        one = engage(scope="account", scope_id="desk-1", trigger="breaker", triggered_by="breaker")
        other = engage()
        lift(other.stop_id)

        def found(query: str) -> list[str]:
            return [each["stop_id"] for each in api.get(f"{HISTORY}?{query}")["results"]]

        assert found("scope=account") == found("scope_id=desk-1") == found("trigger=breaker") == [one.stop_id]
        assert (found("active=true"), found("active=false")) == ([one.stop_id], [other.stop_id])
        assert found(f"since={other.engaged_at.isoformat()}") == [other.stop_id]
        assert found(f"until={other.engaged_at.isoformat()}") == [one.stop_id]

    @pytest.mark.parametrize("query", ["scope=planet", "trigger=mood", "active=maybe", "cursor=x", "limit=0", "page=2"])
    def test_what_is_not_understood_is_named(self, api, query):
        answer = api("GET", f"{HISTORY}?{query}")
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == query.split("=")[0]

    def test_it_needs_permission(self, api):
        assert api("GET", HISTORY, key=False).status_code == 401


def test_stops_are_counted_and_shown(world, api, monkeypatch):
    monkeypatch.setattr(survey._lasting, "_life_s", -1.0)  # as after a while

    def value(name: str) -> float:
        lines = api.client.get("/metrics").content.decode().splitlines()
        (found,) = [line for line in lines if line.startswith(f"{name} ")]
        return float(found.split()[1])

    before = value("risk_emergency_stops_total")
    engaged = engage()
    engage()
    assert value("risk_emergency_stops_total") == before + 1
    assert value("risk_emergency_stop_active") == 1
    lift(engaged.stop_id)
    assert value("risk_emergency_stop_active") == 0
