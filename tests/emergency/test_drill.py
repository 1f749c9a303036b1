"""The drill: it begins only where trading goes on, and leaves the stop in force where anything is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.core.management import CommandError, call_command

from emergency.drill import CHECKS, DrillFailed, Plan, Portal, Report, run

PLAN = Plan(
    account_id="desk-1", symbol="BTCUSDT", unwind=False, triggered_by="drill", authorized_by="bob", within_s=0.2
)
STEPS = [
    {"at": "2026-01-31T14:03:07.000000Z", "what": "asked", "detail": "HALTED account desk-1"},
    {"at": "2026-01-31T14:03:07.002500Z", "what": "in_force", "detail": None},
    {"at": "2026-01-31T14:03:07.700000Z", "what": "completed", "detail": ""},
]


class Riskportal:
    """What the API would answer: a stop of one account. Tests change what is wrong with it."""

    def __init__(self) -> None:
        self.state, self.stopped_state = "ACTIVE", "HALTED"
        self.lifted_state = "ACTIVE"
        self.reason: str | None = None
        self.status, self.residuals = "completed", list[dict[str, Any]]()
        self.lift_status = "lifted"
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else {}
        self.asked.append((request.url.path, body))
        return httpx.Response(200, json=self._answers[request.url.path](self, body))

    def _check(self, _body: dict[str, Any]) -> dict[str, Any]:
        return {"trading_state": self.state, "reason": self.reason}

    def _stop(self, _body: dict[str, Any]) -> dict[str, Any]:
        self.state = self.stopped_state
        return {"stop_id": "s-1", "state": "HALTED", "recorded": True, "new": True}

    def _history(self, _body: dict[str, Any]) -> dict[str, Any]:
        return {"results": [{"stop_id": "s-1", "status": self.status, "residuals": self.residuals, "steps": STEPS}]}

    def _lift(self, _body: dict[str, Any]) -> dict[str, Any]:
        self.state = self.lifted_state
        return {"results": [{"stop_id": "s-1", "status": self.lift_status}]}

    _answers: dict[str, Callable[[Riskportal, dict[str, Any]], dict[str, Any]]] = {
        "/risk/check": _check,
        "/risk/emergency-stop": _stop,
        "/risk/emergency-stop/history": _history,
        "/risk/emergency-stop/re-enable": _lift,
    }


@pytest.fixture
def riskportal() -> Riskportal:
    return Riskportal()


def drill(riskportal: Riskportal) -> Report:
    with Portal("http://test", "key", httpx.MockTransport(riskportal.answer)) as portal:
        return run(portal, PLAN)


def stopped(riskportal: Riskportal) -> bool:
    return any(path == "/risk/emergency-stop" for path, _ in riskportal.asked)


@pytest.mark.parametrize(("state", "reason"), [("HALTED", None), ("REDUCING", None), ("ACTIVE", "unknown_account")])
def test_it_begins_only_where_trading_goes_on(riskportal, state, reason):
    riskportal.state, riskportal.reason = state, reason
    with pytest.raises(DrillFailed):
        drill(riskportal)
    assert not stopped(riskportal)


def test_who_may_not_is_told_and_nothing_is_stopped():
    refusing = httpx.MockTransport(lambda _: httpx.Response(403, text="operate is needed"))
    with Portal("http://test", "key", refusing) as portal, pytest.raises(DrillFailed, match="403 operate is needed"):
        run(portal, PLAN)


def test_one_order_that_is_not_blocked_is_a_failure(riskportal):
    riskportal.stopped_state = "ACTIVE"
    report = drill(riskportal)
    assert "found it ACTIVE: the stop is not everywhere" in report.problem
    assert "Stop s-1 is left in force" in report.problem


def test_an_oms_that_does_not_do_it_in_time_is_a_failure(riskportal):
    riskportal.status = "blocked"
    riskportal.residuals = [{"account_id": "desk-1", "why": "nobody listens"}]
    report = drill(riskportal)
    assert report.problem.startswith("after 0.2 s it is blocked: desk-1: nobody listens.")
    assert "Stop s-1 is left in force" in report.problem


def test_a_stop_that_is_not_lifted_is_a_failure(riskportal):
    riskportal.lift_status = "approval_needed"
    assert "a second person must approve" in drill(riskportal).problem


def test_an_account_that_does_not_trade_afterwards_is_a_failure(riskportal):
    riskportal.lifted_state = "HALTED"
    assert drill(riskportal).problem == "after it was lifted the account is HALTED."


def test_it_tells_when_everything_happened(riskportal):
    report = drill(riskportal)
    assert report.problem == ""
    assert report.in_force_ms == 2.5
    assert [step.what for step in report.steps if step.what in ("asked", "in_force", "completed")] == [
        "asked",
        "in_force",
        "completed",
    ]
    assert {"all blocked", "re-enabled", "trades again"} <= {step.what for step in report.steps}
    (called,) = [body for path, body in riskportal.asked if path == "/risk/emergency-stop"]
    assert called["drill"] is True
    assert called["scope"] == {"type": "account", "id": "desk-1"}
    checks = [body for path, body in riskportal.asked if path == "/risk/check"]
    assert len(checks) == CHECKS + 2
    assert all(body["what_if"] for body in checks)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"key": ""}, "an API key is needed"),
        ({"within": 0.0}, "--within must be above 0"),
        ({"url": "http://127.0.0.1:1"}, "the drill did not begin"),
    ],
)
def test_the_command_says_what_is_wrong(options, said, monkeypatch):
    monkeypatch.delenv("RISK_DRILL_KEY", raising=False)
    with pytest.raises(CommandError, match=said):
        call_command("drill", **{"account": "desk-1", "authorized_by": "bob", "key": "k", **options})
