"""A kill-switch drill: a real stop of one account, from the call until it trades again, and how long everything took.

It goes through the public API alone, as whoever stops trading by hand does, and so tries the doors, the live state, the
record, the OMS and the people's part. Where something is not as it should be, the stop is left in force.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Self
from uuid import uuid4

import httpx
from msgspec import Struct

_STOP = "/risk/emergency-stop"
_TIMEOUT_S = 10.0
_PAUSE_S = 0.05

# So many orders are asked about in the stop, so that they come to every process behind the door.
CHECKS = 20

_REASON = "kill-switch drill"


class DrillFailed(Exception):
    """The drill did not begin, or something in it was not as it should be; the message says what."""


class Plan(Struct, frozen=True, kw_only=True):
    """What is to be tried: an account, whether its positions are closed, and the two people who stop and re-enable.

    `symbol` is what orders are asked about (what-if, a quantity of 1); `within_s` is how long the OMS has.
    """

    account_id: str
    symbol: str
    unwind: bool
    triggered_by: str
    authorized_by: str
    within_s: float = 60.0


class Step(Struct, frozen=True, kw_only=True):
    """Something that happened, `after_ms` milliseconds after the stop was called."""

    after_ms: float
    what: str
    detail: str


class Report(Struct, kw_only=True):
    """What came of a drill; `problem` is empty where all was as it should be."""

    account_id: str
    unwind: bool
    stop_id: str = ""
    problem: str = ""
    in_force_ms: float | None = None
    returned_ms: float | None = None
    steps: list[Step] = []


class Portal:
    """riskportal at `url`, to a key that may check, read and operate; in tests `transport` stands for the network."""

    def __init__(self, url: str, key: str, transport: httpx.BaseTransport | None = None) -> None:
        self._client = httpx.Client(
            base_url=url.rstrip("/"),
            headers={"Authorization": f"Bearer {key}", "Connection": "close"},  # each call may come to another process
            timeout=_TIMEOUT_S,
            trust_env=False,  # the machine's proxies are for the world outside
            transport=transport,
        )

    def get(self, path: str, **query: str) -> Any:
        """Return what is answered. Raises DrillFailed unless that is 2xx."""
        return _answered("GET", path, lambda: self._client.get(path, params=query))

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Return what is answered. Raises DrillFailed unless that is 2xx."""
        return _answered("POST", path, lambda: self._client.post(path, json=body))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._client.close()


def run(portal: Portal, plan: Plan) -> Report:
    """Stop the account, see that it is stopped, wait for the OMS, re-enable it, and see that it trades.

    Raises DrillFailed where it could not begin; nothing was stopped then. What goes wrong later is in the report.
    """
    before = _trading_state(portal, plan)
    if before != "ACTIVE":
        raise DrillFailed(f"{plan.account_id} is {before} already: a drill begins where trading goes on")
    drill = _Drill(portal, plan)
    try:
        drill.stop()
        drill.see_it_blocked()
        drill.wait_for_the_oms()
        drill.re_enable()
    except (DrillFailed, KeyboardInterrupt) as error:
        drill.report.problem = drill.unfinished(str(error) or "interrupted")
    return drill.report


class _Drill:
    """A drill under way: each step adds to the report, or raises DrillFailed."""

    def __init__(self, portal: Portal, plan: Plan) -> None:
        self._portal, self._plan = portal, plan
        self._called_s = 0.0
        self.report = Report(account_id=plan.account_id, unwind=plan.unwind, steps=[])

    def stop(self) -> None:
        """Call the stop, as its trigger `drill`."""
        plan = self._plan
        self._called_s = time.perf_counter()
        stop = self._portal.post(
            _STOP,
            {
                "reason": _REASON,
                "triggered_by": plan.triggered_by,
                "scope": {"type": "account", "id": plan.account_id},
                "unwind": plan.unwind,
                "drill": True,
            },
        )
        self.report.stop_id, self.report.returned_ms = stop["stop_id"], self._since_ms()
        self._add("the call returned", f"{stop['state']} {plan.account_id}, recorded: {_yes(stop['recorded'])}")
        if not stop["new"]:
            raise DrillFailed("somebody else stopped the account at the same time")

    def see_it_blocked(self) -> None:
        """Ask about orders, none of which may pass."""
        for number in range(CHECKS):
            state = _trading_state(self._portal, self._plan)
            if state != "HALTED":
                raise DrillFailed(f"check {number + 1} of {CHECKS} found it {state}: the stop is not everywhere")
        self._add("all blocked", f"{CHECKS} checks on as many connections")

    def wait_for_the_oms(self) -> None:
        """Wait until the stop is completed, and take over what its record tells."""
        until_s = time.perf_counter() + self._plan.within_s
        while (found := self._recorded())["status"] != "completed":
            if time.perf_counter() > until_s:
                raise DrillFailed(f"after {self._plan.within_s:g} s it is {found['status']}: {_left(found)}")
            time.sleep(_PAUSE_S)
        self._take_over(found)

    def re_enable(self) -> None:
        """Lift the stop as somebody else, and see that the account trades."""
        wanted = {"stop_id": self.report.stop_id, "authorized_by": self._plan.authorized_by, "reason": _REASON}
        lifted = self._portal.post(f"{_STOP}/re-enable", wanted)
        if any(each["status"] != "lifted" for each in lifted["results"]):
            raise DrillFailed("it is not lifted: an emergency policy is breached, a second person must approve")
        self._add("re-enabled", f"by {self._plan.authorized_by}")
        state = _trading_state(self._portal, self._plan)
        if state != "ACTIVE":
            raise DrillFailed(f"after it was lifted the account is {state}")
        self._add("trades again", "a check found it ACTIVE")

    def unfinished(self, problem: str) -> str:
        """Return a problem with what is to be done about the stop."""
        if not self.report.stop_id:
            return f"{problem}. Whether the account is stopped is not known: look at {_STOP}."
        if any(step.what == "re-enabled" for step in self.report.steps):
            return f"{problem}."
        return f"{problem}. Stop {self.report.stop_id} is left in force: lift it once that is put right."

    def _recorded(self) -> dict[str, Any]:
        """Return the stop as it is on record; one that is not there yet is as good as just called."""
        rows = self._portal.get(f"{_STOP}/history", scope="account", scope_id=self._plan.account_id)["results"]
        unknown: dict[str, Any] = {"status": "not recorded", "residuals": [], "steps": []}
        return next((row for row in rows if row["stop_id"] == self.report.stop_id), unknown)

    def _take_over(self, found: dict[str, Any]) -> None:
        """Add the timeline of the record: by its own clock, from the moment when it was asked for."""
        began = datetime.fromisoformat(found["steps"][0]["at"])
        for step in found["steps"]:
            after_ms = (datetime.fromisoformat(step["at"]) - began).total_seconds() * 1e3
            self.report.steps.append(Step(after_ms=after_ms, what=step["what"], detail=step["detail"] or ""))
            if step["what"] == "in_force":
                self.report.in_force_ms = after_ms
        self.report.steps.sort(key=lambda step: step.after_ms)

    def _add(self, what: str, detail: str) -> None:
        self.report.steps.append(Step(after_ms=self._since_ms(), what=what, detail=detail))

    def _since_ms(self) -> float:
        return (time.perf_counter() - self._called_s) * 1e3


def _trading_state(portal: Portal, plan: Plan) -> str:
    """Return what a check that reserves nothing finds the account to be."""
    order = {
        "order_id": f"drill-{uuid4()}",
        "account_id": plan.account_id,
        "symbol": plan.symbol,
        "side": "BUY",
        "quantity": "1",
        "what_if": True,
    }
    decision = portal.post("/risk/check", order)
    if decision["reason"] == "unknown_account":
        raise DrillFailed(f"there is no account {plan.account_id}")
    return str(decision["trading_state"])


def _answered(method: str, path: str, ask: Callable[[], httpx.Response]) -> Any:
    try:
        answer = ask()
    except httpx.HTTPError as error:
        raise DrillFailed(f"{method} {path}: {str(error) or type(error).__name__}") from None
    if not answer.is_success:
        raise DrillFailed(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
    return answer.json()


def _left(found: dict[str, Any]) -> str:
    left = [f"{each.get('account_id')}: {each.get('why')}" for each in found["residuals"] or ()]
    return "; ".join(left) or "the OMS has not answered"


def _yes(value: object) -> str:
    return "yes" if value else "no"
