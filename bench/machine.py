"""The machine: its cores, who runs on which, and what a process has used of it."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cores:
    """Where the two sides run: what is measured on one core, the load and Redis on another."""

    server: int
    client: int

    @classmethod
    def of_this_process(cls) -> Cores:
        """Return two cores that this process may use, or the only one twice."""
        allowed = sorted(os.sched_getaffinity(0))
        return cls(allowed[0], allowed[1] if len(allowed) > 1 else allowed[0])

    @property
    def separate(self) -> bool:
        """Whether the two sides have a core each."""
        return self.server != self.client


@dataclass(frozen=True)
class Used:
    """What a server has used until now: CPU time of all its processes in seconds, and memory in bytes."""

    cpu_s: float
    rss: int


def used_by(pid: int) -> Used:
    """Return what a process and its descendants have used; those that have ended are left out."""
    cpu_s, rss = 0.0, 0
    for member in family(pid):
        try:
            # The name, in parentheses, may hold anything; the fields that matter come after the last one.
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        cpu_s += (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND
        rss += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return Used(cpu_s, rss)


def family(pid: int) -> Iterator[int]:
    """Yield a process and all its descendants."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = children.read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in found:
            yield from family(int(child))


def pin(pid: int, *cores: int) -> None:
    """Let a process, its threads and descendants run on these cores only."""
    for member in list(family(pid)):
        for thread in Path(f"/proc/{member}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)


@contextmanager
def on_either(cores: Cores, *, servers: Sequence[int], clients: Sequence[int]) -> Iterator[None]:
    """Let processes, and what they start within the block, run on either core; after it each side on its own."""
    try:
        for pid in (*servers, *clients):
            pin(pid, cores.server, cores.client)
        yield
    finally:
        for core, pids in ((cores.server, servers), (cores.client, clients)):
            for pid in pids:
                pin(pid, core)


def on_core(core: int, command: list[str]) -> list[str]:
    """Return the command that runs `command` on one core only."""
    return ["taskset", "--cpu-list", str(core), *command]


def describe(cores: Cores) -> str:
    """Return the machine in a line: processor, cores, system, Python, and who has which core."""
    sides = (
        f"server on core {cores.server}, load and Redis on core {cores.client}"
        if cores.separate
        else "ONE core for server, load and Redis: the figures say little"
    )
    return (
        f"{_processor()}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}, {sides}"
    )


@dataclass(frozen=True)
class CoreTime:
    """What all cores have had until now, in ticks: altogether, and what the host gave to others meanwhile."""

    total: int
    stolen: int

    @classmethod
    def now(cls) -> CoreTime:
        """Return what /proc/stat says."""
        fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        return cls(sum(fields[:8]), fields[7])

    def stolen_since(self, before: CoreTime) -> float:
        """Return the share of the cores that the host has given to others since then."""
        return (self.stolen - before.stolen) / max(1, self.total - before.total)


def busy_share() -> float:
    """Return the one-minute load per core; above 0.3 or so others use the machine, and figures are worth less."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def commit() -> str:
    """Return the commit that is measured, and whether files differ from it."""
    try:
        text = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return text.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
