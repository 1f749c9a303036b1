"""Processes of riskportal itself, started with an environment of their own and stopped without fail."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from bench.machine import ROOT, Used, used_by
from devtools import leftovers
from devtools.ports import HOST, PortReservation
from devtools.processes import kill_family

_START_S = 60.0
_STOP_S = 20.0
_OURS = {
    "DJANGO_SETTINGS_MODULE": "riskportal.settings",
    "PYTHONPATH": str(ROOT),
    "RISK_ENV_FILE": os.devnull,
}


class ProcessFailed(RuntimeError):
    """A process did not start, or ended before its time; the message has the end of its log."""


class Process:
    """One process that serves, with its log; whatever happens, it does not outlive us.

    Parameters
    ----------
    name
        For messages.
    command
        What to run, as a list.
    environment
        Its whole environment.
    says
        What stands in its log once it serves; empty: it serves when its port of 127.0.0.1 is open.

    In command and environment, `{port}` stands for the port.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], *, says: str = "") -> None:
        leftovers.sweep()
        self.name = name
        self._reservation = PortReservation()
        self.port = self._reservation.port
        self._command = [self._with_port(part) for part in command]
        self._environment = {name: self._with_port(value) for name, value in environment.items()}
        self._says = says.encode()
        self._directory = leftovers.claim("process")
        self._log_start = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """`http://127.0.0.1:port`."""
        return f"http://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """The process id; a server may have children besides."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def used(self) -> Used:
        """Return what it has used until now, its children included."""
        return used_by(self.pid)

    def start(self) -> None:
        """Start it and return when it serves. Raises ProcessFailed with its log where it does not."""
        self._reservation.release()
        with (self._directory / "log").open("ab") as log:
            self._log_start = log.tell()  # what an earlier start has said is no sign of this one
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C at the terminal is for us; we stop it after
            )
        leftovers.note_process(self._directory, self._process.pid)
        try:
            self._wait_until_it_serves()
        except BaseException:
            self.kill()
            raise

    def begin_to_stop(self) -> None:
        """Tell it to end, and return at once."""
        assert self._process is not None, f"{self.name} was not started"
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Return its exit code once it has ended. Raises ProcessFailed where it does not end in time."""
        assert self._process is not None, f"{self.name} was not started"
        try:
            return self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            raise ProcessFailed(f"{self.name} did not end in time. Its log:\n{self.log_tail()}") from None

    def kill(self) -> None:
        """Kill it with SIGKILL, its children included, as a crash would."""
        if self._process is not None and self._process.poll() is None:
            kill_family(self._process)

    def close(self) -> None:
        """Stop it as an operator would, by force where that takes too long, and remove its log."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
        self._reservation.release()
        leftovers.remove(self._directory)

    def log_tail(self, lines: int = 25) -> str:
        """Return the last lines of its log."""
        try:
            text = (self._directory / "log").read_text(errors="replace")
        except FileNotFoundError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _with_port(self, text: str) -> str:
        return text.replace("{port}", str(self.port))

    def _wait_until_it_serves(self) -> None:
        deadline = time.monotonic() + _START_S
        assert self._process is not None
        while not self._serves():
            if self._process.poll() is not None:
                raise ProcessFailed(f"{self.name} ended while starting. Its log:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ProcessFailed(f"{self.name} did not serve in time. Its log:\n{self.log_tail()}")
            time.sleep(0.05)

    def _serves(self) -> bool:
        if self._says:
            return self._says in (self._directory / "log").read_bytes()[self._log_start :]
        try:
            socket.create_connection((HOST, self.port), 1.0).close()
        except OSError:
            return False
        return True


def clean_environment(**settings: str) -> dict[str, str]:
    """Return our environment without what a developer's shell says of riskportal, and with these settings."""
    foreign = ("RISK_", "DATABASE_URL", "REDIS_URL", "MARKET_REDIS_URL", "NATS_URL", "DJANGO_", "COV_", "PYTEST_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | _OURS | settings
