"""The simulation inside of riskportal's own process: a peer on the bus there."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bus.asking import Unanswered, ask_all
from riskportal.embedded import Simulation
from simulator.execution import CANCEL_ALL, CLOSE_ALL
from tests.support.patience import PATIENCE_S

COMMAND = json.dumps({"stop_id": "stop-1", "account_id": "desk-1"}).encode()
ELSEWHERE = json.dumps({"stop_id": "stop-1", "account_id": "elsewhere"}).encode()


@pytest.fixture
def simulation(settings) -> Iterator[Simulation]:
    """One whose riskportal is away."""
    settings.EMBEDDED, settings.NATS_URL = True, ""
    made = Simulation("http://127.0.0.1:1", "key", ["desk-1"], rate=10.0, say=lambda _text: None)
    yield made
    made.hear_stop()


def asked(subject: str, payload: bytes = COMMAND, *, within_s: float = PATIENCE_S) -> dict[str, Any] | Unanswered:
    (found,) = ask_all([(subject, payload)], within_s=within_s)
    return found if isinstance(found, Unanswered) else json.loads(found)


def answer(subject: str) -> dict[str, Any]:
    until = time.monotonic() + PATIENCE_S
    while isinstance(found := asked(subject), Unanswered):
        assert time.monotonic() < until, "it does not trade"
        time.sleep(0.01)
    return found


def until_nobody_listens() -> None:
    until = time.monotonic() + PATIENCE_S
    while asked(CLOSE_ALL, within_s=0.2) != Unanswered("nobody listens"):
        assert time.monotonic() < until, "it does not end"


def test_it_does_what_an_emergency_stop_asks(simulation):
    simulation.start()
    assert answer(CANCEL_ALL)["remaining"] == 0
    closing = answer(CLOSE_ALL)
    assert closing["remaining"] == 3, "what it begins with: nobody is there to let it go"
    assert asked(CLOSE_ALL, ELSEWHERE, within_s=0.2) == Unanswered("no answer within 0.2 s")
    simulation.stop()
    until_nobody_listens()


def test_nobody_answers_before_it_trades(simulation):
    assert asked(CANCEL_ALL) == Unanswered("nobody listens")
    simulation.start()
    answer(CANCEL_ALL)
    simulation.stop()
