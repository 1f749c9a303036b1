"""The directories of private servers, and the removal of those whose owner was killed.

Every server has a directory `.services/<name>-<unique>/`. The file `owner` in it names the process that made
it and `process` the server itself, each as an id and a start time, so that an id which was given out again is
not mistaken for them. `python -m devtools.leftovers` removes what no living process owns.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SERVICES = Path(__file__).resolve().parent.parent / ".services"
_DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class ProcessId:
    """A process beyond doubt: its id, and when it started (clock ticks since boot)."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """Return the living process with that id, or None. A zombie is not alive."""
        try:
            # The name, in parentheses, may hold anything; the fields that matter come after the last one.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    @classmethod
    def read(cls, path: Path) -> ProcessId | None:
        """Return the process that a file names, or None when it names none."""
        try:
            pid, started = path.read_text().split()
            return cls(int(pid), int(started))
        except (FileNotFoundError, ValueError):
            return None

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return ProcessId.of(self.pid) == self

    def write(self, path: Path) -> None:
        """Name this process in a file."""
        path.write_text(f"{self.pid} {self.started}\n")


def claim(name: str) -> Path:
    """Make and return a directory for a server of this process."""
    with _locked():
        directory = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=SERVICES))
        directory.chmod(0o711)  # a server under another user must get through; what is secret has its own mode
        own = ProcessId.of(os.getpid())
        assert own is not None
        own.write(directory / "owner")
        (directory / "place").write_text(_place())
    return directory


def note_process(directory: Path, pid: int) -> None:
    """Remember the server process of a directory, for whoever cleans up after us."""
    if process := ProcessId.of(pid):
        process.write(directory / "process")


def remove(directory: Path) -> None:
    """Remove a server's directory, and its data where `data` is a link to another place."""
    data = directory / "data"
    if data.is_symlink():
        shutil.rmtree(data.resolve(), ignore_errors=True)
    shutil.rmtree(directory, ignore_errors=True)


def sweep() -> list[Path]:
    """Stop the servers whose owner is gone, remove their directories, and return these."""
    removed = []
    with _locked():
        for directory in sorted(SERVICES.iterdir()):
            if not directory.is_dir():
                continue
            if _may_be_in_use(directory):
                continue
            process = ProcessId.read(directory / "process")
            if process is not None and process.alive:
                with contextlib.suppress(PermissionError):
                    for victim in halt_family(process):
                        kill_and_wait(victim)
            remove(directory)
            removed.append(directory)
    return removed


def _place() -> str:
    """Return what process ids are relative to: this boot of the machine, and the container."""
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}\n"


def _may_be_in_use(directory: Path) -> bool:
    """Return whether a living process owns the directory, as far as can be known from here."""
    place = directory / "place"
    if place.exists() and place.read_text() != _place():
        # The checkout may be shared with a container or another machine, where we see no process. Or there
        # was a reboot. A day tells them apart.
        return time.time() - place.stat().st_mtime < _DAY_SECONDS
    owner = ProcessId.read(directory / "owner")
    return owner is not None and owner.alive


def children_of(pid: int) -> list[ProcessId]:
    """Return the children of a process that are alive now."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid and (child := ProcessId.of(int(entry.name))):
            found.append(child)
    return found


def halt_family(process: ProcessId) -> list[ProcessId]:
    """Halt a process and all that came of it, so that it starts no more of them, and return them, itself first."""
    family = [process]
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGSTOP)
    for child in children_of(process.pid):
        family += halt_family(child)
    return family


def kill_and_wait(process: ProcessId, seconds: float = 10.0) -> None:
    """Kill a process with SIGKILL if it is still the same one, and wait until it is gone."""
    deadline = time.monotonic() + seconds
    while process.alive and time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        time.sleep(0.005)


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Hold the lock of `.services/`: a directory that is being claimed is not taken for a leftover."""
    SERVICES.mkdir(exist_ok=True)
    with (SERVICES / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Remove the leftovers and say what they were."""
    for directory in sweep():
        print(f"removed {directory.relative_to(SERVICES.parent)}")


if __name__ == "__main__":
    main()
