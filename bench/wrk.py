"""Closed-loop load: wrk keeps so many connections busy, each asking again as soon as it is answered."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import msgspec

from bench.machine import ROOT, on_core
from bench.nats_load import Closed
from bench.processes import Process, clean_environment
from bench.world import ACCOUNTS, NotWhatWasAsked, World

_SCRIPT = Path(__file__).parent / "check.lua"
_GRACE_S = 30.0
_VERIFY_CONNECTIONS = 8


@dataclass(frozen=True)
class Run:
    """One run: checks per second, latencies, and CPU time per check of the server and of Redis; in microseconds."""

    per_second: float
    p50_us: int
    p99_us: int
    p999_us: int
    cpu_us: float
    redis_cpu_us: float

    @classmethod
    def middle_of(cls, runs: list[Run]) -> Run:
        """Return the median of every figure by itself."""
        return cls(
            per_second=median(run.per_second for run in runs),
            p50_us=round(median(run.p50_us for run in runs)),
            p99_us=round(median(run.p99_us for run in runs)),
            p999_us=round(median(run.p999_us for run in runs)),
            cpu_us=median(run.cpu_us for run in runs),
            redis_cpu_us=median(run.redis_cpu_us for run in runs),
        )


@dataclass(frozen=True)
class Output:
    """What the load counted: answers, how long it ran, and latencies at 50, 99 and 99.9 %, in microseconds."""

    requests: int
    duration_us: int
    percentiles: tuple[int, int, int]


class Load:
    """wrk on one core, against any door."""

    def __init__(self, world: World, core: int, *, run_s: int) -> None:
        self._world, self._core, self._run_s = world, core, run_s
        self._number = 0

    def verify(self, server: Process) -> None:
        """Look into every answer for a second. Raises NotWhatWasAsked unless all are approvals."""
        self._world.reset()
        self._ask(server, _VERIFY_CONNECTIONS, ACCOUNTS, 1, verify=True)

    def run(self, server: Process, connections: int, accounts: int, *, decides: bool) -> Run:
        """Measure; if the server decides, what it decided is counted in the live state.

        Raises NotWhatWasAsked unless every order was decided and approved.
        """
        self._world.reset()
        before, redis_before = server.used().cpu_s, self._world.redis_cpu_s()
        found = self._ask(server, connections, accounts, self._run_s, verify=False)
        cpu_s, redis_cpu_s = server.used().cpu_s - before, self._world.redis_cpu_s() - redis_before
        self._check(found.requests, connections, decides=decides)
        p50, p99, p999 = found.percentiles
        return Run(
            per_second=found.requests / found.duration_us * 1e6,
            p50_us=p50,
            p99_us=p99,
            p999_us=p999,
            cpu_us=cpu_s * 1e6 / found.requests,
            redis_cpu_us=redis_cpu_s * 1e6 / found.requests,
        )

    def command(self, server: Process, connections: int, accounts: int, seconds: int, *, verify: bool) -> list[str]:
        """Return the command that asks as fast as it can."""
        return on_core(
            self._core,
            [
                *("wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"),
                *("--timeout", "10s", "--script", str(_SCRIPT), server.url, "--"),
                *(self._world.key, str(accounts), self._tag(), "verify" if verify else "count"),
            ],
        )

    def _tag(self) -> str:
        """Return what makes the order_ids of a run differ from those of all others."""
        self._number += 1
        return f"r{self._number}"

    def _check(self, answered: int, connections: int, *, decides: bool) -> None:
        """wrk hangs up at the end: what was under way then is committed, but not counted."""
        tally = self._world.tally()
        if decides and tally.approved != tally.decided:
            blocked = self._world.blocked()
            raise NotWhatWasAsked(f"of {tally.decided} orders {tally.approved} were approved; blocked: {blocked}")
        if not answered <= tally.decided <= answered + connections:
            raise NotWhatWasAsked(f"{answered} checks were answered, but {tally.decided} were committed")

    def _ask(self, server: Process, connections: int, accounts: int, seconds: int, *, verify: bool) -> Output:
        command = self.command(server, connections, accounts, seconds, verify=verify)
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + _GRACE_S, check=False, stdin=subprocess.DEVNULL
        )
        line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT\t")), "")
        if done.returncode or not line:
            raise NotWhatWasAsked(f"wrk ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        self._world.settle()
        return _understood(line, server)


def _understood(line: str, server: Process) -> Output:
    _, *numbers, example = line.split("\t")
    requests, duration_us, p50, p99, p999, errors, wrong = map(int, numbers)
    if errors or wrong or not requests:
        raise NotWhatWasAsked(
            f"{server.name}: of {requests} answers {errors} failed and {wrong} of those looked into were no approvals. "
            f"The first: {example or '(not looked into)'}\n{server.log_tail()}"
        )
    return Output(requests, duration_us, (p50, p99, p999))


class NatsLoad(Load):
    """A client of ours on the same core, against the gateway; requests under way stand for connections."""

    def __init__(self, world: World, core: int, *, run_s: int, url: str) -> None:
        super().__init__(world, core, run_s=run_s)
        self._url = url

    def command(self, server: Process, connections: int, accounts: int, seconds: int, *, verify: bool) -> list[str]:
        """Return the command that asks as fast as it can and looks into every answer; the key is its input."""
        arguments = ("closed", self._url, str(connections), str(accounts), str(seconds), f"n{self._tag()}")
        return on_core(self._core, [sys.executable, "-m", "bench.nats_load", *arguments])

    def _ask(self, server: Process, connections: int, accounts: int, seconds: int, *, verify: bool) -> Output:
        done = subprocess.run(
            self.command(server, connections, accounts, seconds, verify=verify),
            cwd=ROOT,
            env=clean_environment(),
            input=self._world.key,
            capture_output=True,
            text=True,
            timeout=seconds + _GRACE_S,
            check=False,
        )
        if done.returncode:
            raise NotWhatWasAsked(f"bench.nats_load ended with {done.returncode}:\n{done.stderr[-3000:]}")
        self._world.settle()
        found = msgspec.json.decode(done.stdout, type=Closed)
        if found.wrong:
            raise NotWhatWasAsked(
                f"{server.name}: {found.wrong} of {found.requests} were no approvals. "
                f"The first: {found.example}\n{server.log_tail()}"
            )
        return Output(found.requests, found.duration_us, (found.p50_us, found.p99_us, found.p999_us))
