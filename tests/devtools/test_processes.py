"""Whoever is killed takes all that came of it along."""

from __future__ import annotations

import subprocess
import time

from devtools import leftovers
from devtools.leftovers import ProcessId
from devtools.processes import kill_family
from tests.support.patience import PATIENCE_S

# A shell, its child in a session of its own, and that one's child: as process managers start their processes.
GENERATIONS = "setsid sh -c 'sleep 600 & wait' & wait"


def descendants(pid: int) -> list[ProcessId]:
    found = leftovers.children_of(pid)
    return found + [deeper for child in found for deeper in descendants(child.pid)]


def test_children_of_children_are_killed_too():
    process = subprocess.Popen(["sh", "-c", GENERATIONS])
    until = time.monotonic() + PATIENCE_S
    while len(family := descendants(process.pid)) < 2:
        assert time.monotonic() < until, "they did not start"
        time.sleep(0.01)
    kill_family(process)
    assert process.returncode is not None
    assert [each for each in family if each.alive] == []
