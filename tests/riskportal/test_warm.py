"""What a server process does before its first request."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from riskportal.warm import take_short_turns


@pytest.fixture(autouse=True)
def _turns_as_before():
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


def turns_beside_a_busy_thread(seconds: float) -> int:
    """Return how often this thread had Python while another computed, having let go of it each time."""
    told = threading.Event()

    def compute() -> None:
        while not told.is_set():
            pass

    busy = threading.Thread(target=compute, daemon=True)
    busy.start()
    turns, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0)
        turns += 1
    told.set()
    busy.join()
    return turns


def test_who_answers_orders_has_python_soon_beside_a_busy_thread():
    sys.setswitchinterval(0.005)
    before = turns_beside_a_busy_thread(1.0)
    take_short_turns()
    assert turns_beside_a_busy_thread(1.0) > 2 * before
