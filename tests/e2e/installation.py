"""Whole installations as processes, started and ended like an operator does, on ports and data of their own."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from devtools import leftovers
from devtools.ports import PortReservation
from devtools.processes import kill_family
from devtools.servers import PostgresServer, RedisServer
from tests.support.patience import PATIENCE_S, PATIENT

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent

T = TypeVar("T")


def wait_for(look: Callable[[], T], *, seconds: float = PATIENCE_S, what: str = "it") -> T:
    """Look until there is something that is true, and return it; what `look` cannot reach is not there yet.

    The longer it takes, the more rarely it looks: what is waited for needs the machine too.
    """
    until, pause_s = time.monotonic() + seconds, 0.02
    while True:
        with contextlib.suppress(httpx.TransportError):
            if found := look():
                return found
        assert time.monotonic() < until, f"{what} was not there within {seconds:.0f} s"
        time.sleep(pause_s)
        pause_s = min(1.3 * pause_s, 0.25)


def until_approved(ask: Callable[[], httpx.Response], *, what: str) -> None:
    """Ask until an order is approved; where none is, what was answered last is told."""
    last = "none"

    def approved() -> bool:
        nonlocal last
        answer = ask()
        last = f"{answer.status_code} {answer.text}"
        return bool(answer.json().get("approved"))

    try:
        wait_for(approved, what=f"an approval by {what}")
    except AssertionError as error:
        raise AssertionError(f"{error}; the last answer was {last}") from None


def free_port() -> int:
    held = PortReservation()
    held.release()
    return held.port


def environment(data: Path, **settings: str) -> dict[str, str]:
    """Return the environment of an installation: nothing of the settings of this run is in it."""
    foreign = ("DATABASE_URL", "REDIS_URL", "MARKET_REDIS_URL", "NATS_URL", "PROMETHEUS_MULTIPROC_DIR")
    kept = {name: value for name, value in os.environ.items() if name[:5] != "RISK_" and name not in foreign}
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": path, "PYTHONUNBUFFERED": "1", "RISK_ENV_FILE": os.devnull, "RISK_DATA_DIR": str(data), **PATIENT}
    return {**kept, **own, **settings}


@dataclass
class Program:
    """A process with its output in a file. Where these tests are killed, the next that start a server end it."""

    process: subprocess.Popen[bytes]
    log: Path
    directory: Path

    @classmethod
    def start(cls, *command: str, env: dict[str, str], log: Path) -> Program:
        directory = leftovers.claim("program")
        with log.open("ab") as out:
            process = subprocess.Popen(
                command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        leftovers.note_process(directory, process.pid)
        return cls(process, log, directory)

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def end(self, number: signal.Signals = signal.SIGINT) -> None:
        """Send a signal and wait until the process has ended."""
        self.process.send_signal(number)
        self.process.wait(PATIENCE_S)
        leftovers.remove(self.directory)

    def kill(self) -> None:
        """Kill it as a crash would, its children included."""
        if self.process.poll() is None:
            kill_family(self.process)
        leftovers.remove(self.directory)


class Client(httpx.Client):
    """A client of the API with a key."""

    def __init__(self, port: int, key: str) -> None:
        super().__init__(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {key}"},
            trust_env=False,
            timeout=PATIENCE_S,
        )

    def check(self, order_id: str, **what: Any) -> httpx.Response:
        order = {"order_id": order_id, "symbol": "BTCUSDT", "side": "BUY", "quantity": "0.001", **what}
        return self.post("/risk/check", json=order)


# ------------------------------------------------------------------------------------------------ embedded
@dataclass
class Embedded:
    """`manage.py up` on a data directory, which outlives it."""

    data: Path
    port: int
    program: Program | None = None

    def start(self, *options: str) -> None:
        """Start it and return when it has said that it runs."""
        log = self.data / "log"
        log.unlink(missing_ok=True)
        self.program = Program.start(
            sys.executable,
            "manage.py",
            "up",
            "--port",
            str(self.port),
            *options,
            env=environment(self.data),
            log=log,
        )
        wait_for(self._runs, what="the start screen")

    def _runs(self) -> bool:
        assert self.program is not None
        assert self.program.process.poll() is None, self.program.said
        return "Everything" in self.program.said or "Embedded:" in self.program.said

    @property
    def running(self) -> Program:
        assert self.program is not None
        return self.program

    def sign_in(self) -> dict[str, str]:
        lines = (self.data / "sign-in.txt").read_text().splitlines()
        return {name: value for name, _, value in (line.partition(": ") for line in lines)}

    def client(self) -> Client:
        return Client(self.port, self.sign_in()["embedded-user"])

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_manage(environment(self.data), *arguments)


@contextlib.contextmanager
def embedded(data: Path) -> Iterator[Embedded]:
    """An embedded installation that is not started yet, and killed at the end if it still runs."""
    data.mkdir(exist_ok=True)
    made = Embedded(data, free_port())
    try:
        yield made
    finally:
        if made.program is not None:
            made.program.kill()


# ---------------------------------------------------------------------------------------------- production
ROLES = ("web", "asgi", "worker", "beat")


@dataclass
class Production:
    """The processes of deploy/Procfile on servers of their own."""

    postgres: PostgresServer
    redis: RedisServer
    data: Path
    env: dict[str, str]
    roles: tuple[str, ...] = ROLES
    program: Program | None = None
    key: str = ""
    others: list[Program] = field(default_factory=list)

    def start(self) -> None:
        """Do the release step, start all processes and return when both doors are ready."""
        done = subprocess.run(
            self._honcho("release"), cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.program = Program.start(*self._honcho(*self.roles), env=self.env, log=self.data / "log")
        for door in ("RISK_HTTP_PORT", "RISK_ASGI_PORT"):
            wait_for(lambda door=door: self._ready(door), what=door)  # type: ignore[misc]

    def add(self, role: str) -> Program:
        """Start one more process of a role, which may end or freeze without the others."""
        log = self.data / f"{role}-{len(self.others)}.log"
        made = Program.start(sys.executable, "-m", "riskportal.serve", role, env=self.env, log=log)
        self.others.append(made)
        return made

    def _honcho(self, *roles: str) -> list[str]:
        return [str(PROGRAMS / "honcho"), "-e", os.devnull, "-f", "deploy/Procfile", "-d", str(ROOT), "start", *roles]

    def _ready(self, door: str) -> bool:
        assert self.program is not None
        assert self.program.process.poll() is None, self.program.said
        return httpx.get(f"http://127.0.0.1:{self.env[door]}/ready", trust_env=False).status_code == 200

    @property
    def wsgi(self) -> Client:
        return Client(int(self.env["RISK_HTTP_PORT"]), self.key)

    @property
    def asgi(self) -> Client:
        return Client(int(self.env["RISK_ASGI_PORT"]), self.key)

    def manage(self, *arguments: str) -> str:
        """Run a command of manage.py and return what it wrote."""
        done = run_manage(self.env, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with self.postgres.connect() as connection:
            return connection.execute(statement.encode(), values).fetchall()


@contextlib.contextmanager
def production(data: Path, *, roles: tuple[str, ...] = ROLES, **settings: str) -> Iterator[Production]:
    """A production installation, running, with an account and a key that may do everything."""
    data.mkdir(exist_ok=True)
    with PostgresServer() as postgres, RedisServer() as redis:
        env = environment(
            data,
            DATABASE_URL=postgres.url,
            REDIS_URL=redis.url,
            RISK_SECRET_KEY=secrets.token_hex(32),
            RISK_HTTP_PORT=str(free_port()),
            RISK_ASGI_PORT=str(free_port()),
            RISK_LIVE_PORT=str(free_port()),
            RISK_HTTPS="false",
            **settings,
        )
        made = Production(postgres, redis, data, env, roles)
        try:
            made.start()
            made.manage("create_account", "desk", "--profile", "aggressive")
            made.key = json.loads(made.manage("create_api_key", "tests", "--can", "admin", "--json"))["key"]
            yield made
        finally:
            for other in made.others:
                other.kill()
            if made.program is not None:
                try:
                    if made.program.process.poll() is None:
                        made.program.end(signal.SIGTERM)
                finally:
                    made.program.kill()


def run_manage(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of manage.py in this environment."""
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)
