"""What else goes on gives way to orders: other processes, and threads beside the loop of a door."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from riskportal import beat, precedence, serve
from riskportal.celery import app
from riskportal.precedence import SHOWING, WATCHING, give_way

_PYTHONS_OWN_S = 0.005
_ROOT = Path(serve.__file__).parent.parent

# What a process that does not give way weighs, for the system, systemd and Docker.
_WHOLE, _OF_SYSTEMD, _OF_DOCKER = 1024, 100, 1024

# What one step of niceness takes (sched(7)).
_STEP = 1.25

_GIVE_WAY = {"live": SHOWING, "worker": WATCHING, "beat": WATCHING}
_GIVE_NO_WAY = ("web", "asgi", "gateway", "feeds")


@pytest.fixture
def done(monkeypatch):
    """Return what is done in the roles, in its order, instead of serving."""
    done: list[object] = []
    monkeypatch.setattr(serve, "give_way", done.append)
    monkeypatch.setattr(serve, "_serve_asgi", lambda _port: done.append("serves"))
    monkeypatch.setattr(app, "worker_main", lambda _arguments: done.append("serves"))
    monkeypatch.setattr(beat, "main", lambda: done.append("serves"))
    return done


@pytest.mark.parametrize(("role", "steps"), _GIVE_WAY.items())
def test_those_who_watch_and_show_give_way_before_they_begin(done, role, steps):
    serve.ROLES[role]()
    assert done == [steps, "serves"]


def test_whoever_answers_orders_gives_no_way(done):
    serve.asgi()
    assert done == ["serves"]


def test_a_process_that_gives_way_does_so_in_its_session_and_among_all_sessions():
    said = subprocess.run(
        [sys.executable, "-c", _GIVES_WAY],
        cwd=_ROOT,
        start_new_session=True,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    niceness = min(os.nice(0) + 5, 19)
    assert said[0] == f"{niceness}"
    # A system that does not weigh sessions says nothing of them.
    assert said[1].endswith(f"nice {niceness}") or said[1] == "none"


_GIVES_WAY = """
import os
from riskportal.precedence import _SESSION, give_way
give_way(5)
print(os.nice(0))
print(_SESSION.read_text().strip() if _SESSION.exists() else "none")
"""


class _Session:
    """What a session weighs, which cannot be said `refusals` times."""

    def __init__(self, *refusals: OSError) -> None:
        self._refusals = list(refusals)
        self.said: list[str] = []

    def write_text(self, text: str) -> None:
        if self._refusals:
            raise self._refusals.pop()
        self.said.append(text)


def _given_way(monkeypatch, session: _Session, *, is_leader: bool = True) -> _Session:
    monkeypatch.setattr(os, "nice", lambda steps: 1 + steps)
    monkeypatch.setattr(os, "getsid", lambda _pid: os.getpid() + (not is_leader))
    monkeypatch.setattr(precedence, "_SESSION", session)
    monkeypatch.setattr(precedence, "_PAUSE_S", 0)
    give_way(4)
    return session


def test_the_session_of_somebody_else_is_left_alone(monkeypatch):
    assert _given_way(monkeypatch, _Session(), is_leader=False).said == []


def test_where_others_say_so_at_the_same_time_it_is_said_again(monkeypatch):
    assert _given_way(monkeypatch, _Session(BlockingIOError(), BlockingIOError())).said == ["5"]


def test_where_it_never_can_be_said_the_log_has_it_and_the_process_goes_on(monkeypatch, caplog):
    assert _given_way(monkeypatch, _Session(*[BlockingIOError()] * 1000)).said == []
    assert "could not give way" in caplog.text


def test_where_it_may_not_be_said_the_log_has_why(monkeypatch, caplog):
    assert _given_way(monkeypatch, _Session(PermissionError("not here"))).said == []
    assert "not here" in caplog.text


def test_where_sessions_are_not_weighed_niceness_does(monkeypatch, caplog):
    assert _given_way(monkeypatch, _Session(FileNotFoundError())).said == []
    assert not caplog.records


@pytest.mark.parametrize("role", [*_GIVE_WAY, *_GIVE_NO_WAY])
def test_units_of_systemd_weigh_the_same(role):
    unit = (_ROOT / "deploy/systemd" / f"riskportal-{role}.service").read_text()
    said = [int(line.partition("=")[2]) for line in unit.splitlines() if line.startswith("CPUWeight=")]
    assert (said or [_OF_SYSTEMD]) == [_weight(role, _OF_SYSTEMD)]


@pytest.mark.parametrize("role", [*_GIVE_WAY, *_GIVE_NO_WAY])
def test_containers_weigh_the_same(role):
    services = yaml.safe_load((_ROOT / "docker-compose.yml").read_text())["services"]
    assert services[role].get("cpu_shares", _OF_DOCKER) == _weight(role, _OF_DOCKER)


def _weight(role: str, whole: int) -> int:
    return round(whole / _STEP ** _GIVE_WAY.get(role, 0))


def test_threads_beside_the_loop_that_answers_orders_take_short_turns():
    importlib.import_module("riskportal.asgi")
    assert sys.getswitchinterval() < _PYTHONS_OWN_S
