"""The parts of the benchmark, each of which adds its figures to the results."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

import msgspec
from msgspec import Struct

from bench import batch, hostile, stop, world
from bench.doors import ASGI, FLOOR, NATS, WSGI, door
from bench.drain import Drained
from bench.evidence import Evidence
from bench.exports import Exports
from bench.hostile import Others, Refusals
from bench.installation import Founded, Installation, Rows
from bench.live import Pages
from bench.machine import ROOT, Cores, on_core, on_either, pin
from bench.monitor import Monitored
from bench.officers import Officers
from bench.open_loop import Latencies
from bench.preview import Previews
from bench.processes import Process, clean_environment
from bench.results import BatchRow, HostileRow, OpenRow, Results, Row
from bench.stages import Stage
from bench.world import NotWhatWasAsked, World
from bench.wrk import Load, NatsLoad, Run
from devtools.nats_server import NatsServer
from devtools.ports import HOST
from devtools.servers import PostgresServer, RedisServer

CONNECTIONS = (1, 8, 32)
HOT_CONNECTIONS = 32
OPEN_RATE = 1000
STOP_CLIENTS = 8
OPEN_CONNECTIONS = 32
HOSTILE_RATE = 300
HOSTILE_CONNECTIONS = 8

_MEGABYTE = 1e6
_GRACE_S = 60.0
_PAUSE_S = 0.01
_LONG_S = 600
_LOOK_S = 15.0  # with what has to change before it


class Plan(Struct, frozen=True, kw_only=True):
    """How much is measured. Every figure of closed-loop load is the median of `rounds` runs of `run_s` seconds.

    `accounts` are looked at by the monitor and by previews, which replay `previewed` decisions. Officers manage as
    many, and `limits`. Of `exported` decisions reports are made, some of them of a tenth; as many are sealed and
    checked.
    """

    rounds: int
    run_s: int
    open_s: float
    stages_s: float
    drain_rows: int
    batches: int
    stops: int
    hostile_s: float
    live_s: float
    live_rounds: int
    accounts: int
    looks: int
    previewed: int
    limits: int
    exported: int


class Bench:
    """riskportal on private servers with every door up, and what is measured on it.

    `say` is told, for people, what is being measured.
    """

    def __init__(self, plan: Plan, cores: Cores, results: Results, say: Callable[[str], None]) -> None:
        self._plan, self._cores, self._results, self._say = plan, cores, results, say
        self._closing = ExitStack()
        self._servers: list[int] = []
        self._doors: dict[str, Process] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            self._closing = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def _start(self, stack: ExitStack) -> None:
        self._say("starting PostgreSQL, Redis, NATS and the doors")
        postgres = stack.enter_context(PostgresServer(durable=True))
        # A rewrite of the append-only file, for which Redis forks, belongs to no single run.
        redis = stack.enter_context(RedisServer(settings={"auto-aof-rewrite-percentage": "0"}))
        nats = stack.enter_context(NatsServer())
        for server in (postgres, redis, nats):
            assert server.pid is not None
            pin(server.pid, self._cores.client)
            self._servers.append(server.pid)
        self._nats_url = nats.url
        self._installation = Installation(
            database_url=postgres.url, redis_url=redis.url, nats_url=nats.url, settings=world.SETTINGS
        )
        stack.callback(self._installation.close)
        self._world = World(self._installation, self._installation.found(world.rows()), redis)
        self._world.reset()
        for kind in (FLOOR, ASGI, WSGI, NATS):
            server_process = door(kind, self._installation.environment, self._cores.server)
            self._doors[kind] = stack.enter_context(server_process)

    # ------------------------------------------------------------------------------------------ the parts
    def checks(self) -> None:
        """Checks per second and latencies of every door, as fast as they go, in turn with the floor."""
        http = Load(self._world, self._cores.client, run_s=self._plan.run_s)
        nats = NatsLoad(self._world, self._cores.client, run_s=self._plan.run_s, url=self._nats_url)
        loads = {kind: nats if kind == NATS else http for kind in self._doors}
        kinds = [(kind, count, world.ACCOUNTS) for kind in self._doors for count in CONNECTIONS]
        kinds += [(kind, HOT_CONNECTIONS, 1) for kind in (ASGI, WSGI, NATS)]
        runs: dict[tuple[str, int, int], list[Run]] = {each: [] for each in kinds}
        for kind in (ASGI, WSGI, NATS):
            loads[kind].verify(self._doors[kind])
        for number in range(self._plan.rounds):
            self._say(f"checks as fast as they go, round {number + 1} of {self._plan.rounds}")
            for each in kinds:
                kind, connections, accounts = each
                decides = kind != FLOOR
                runs[each].append(loads[kind].run(self._doors[kind], connections, accounts, decides=decides))
        middle = {each: Run.middle_of(of_each) for each, of_each in runs.items()}
        for (kind, connections, accounts), run in middle.items():
            floor = middle.get((FLOOR, connections, accounts))
            self._results.closed.append(
                Row(
                    door=kind,
                    connections=connections,
                    accounts=accounts,
                    run=run,
                    share_of_floor=None if floor is None else run.per_second / floor.per_second,
                )
            )

    def open_loop(self) -> None:
        """Latencies at a constant rate, while the journal is drained every second as in production."""
        with self._draining():
            for kind in (FLOOR, ASGI, WSGI, NATS):
                self._say(f"{OPEN_RATE} orders a second, {kind}")
                self._results.open.append(self._at_rate(kind))

    def _at_rate(self, kind: str) -> OpenRow:
        server = self._doors[kind]
        self._world.reset()
        before = server.used().cpu_s
        run: tuple[str, ...]
        if kind == NATS:
            run = ("bench.nats_load", "open", self._nats_url, str(OPEN_RATE), str(self._plan.open_s))
        else:
            run = ("bench.open_loop", *self._rate_of(server, OPEN_RATE, self._plan.open_s))
        content = self._run(self._cores.client, *run, sent=self._world.key)
        left = self._world.store.journal_length(0)
        self._world.settle()
        after, latencies = server.used(), msgspec.json.decode(content, type=Latencies)
        if kind != FLOOR and latencies.approved != latencies.answered:
            raise NotWhatWasAsked(f"{server.name}: not approved: {latencies.example}")
        return OpenRow(
            door=kind,
            rate=OPEN_RATE,
            latencies=latencies,
            cpu_us=(after.cpu_s - before) / latencies.answered * 1e6,
            rss_mb=after.rss / _MEGABYTE,
            journal_left=left,
        )

    def batches(self) -> None:
        """Batches of 1,000 orders, of many accounts and of one."""
        for kind in (ASGI, WSGI):
            for accounts in (world.ACCOUNTS, 1):
                self._say(f"batches of {batch.ORDERS} orders of {accounts} accounts, {kind}")
                found = batch.measure(self._doors[kind], self._world, accounts=accounts, batches=self._plan.batches)
                self._results.batch.append(BatchRow(door=kind, batches=found))

    def stages(self) -> None:
        """CPU time of each stage of a check, in one process."""
        self._say("the stages of a check")
        self._world.reset()
        content = self._run(self._cores.server, "bench.stages", str(self._plan.stages_s))
        self._results.stages = msgspec.json.decode(content, type=list[Stage])

    def drain(self) -> None:
        """Decisions a second from the journal into PostgreSQL."""
        self._say("the journal into PostgreSQL")
        self._world.reset()
        content = self._run(self._cores.server, "bench.drain", str(self._plan.drain_rows))
        self._results.drain = msgspec.json.decode(content, type=Drained)

    def stop(self) -> None:
        """How long a stop takes while clients of every door ask as fast as they can; no order may be approved in it."""
        self._say(f"{self._plan.stops} stops")
        self._world.reset()
        with ExitStack() as stack:
            http = Load(self._world, self._cores.client, run_s=0)
            nats = NatsLoad(self._world, self._cores.client, run_s=0, url=self._nats_url)
            for kind, load in ((ASGI, http), (WSGI, http), (NATS, nats)):
                stack.enter_context(self._storm(kind, load))
            calls = stop.call([self._doors[WSGI], self._doors[ASGI]], self._world, stops=self._plan.stops)
        self._world.settle()
        self._results.stop = stop.judge(calls, self._world)

    def monitor(self) -> None:
        """How long the monitor takes to look at ten thousand accounts."""
        self._say(f"the monitor, {self._plan.accounts:,} accounts")
        self._world.reset()
        content = self._run(self._cores.server, "bench.monitor", str(self._plan.accounts), str(self._plan.looks))
        self._results.monitor = msgspec.json.decode(content, type=Monitored)

    def preview(self) -> None:
        """How long the preview of a changed limit takes."""
        self._say(f"previews of {self._plan.previewed:,} decisions and {self._plan.accounts:,} accounts")
        self._world.reset()
        counts = str(self._plan.previewed), str(self._plan.accounts)
        content = self._run(self._cores.server, "bench.preview", *counts)
        self._results.preview = msgspec.json.decode(content, type=Previews)

    def live(self) -> None:
        """What browsers wait for, what they cost, and what checks notice of them."""
        plan = self._plan
        pages = Pages(self._installation, self._world, self._doors, seconds=plan.live_s, rounds=plan.live_rounds)
        doors = [each.pid for each in self._doors.values()]
        with on_either(self._cores, servers=doors, clients=[os.getpid(), *self._servers]):
            self._results.live = pages.measure(self._say)

    def officers(self) -> None:
        """How long officers wait where there are many limits and accounts, on an installation of its own."""
        self._say(f"officers, {self._plan.limits:,} limits and {self._plan.accounts:,} accounts")
        counts = str(self._plan.limits), str(self._plan.accounts)
        with self._apart(self._cores.client, Rows(), {}) as (installation, _, _):
            found = self._run_apart(installation, "bench.officers", *counts)
        self._results.officers = msgspec.json.decode(found, type=Officers)

    def reports(self) -> None:
        """How long reports take, with the database on the same core, on an installation of its own."""
        self._say(f"reports of {self._plan.exported:,} decisions")
        counts = str(self._plan.exported), str(self._plan.exported // 10)
        with self._apart(self._cores.server, world.rows(), world.SETTINGS) as (installation, founded, redis):
            World(installation, founded, redis).reset()
            found = self._run_apart(installation, "bench.exports", *counts)
        self._results.exports = msgspec.json.decode(found, type=Exports)

    def evidence(self) -> None:
        """How long it takes to seal and to check evidence, with the database on the same core."""
        self._say(f"evidence: {self._plan.exported:,} decisions sealed and checked")
        with self._apart(self._cores.server, world.rows(), world.SETTINGS) as (installation, founded, redis):
            World(installation, founded, redis).reset()
            found = self._run_apart(installation, "bench.evidence", str(self._plan.exported))
        self._results.evidence = msgspec.json.decode(found, type=Evidence)

    def hostile(self) -> None:
        """What one hostile client is answered, and what it does to the checks of the others."""
        for kind in (ASGI, WSGI):
            self._say(f"a hostile client, {kind}")
            server = self._doors[kind]
            hostile.refuses_all(server, self._world)
            alone, _ = self._others(server, beside=False)
            beside, refusals = self._others(server, beside=True)
            others = Others(alone=alone, beside=beside)
            self._results.hostile.append(HostileRow(door=kind, refusals=refusals, others=others))

    def _others(self, server: Process, *, beside: bool) -> tuple[Latencies, list[Refusals]]:
        """Return what other clients' checks took, and how the hostile client's were refused meanwhile, if it is there.

        Raises NotWhatWasAsked unless each check of the others was approved, and nothing else was decided.
        """
        self._world.reset()
        run = self._rate_of(
            server, HOSTILE_RATE, self._plan.hostile_s, HOSTILE_CONNECTIONS, accounts=world.ACCOUNTS - 1
        )
        with self._load(run) as load:
            while not self._world.store.journal_length(0) and load.poll() is None:
                time.sleep(_PAUSE_S)
            refusals = hostile.refusals(server, self._world, while_=lambda: load.poll() is None) if beside else []
            content, _ = load.communicate(timeout=self._plan.hostile_s + _GRACE_S)
        self._world.settle()
        latencies, tally = msgspec.json.decode(content, type=Latencies), self._world.tally()
        if latencies.unanswered or latencies.approved != latencies.answered:
            raise NotWhatWasAsked(f"{server.name}: {latencies.unanswered} unanswered, or not: {latencies.example}")
        if (tally.decided, tally.approved) != (latencies.approved, latencies.approved):
            raise NotWhatWasAsked(f"{server.name}: {latencies.approved} checks were answered, but there are {tally}")
        return latencies, refusals

    # ------------------------------------------------------------------------------------------ processes
    @contextmanager
    def _apart(
        self, core: int, rows: Rows, settings: Mapping[str, str]
    ) -> Iterator[tuple[Installation, Founded, RedisServer]]:
        """Found an installation of its own, with its servers on a core, until the block ends."""
        with PostgresServer(durable=True) as postgres, RedisServer() as redis, ExitStack() as stack:
            for server in (postgres, redis):
                assert server.pid is not None
                pin(server.pid, core)
            installation = Installation(database_url=postgres.url, redis_url=redis.url, settings=settings)
            stack.callback(installation.close)
            yield installation, installation.found(rows), redis

    def _run_apart(self, installation: Installation, module: str, *arguments: str) -> bytes:
        """Run a module of ours on the server's core in an installation, however long it takes; return its last line."""
        command = on_core(self._cores.server, [sys.executable, "-m", module, *arguments])
        done = subprocess.run(command, env=installation.environment, stdout=subprocess.PIPE, check=False)
        if done.returncode:
            raise NotWhatWasAsked(f"{module} ended with {done.returncode}")
        return done.stdout.splitlines()[-1]

    def _run(self, core: int, module: str, *arguments: str, sent: str = "") -> bytes:
        """Run a module of ours on a core under the settings and return what it wrote."""
        done = subprocess.run(
            on_core(core, [sys.executable, "-m", module, *arguments]),
            env=self._installation.environment,
            input=sent.encode(),
            capture_output=True,
            timeout=self._plan.open_s + self._plan.stages_s + self._plan.looks * _LOOK_S + _GRACE_S,
            check=False,
        )
        if done.returncode:
            raise NotWhatWasAsked(f"{module} ended with {done.returncode}:\n{done.stderr.decode()[-3000:]}")
        return done.stdout

    @staticmethod
    def _rate_of(
        server: Process,
        rate: int,
        seconds: float,
        connections: int = OPEN_CONNECTIONS,
        *,
        accounts: int = world.ACCOUNTS,
    ) -> tuple[str, ...]:
        """Return the arguments of the open loop against a server."""
        return HOST, str(server.port), str(rate), str(seconds), str(connections), str(accounts)

    @contextmanager
    def _load(self, run: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
        """Run the open loop with these arguments beside the block."""
        with self._started("bench.open_loop", *run, output=subprocess.PIPE) as load:
            assert load.stdin is not None
            load.stdin.write(f"{self._world.key}\n".encode())
            load.stdin.flush()
            yield load

    @contextmanager
    def _storm(self, kind: str, load: Load) -> Iterator[None]:
        """Ask a door as fast as it answers, beside the block."""
        command = load.command(self._doors[kind], STOP_CLIENTS, world.ACCOUNTS, _LONG_S, verify=False)
        with subprocess.Popen(
            command, cwd=ROOT, env=clean_environment(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        ) as process:
            assert process.stdin is not None
            try:
                process.stdin.write(f"{self._world.key}\n".encode())
                process.stdin.close()
                yield
                if process.poll() is not None:
                    raise NotWhatWasAsked(f"the load over {kind} ended by itself")
            finally:
                process.terminate()

    @contextmanager
    def _draining(self) -> Iterator[None]:
        """Drain the journal every second, in a process of its own beside the load, until the block ends."""
        with self._started("bench.drain", "follow") as process:
            yield
            if process.poll() is not None:
                raise NotWhatWasAsked("the drain ended by itself")

    @contextmanager
    def _started(
        self, module: str, *arguments: str, output: int = subprocess.DEVNULL
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a module of ours beside the load, in a session of its own as a service is, until the block ends."""
        with subprocess.Popen(
            on_core(self._cores.client, [sys.executable, "-m", module, *arguments]),
            env=self._installation.environment,
            stdin=subprocess.PIPE,
            stdout=output,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                process.terminate()
