"""The commands that start things, as somebody meets them who holds them wrong."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from riskportal.management.commands.up import _listen
from tests.riskportal.world import World
from tests.support.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    keep = {name: value for name, value in os.environ.items() if not name.startswith("RISK_")}
    keep = {name: value for name, value in keep.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    environment = {**keep, "RISK_ENV_FILE": os.devnull, **settings}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_a_port_that_is_taken_is_named_with_the_way_out():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(CommandError, match="RISK_HTTP_PORT"):
            _listen("127.0.0.1", other.getsockname()[1])


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("no.such.host.invalid", 0)])
def test_an_address_that_is_none_is_refused(host, port):
    with pytest.raises(CommandError, match="cannot serve"):
        _listen(host, port)


def test_up_is_not_for_several_processes(tmp_path):
    done = run(
        "manage.py", "up", RISK_DATA_DIR=str(tmp_path), REDIS_URL="redis://localhost/0", RISK_SECRET_KEY="s" * 40
    )
    assert done.returncode == 1
    assert "make serve" in done.stderr
    assert "Traceback" not in done.stderr


def test_up_says_when_its_directory_is_in_use(tmp_path):
    import fcntl

    (tmp_path / "journal").mkdir()
    with (tmp_path / "journal" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run("manage.py", "up", "--port", "0", RISK_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "another process keeps its journal" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("role", ["web", "asgi", "worker", "beat", "release"])
def test_the_processes_of_production_refuse_to_be_alone(tmp_path, role):
    done = run("-m", "riskportal.serve", role, RISK_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "make run" in done.stderr
    assert "Traceback" not in done.stderr


def test_production_refuses_to_start_without_a_secret(tmp_path):
    done = run("-m", "riskportal.serve", "web", RISK_DATA_DIR=str(tmp_path), REDIS_URL="redis://localhost/0")
    assert done.returncode == 1
    assert "RISK_SECRET_KEY" in done.stderr


class TestRestoreState:
    @pytest.fixture
    def production(self, empty: World, settings) -> World:
        settings.EMBEDDED = False
        return empty

    def restore(self, *arguments: str) -> str:
        out = StringIO()
        call_command("restore_state", *arguments, stdout=out)
        return out.getvalue()

    def test_it_says_what_it_brought_back(self, production):
        assert "restored: book 2, 1 accounts, 0 reservations" in self.restore()
        assert "alive" in self.restore()

    def test_it_says_so_as_json(self, production):
        assert json.loads(self.restore("--json"))["outcome"] == "restored"

    def test_it_says_how_long_approvals_are_held_back(self, production):
        self.restore()
        production.lose(journal=True)
        assert "held back for 60 s" in self.restore()

    def test_it_says_loudly_what_endangers_the_live_state(self, production, monkeypatch):
        monkeypatch.setattr(type(production.store), "warnings", lambda _: ["Redis evicts keys"])
        err = StringIO()
        call_command("restore_state", stdout=StringIO(), stderr=err)
        assert "WARNING: Redis evicts keys" in err.getvalue()

    def test_it_waits_that_long_where_it_is_asked_to(self, production, settings):
        self.restore()
        production.lose(journal=True)
        settings.RISK_RECOVERY_HOLD = timedelta(milliseconds=300)
        assert "restored" in self.restore("--wait")

    def test_an_embedded_process_does_it_by_itself(self, production, settings):
        settings.EMBEDDED = True
        with pytest.raises(CommandError, match="when it starts"):
            self.restore()
