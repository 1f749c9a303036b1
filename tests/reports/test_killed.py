"""Processes that make reports: killed outright they leave nothing that looks complete, and another makes the report."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from reports import background
from reports.background import expire, run_next, spawn
from reports.making import make
from reports.models import Report, State
from tests.reports.subjects import Numbers, again, ask, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.fault]

ROOT = Path(__file__).parents[2]
# Makes the report of the arguments with rows that never end, or with three.
MAKE = """
import sys, time, uuid
import django; django.setup()
from reports.datasets import DATASETS
from reports.exporters import EXPORTERS
from reports.making import make
from tests.reports.subjects import Lines, Numbers
numbers = Numbers()
if sys.argv[3] == "slow":
    numbers.rows_there = 10**9
    numbers.on_row = lambda: time.sleep(0.001)
DATASETS[numbers.name], EXPORTERS[Lines.suffix] = numbers, Lines()
make(uuid.UUID(sys.argv[1]), int(sys.argv[2]))
"""


@pytest.fixture(autouse=True)
def _numbers(numbers: Numbers, large: None) -> None:
    """Every test here has them, and none is made at once."""


@pytest.fixture
def env(tmp_path, postgres_server) -> dict[str, str]:
    """The environment of a process on the database of this test."""
    address = f"{postgres_server.url.rpartition('/')[0]}/{connection.settings_dict['NAME']}"
    return {**os.environ, "DATABASE_URL": address, "RISK_DATA_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}


@contextmanager
def making(report: Report, env: dict[str, str], how: str = "slow") -> Iterator[subprocess.Popen[bytes]]:
    """Take the report and make it in a process."""
    begun: list[tuple[object, int]] = []
    assert run_next(timezone.now() + timedelta(minutes=report.attempt), lambda *one: begun.append(one))
    key, attempt = begun[0]
    command = [sys.executable, "-c", MAKE, str(key), str(attempt), how]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def left(stored: Path) -> list[str]:
    return [path.name for path in stored.rglob("*") if path.is_file()]


def test_one_that_is_killed_leaves_nothing_that_looks_complete(env, stored):
    report = ask()
    with making(report, env) as process:
        until(lambda: again(report).done > 100)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (again(report).state, again(report).sha256, again(report).stored_as) == (State.RUNNING, "", "")
    assert [path.parent.name for path in stored.rglob("*.txt")] == ["unfinished"]
    assert run_next(timezone.now() + timedelta(minutes=1), make)
    assert again(report).state == State.DONE
    expire(timezone.now())
    assert left(stored) == [again(report).stored_as]


def test_one_that_is_cancelled_ends_by_itself(env, stored):
    report = ask()
    with making(report, env) as process:
        until(lambda: again(report).done > 100)
        Report.objects.filter(pk=report.pk).update(state=State.CANCELLED)
        assert process.wait(60) == 0
    assert left(stored) == []


def test_one_that_is_frozen_and_wakes_when_another_has_made_it_changes_nothing(env, stored):
    report = ask()
    with making(report, env) as process:
        until(lambda: again(report).done > 100)
        process.send_signal(signal.SIGSTOP)
        assert run_next(timezone.now() + timedelta(minutes=1), make)
        made = again(report)
        process.send_signal(signal.SIGCONT)
        assert process.wait(60) == 0
    assert again(report).sha256 == made.sha256
    assert again(report).state == State.DONE
    assert left(stored) == [made.stored_as]


def test_the_worker_starts_a_process_that_ends_when_it_is_told_to(env, monkeypatch):
    report = ask()
    monkeypatch.setattr(os, "environ", env)
    assert run_next(timezone.now(), spawn)
    (child,) = background._children
    # It knows no report of this name, which is told like every failure.
    assert child.wait(60) == 0
    assert again(report).state == State.FAILED
    assert "KeyError" in again(report).problem
    assert not run_next(timezone.now())
    assert background._children == []
