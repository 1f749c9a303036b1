"""Browsers on live pages beside checks and reports: what they wait for and cost, and what checks notice of them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from decimal import Decimal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from bench import world
from bench.browsers import SETTLED_S, Received
from bench.doors import ASGI, LIVE, WORKER, WSGI, door
from bench.installation import Installation
from bench.machine import CoreTime
from bench.open_loop import Latencies, percentile_us
from bench.processes import Process
from bench.reporter import Reported
from bench.world import NotWhatWasAsked, World
from devtools.ports import HOST
from riskcore.ports import Load

BROWSERS, FEW = 100, 20
CHECKS_PER_S = 200

_CONNECTIONS = 8
_MEGABYTE = 1e6
_PAUSE_S = 0.1
_GRACE_S = 60.0

_OF_BROWSERS = (
    *("who looks", "frames each", "gaps", "bytes", "delivery p50 ms", "p99 ms", "longest ms"),
    *("a price shown p50 ms", "p99 ms", "CPU of live", "memory MB"),
)
_OF_CHECKS = (
    *("checks beside", "p50 ms", "p99 ms", "p99.9 ms", "rounds", "p50 of all", "p99 of all"),
    *("undisturbed rounds", "p50 of those", "p99 of those", "not approved"),
)

# Seconds from one report of an account to the next: what an account may be silent for (RISK_STATE_MAX_AGE), and all of
# them each second, which for the door of the feeds is more work than the checks.
_SELDOM_S, _OFTEN_S = 5.0, 1.0

# A round is undisturbed where the host gave less than this share of the cores to others.
_DISTURBED = 0.02

# The account whose exposure says which price a browser is shown; no order is of it.
_SHOWN = world.account_ids()[-1]


class Kind(Struct, frozen=True, kw_only=True):
    """One kind of run: who looks, of whom the first `idle` never read, and how often each account is reported.

    It takes part in one of `one_in` rounds.
    """

    who: str
    cookies: list[str]
    idle: int = 0
    reported_every_s: float = _SELDOM_S
    one_in: int = 1


class LiveRow(Struct, frozen=True, kw_only=True):
    """One run: who looked, what checks took meanwhile, and what the process that serves browsers used.

    `shown_*` are milliseconds from when a price was reported to its being shown in a browser, None where nobody looked;
    `cpu` is a share of one core, `stolen` one of all cores that the host gave to others. `rounds` are all runs of its
    kind: what checks took, and what was stolen.
    """

    who: str
    checks: Latencies
    received: Received | None
    shown_p50_ms: float | None
    shown_p99_ms: float | None
    cpu: float
    rss_mb: float
    stolen: float
    rounds: list[tuple[Latencies, float]] = []


class Pages:
    """The processes of an installation that live pages take, and runs on them.

    Parameters
    ----------
    installation, world_
        What they serve.
    doors
        Those for orders and for reports, by their kinds.
    seconds, rounds
        How long a run is, and how often each is made.
    """

    def __init__(
        self,
        installation: Installation,
        world_: World,
        doors: dict[str, Process],
        *,
        seconds: float,
        rounds: int,
    ) -> None:
        self._installation, self._world, self._doors = installation, world_, doors
        self._seconds, self._rounds = seconds, rounds

    def measure(self, say: Callable[[str], None]) -> list[LiveRow]:
        """Return a run with nobody, with many browsers, with few, and with few beside one that never reads.

        They go in turn, some rounds; of each it is the one whose checks took the middle time (p99). Raises
        NotWhatWasAsked where a browser missed anything.
        """
        cookies = msgspec.json.decode(self._installation.run("-m", "bench.sessions", str(BROWSERS)), type=list[str])
        kinds = _kinds(cookies)
        self._world.reset()
        rows: dict[str, list[LiveRow]] = {}
        with self._served() as live:
            for number in range(self._rounds):
                say(f"live pages, round {number + 1} of {self._rounds}")
                of_round = [kind for kind in kinds if number % kind.one_in == 0]
                for kind in reversed(of_round) if number // 2 % 2 else of_round:
                    rows.setdefault(kind.who, []).append(self._run(live, kind))
        return [_middle(rows[kind.who]) for kind in kinds]

    @contextmanager
    def _served(self) -> Iterator[Process]:
        """Have live pages served, and every account looked at each second, until the block ends."""
        with ExitStack() as stack:
            environment = self._installation.environment
            stack.enter_context(door(WORKER, environment))
            live = stack.enter_context(door(LIVE, environment))
            stack.enter_context(self._beside("riskportal.serve", "beat"))
            until = time.monotonic() + _GRACE_S
            while self._world.store.load(Load(accounts=())).signal is None:
                if time.monotonic() > until:
                    raise NotWhatWasAsked("nobody has looked at the accounts")
                time.sleep(_PAUSE_S)
            yield live

    def _run(self, live: Process, kind: Kind) -> LiveRow:
        """Check orders for some seconds in the midst of reports and, where there are cookies, browsers."""
        checking_s, key = self._seconds - 2 * SETTLED_S, f"{self._world.key}\n".encode()
        rest, order = self._doors[WSGI], self._doors[ASGI]
        with ExitStack() as stack:
            reports = stack.enter_context(
                self._beside(
                    "bench.reporter", HOST, rest.port, self._seconds, world.ACCOUNTS, kind.reported_every_s, sent=key
                )
            )
            browsers = None
            if kind.cookies:
                browsers = stack.enter_context(
                    self._beside(
                        *("bench.browsers", live.port, self._seconds, _SHOWN, kind.idle),
                        sent=msgspec.json.encode(kind.cookies),
                    )
                )
            time.sleep(SETTLED_S)
            before, had, begun = live.used().cpu_s, CoreTime.now(), time.monotonic()
            load = stack.enter_context(
                self._beside(
                    *("bench.open_loop", HOST, order.port, CHECKS_PER_S, checking_s, _CONNECTIONS, world.ACCOUNTS - 1),
                    sent=key,
                )
            )
            checks = msgspec.json.decode(_said(load, self._seconds), type=Latencies)
            used, stolen, took_s = live.used(), CoreTime.now().stolen_since(had), time.monotonic() - begun
            reported = msgspec.json.decode(_said(reports, self._seconds), type=Reported)
            found = None if browsers is None else msgspec.json.decode(_said(browsers, self._seconds), type=Received)
        if found is not None and (found.gaps or found.lost or not found.least):
            raise NotWhatWasAsked(f"{kind.who}: {found.gaps} gaps, {found.lost} connections lost, {found.least} frames")
        shown = [] if found is None else sorted(_shown_s(reported, found))
        return LiveRow(
            who=kind.who,
            checks=checks,
            received=found,
            shown_p50_ms=percentile_us(shown, 0.5) / 1e3 if shown else None,
            shown_p99_ms=percentile_us(shown, 0.99) / 1e3 if shown else None,
            cpu=(used.cpu_s - before) / took_s,
            rss_mb=used.rss / _MEGABYTE,
            stolen=stolen,
        )

    @contextmanager
    def _beside(self, module: str, *arguments: object, sent: bytes = b"") -> Iterator[subprocess.Popen[bytes]]:
        """Run a module of ours beside the block, in a session of its own as on another machine; it ends with it."""
        with subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            env=self._installation.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            assert process.stdin is not None
            try:
                process.stdin.write(sent)
                process.stdin.close()
                yield process
            finally:
                process.terminate()


def _kinds(cookies: list[str]) -> list[Kind]:
    many, few, often = f"{BROWSERS} browsers", f"{FEW} browsers", "each account reported every second"
    return [
        Kind(who="nobody", cookies=[]),
        Kind(who=many, cookies=cookies),
        Kind(who=few, cookies=cookies[:FEW], one_in=6),
        Kind(who=f"{few}, and one that never reads", cookies=cookies[: FEW + 1], idle=1, one_in=6),
        Kind(who=f"nobody, {often}", cookies=[], reported_every_s=_OFTEN_S, one_in=2),
        Kind(who=f"{many}, {often}", cookies=cookies, reported_every_s=_OFTEN_S, one_in=2),
    ]


def _middle(rows: Sequence[LiveRow]) -> LiveRow:
    """Return the run whose checks took the middle time, with the checks of all."""
    middle = sorted(rows, key=lambda row: row.checks.p99_us)[len(rows) // 2]
    return replace(middle, rounds=[(row.checks, row.stolen) for row in rows])


def _said(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    """Return what a process has written once it has ended. Raises NotWhatWasAsked where it failed."""
    assert process.stdout is not None
    said = process.stdout.read()
    if process.wait(seconds + _GRACE_S):
        raise NotWhatWasAsked(f"{process.args!r} ended with {process.returncode}")
    return said


def _shown_s(reported: Reported, found: Received) -> Iterator[float]:
    """Yield how long each browser waited for each price, in seconds."""
    shown = dict(found.shown)
    for price, sent_at in reported.prices:
        for at in shown.get(_exposure(price), ()):
            if at >= sent_at:
                yield at - sent_at


def _exposure(price: Decimal) -> Decimal:
    """Return what the account's exposure is shown as where its first symbol has this price."""
    held = list(world.report("").positions.values())
    prices = [price, *(world.MARK for _ in held[1:])]
    total = sum((abs(each.quantity) * at for each, at in zip(held, prices, strict=True)), Decimal(0))
    return round(total, 2)


def browsers_table(rows: Sequence[LiveRow]) -> list[Sequence[str]]:
    """Return for people what browsers waited for and cost."""
    return [_OF_BROWSERS, *(_delivery(row, row.received) for row in rows if row.received is not None)]


def checks_table(rows: Sequence[LiveRow]) -> list[Sequence[str]]:
    """Return for people what checks took."""
    return [_OF_CHECKS, *map(_checks, rows)]


def _delivery(row: LiveRow, got: Received) -> Sequence[str]:
    return (
        row.who,
        f"{got.least}" if got.least == got.most else f"{got.least} to {got.most}",
        f"{got.gaps}",
        f"{got.frame_bytes:,}",
        *(f"{each / 1e3:.1f}" for each in (got.late_p50_us, got.late_p99_us, got.longest_us)),
        *("" if each is None else f"{each:,.0f}" for each in (row.shown_p50_ms, row.shown_p99_ms)),
        f"{row.cpu:.0%}",
        f"{row.rss_mb:.0f}",
    )


def _checks(row: LiveRow) -> Sequence[str]:
    found = row.checks
    every = [checks for checks, _ in row.rounds]
    undisturbed = [checks for checks, stolen in row.rounds if stolen < _DISTURBED]
    refused = sum(each.answered + each.unanswered - each.approved for each in every)
    return (
        row.who,
        *(f"{each / 1e3:.2f}" for each in (found.p50_us, found.p99_us, found.p999_us)),
        *_spans(every),
        *_spans(undisturbed),
        f"{refused}",
    )


def _spans(rounds: Sequence[Latencies]) -> Sequence[str]:
    """Return how many rounds there are, and of both percentiles the least, the middle and the most in milliseconds."""
    if not rounds:
        return "0", "", ""
    return f"{len(rounds)}", _span(each.p50_us for each in rounds), _span(each.p99_us for each in rounds)


def _span(found: Iterable[int]) -> str:
    ordered = sorted(found)
    return " / ".join(f"{each / 1e3:.1f}" for each in (ordered[0], ordered[len(ordered) // 2], ordered[-1]))
