"""What private servers have in common: a directory, a process and the promise to leave neither behind."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import tempfile
import time
import weakref
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict

from devtools import leftovers
from devtools.ports import PortReservation

START_SECONDS = 60.0
STOP_SECONDS = 30.0


class ServerError(RuntimeError):
    """A private server could not be started or stopped; the message says why, with the end of its log."""


class PrivateServer(ABC):
    """One server process on a free port of 127.0.0.1, with its data under `.services/<unique>/`.

    The address is settled when the object is made, before the server runs, and stays the same for its life.
    Use it as a context manager, or call `close`; whatever is forgotten is closed when the object is collected
    or the interpreter ends, and what a killed interpreter leaves is closed by the next server that is made.

    Raises
    ------
    ServerError
        The programs of the server are not installed.
    """

    name: str
    _stop_signal: signal.Signals

    def __init__(self) -> None:
        leftovers.sweep()
        self._user = self._run_as()
        self._reservation = PortReservation()
        self.port = self._reservation.port
        self.directory = leftovers.claim(self.name)
        self.log_path = self.directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        # The finalizer may not hold `self`: it takes what is needed from this box.
        self._running: list[subprocess.Popen[bytes]] = []
        self._finalizer = weakref.finalize(
            self, _close_forgotten, os.getpid(), self._running, self.directory, self._reservation
        )

    @property
    @abstractmethod
    def url(self) -> str:
        """The address as Django, Celery and the drivers take it, with a password of this server's own."""

    @property
    def pid(self) -> int | None:
        """The process id of the server, or None when it does not run."""
        return self._process.pid if self.is_running and self._process else None

    @property
    def is_running(self) -> bool:
        """Whether the process is alive (it may not answer yet, or not any more)."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server and return when it answers. Does nothing when it runs.

        Raises
        ------
        ServerError
            It ended at once, or did not answer within a minute.
        """
        if self.is_running:
            return
        if not self._finalizer.alive:
            raise ServerError(f"this {self.name} is closed; make a new one")
        self._prepare()
        self._reservation.release()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd="/",
                env={**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C at the terminal is for the tests; they stop us after
                **as_user(self._user),
            )
        self._running[:] = [self._process]
        leftovers.note_process(self.directory, self._process.pid)
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop the server as an operator would; it keeps its data. Does nothing when it does not run.

        Raises
        ------
        ServerError
            It had to be killed because it did not stop within half a minute.
        """
        process = self._process
        if process is None or not self.is_running:
            return
        process.send_signal(self._stop_signal)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerError(f"{self.name} did not stop within {STOP_SECONDS:.0f} s and was killed") from None

    def kill(self) -> None:
        """Kill the server with SIGKILL, its helpers included, as a crash would; the data stays as it is."""
        if self._process is not None and self._process.poll() is None:
            kill_family(self._process)

    def restart(self, *, empty: bool = False) -> None:
        """Stop the server if it runs, and start it on the same address.

        Parameters
        ----------
        empty
            Throw its data away in between, as after the loss of a disk.

        Raises
        ------
        ServerError
            As for `start` and `stop`.
        """
        self.stop()
        if empty:
            self._erase()
        self.start()

    def close(self) -> None:
        """Stop the server and remove its data. It cannot be started again."""
        try:
            self.stop()
        finally:
            self._finalizer()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines of the server's log."""
        try:
            return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return "(no log)"

    def _run_as(self) -> pwd.struct_passwd | None:
        """Return the user that the server must run as, or None for our own."""
        return None

    @abstractmethod
    def _prepare(self) -> None:
        """Make the data directory when there is none."""

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the command that runs the server in the foreground."""

    @abstractmethod
    def _answers(self) -> bool:
        """Return whether the server serves requests, in a moment and without raising."""

    @abstractmethod
    def _erase(self) -> None:
        """Remove the data of the server, which does not run."""

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if not self.is_running:
                raise ServerError(f"{self.name} ended while starting. Its log:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} did not answer in {START_SECONDS:.0f} s:\n{self.log_tail()}")
            time.sleep(0.02)


class UserOptions(TypedDict, total=False):
    """The options of `subprocess` that choose the user of a command."""

    user: int
    group: int
    extra_groups: list[int]


def as_user(user: pwd.struct_passwd | None) -> UserOptions:
    """Return the options that run a command as `user` (None: as we are)."""
    if user is None:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def kill_family(process: subprocess.Popen[bytes]) -> None:
    """Kill a process of ours, its children and theirs, and wait until all are gone.

    Only the processes that came of it are meant, by id. They are halted first, so that they start no more.
    """
    itself = leftovers.ProcessId.of(process.pid)
    family = [] if itself is None else leftovers.halt_family(itself)
    process.kill()
    process.wait()
    for each in family:
        leftovers.kill_and_wait(each)


def _close_forgotten(
    owner: int, running: list[subprocess.Popen[bytes]], directory: Path, reservation: PortReservation
) -> None:
    """Kill the server if it still runs and remove its directory; in a fork of the owner, leave both alone."""
    if os.getpid() != owner:
        return
    reservation.release()
    for process in running:
        if process.poll() is None:
            kill_family(process)
    leftovers.remove(directory)


def temporary_directory(prefix: str) -> Path:
    """Make a directory of our own outside the checkout, for servers that may not enter the checkout."""
    return Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir="/tmp"))
