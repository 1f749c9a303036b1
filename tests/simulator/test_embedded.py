"""The simulation inside of riskportal's own process."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from riskportal.embedded import Simulation
from simulator.execution import CANCEL_ALL, CLOSE_ALL

COMMAND = json.dumps({"stop_id": "stop-1", "account_id": "desk-1"}).encode()


@pytest.fixture
def simulation() -> Iterator[Simulation]:
    """One whose riskportal is away."""
    made = Simulation("http://127.0.0.1:1", "key", ["desk-1"], rate=10.0, say=lambda _text: None)
    yield made
    made.hear_stop()


def answer(simulation: Simulation, subject: str) -> dict[str, Any]:
    until = time.monotonic() + 10
    while (found := simulation.request(subject, COMMAND)) is None:
        assert time.monotonic() < until, "it does not trade"
        time.sleep(0.01)
    return dict(found)


def test_it_does_what_an_emergency_stop_asks(simulation):
    simulation.start()
    assert answer(simulation, CANCEL_ALL)["remaining"] == 0
    closing = answer(simulation, CLOSE_ALL)
    assert closing["remaining"] == 3, "what it begins with: nobody is there to let it go"
    assert simulation.request(CLOSE_ALL, b'{"stop_id": "stop-1", "account_id": "elsewhere"}') is None
    simulation.stop()
    assert simulation.request(CLOSE_ALL, COMMAND) is None


def test_nobody_answers_before_it_trades(simulation):
    assert simulation.request(CANCEL_ALL, COMMAND) is None
    simulation.start()
    answer(simulation, CANCEL_ALL)
    began = time.monotonic()
    simulation.stop()
    assert time.monotonic() - began < 1.6
