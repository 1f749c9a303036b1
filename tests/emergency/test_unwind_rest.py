"""How far a stop has come over REST, and giving up what is left of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api import survey
from bus.asking import Unanswered
from emergency.unwind import Outcome
from tests.emergency.oms import Oms
from tests.emergency.test_rest import HISTORY, STOP, Api, api
from tests.emergency.test_unwind import Desk
from tests.emergency.world import ACCOUNTS, World, database_away, engage, long, row

__all__ = ["api"]

GIVE_UP, GO_ON = f"{STOP}/give-up", f"{STOP}/go-on"
WHY = {"authorized_by": "bob", "reason": "closed by phone"}


@pytest.fixture
def world(many_lanes: World) -> World:
    return many_lanes


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


@pytest.fixture
def silent(desk: Desk) -> Desk:
    """An OMS that does not answer."""
    desk.oms = Oms(says={"": Unanswered("nobody listens")})
    desk.unwinder = desk.new_unwinder("one")
    return desk


class TestHowFar:
    def test_it_is_shown_with_what_was_done_and_what_is_left(self, desk, api):
        desk.world.feed(long(), account_id="desk-1")
        desk.oms.positions["desk-1"], desk.oms.closes = 1, False
        engage(unwind=True)
        desk.advance()
        (shown,) = api.get(STOP)["results"]
        done = {"accounts": len(ACCOUNTS), "cancelled": len(ACCOUNTS), "orders_canceled": 10, "positions_closed": 0}
        assert (shown["status"], shown["given_up"], shown["progress"]) == ("unwinding", False, done)
        left = next(each for each in shown["residuals"] if each["account_id"] == "desk-1")
        assert (left["command"], left["remaining"]) == ("close_all", 1)
        assert left["positions"] == [{"symbol": "BTCUSDT", "exchange": "", "quantity": "1"}]

    def test_also_while_the_database_is_away(self, desk, api):
        with database_away():
            engage()
            desk.advance()
            (shown,) = api.get(STOP)["results"]
        assert (shown["status"], shown["progress"]["orders_canceled"], shown["residuals"]) == ("completed", 10, [])

    def test_a_key_for_one_account_is_not_shown_what_others_have(self, silent, api):
        engage(unwind=True)
        silent.advance()
        (shown,) = Api("desk").get(STOP)["results"]
        assert (shown["status"], shown["progress"], shown["residuals"]) == ("blocked", None, None)
        assert "desk-2" not in json.dumps(Api("desk").get(HISTORY))


class TestGivingUp:
    @pytest.mark.parametrize("path", [GIVE_UP, GO_ON])
    @pytest.mark.parametrize(
        ("body", "field"),
        [
            (WHY, "stop_id"),
            ({**WHY, "stop_id": "x"}, "stop_id"),
            ({"stop_id": "01a1fef2-cf88-7641-9189-bac8ce18d6e9", "reason": "x"}, "authorized_by"),
            ({"stop_id": "01a1fef2-cf88-7641-9189-bac8ce18d6e9", "authorized_by": "bob"}, "reason"),
            ({**WHY, "stop_id": "01a1fef2-cf88-7641-9189-bac8ce18d6e9", "force": True}, "force"),
        ],
    )
    def test_what_is_not_understood_changes_nothing(self, api, path, body, field):
        answer = api.post(path, body, 400)
        assert [error["field"] for error in answer["errors"]] == [field]

    def test_and_going_on(self, silent, api):
        engaged = engage()
        silent.advance()
        body = {**WHY, "stop_id": engaged.stop_id}
        assert api.post(GO_ON, body, 409)["code"] == "as_it_is"
        assert api.post(GIVE_UP, body)["given_up"] is True
        assert api.post(GIVE_UP, body, 409)["code"] == "as_it_is"
        assert silent.unwinder.advance() is Outcome.NOTHING_TO_DO
        (shown,) = api.get(STOP)["results"]
        assert shown["given_up"] is True
        (told,) = api.get(HISTORY)["results"]
        assert (told["given_up"], told["given_up_by"], told["given_up_reason"]) == (True, "bob", "closed by phone")
        assert api.post(GO_ON, body)["given_up"] is False
        silent.advance()

    def test_a_stop_that_nobody_knows(self, api):
        api.post(GIVE_UP, {**WHY, "stop_id": "01a1fef2-cf88-7641-9189-bac8ce18d6e9"}, 404)

    def test_it_needs_permission_for_the_scope(self, silent, api):
        everywhere, there = engage(), engage(scope="account", scope_id="desk-1", unwind=True)
        body: dict[str, Any] = {**WHY, "stop_id": everywhere.stop_id}
        assert Api("reader")("POST", GIVE_UP, body).status_code == 403
        assert Api("desk")("POST", GIVE_UP, body).status_code == 403
        assert not row(everywhere).given_up
        Api("desk").post(GIVE_UP, {**body, "stop_id": there.stop_id})

    def test_without_the_database_it_is_refused(self, silent, api):
        engaged = engage()
        with database_away():
            answer = api("POST", GIVE_UP, {**WHY, "stop_id": engaged.stop_id})
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")


def test_those_that_are_not_completed_are_counted(silent, api, monkeypatch):
    monkeypatch.setattr(survey._lasting, "_life_s", -1.0)  # as after a while

    def value(name: str) -> float:
        lines = api.client.get("/metrics").content.decode().splitlines()
        (found,) = [line for line in lines if line.startswith(f"{name} ")]
        return float(found.split()[1])

    assert value("risk_emergency_stop_unfinished") == 0
    engage()
    assert value("risk_emergency_stop_unfinished") == 1
    silent.advance()
    assert value("risk_emergency_stop_unfinished") == 1
    assert value("risk_emergency_stop_unfinished_seconds") > 0
    silent.oms.says, silent.oms.orders = {}, dict.fromkeys(ACCOUNTS, 1)
    silent.advance()
    assert value("risk_emergency_stop_unfinished") == 0
