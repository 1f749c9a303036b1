"""Runs the benchmark: `python -m bench --help`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

import msgspec

from bench import machine
from bench.parts import Bench, Plan
from bench.processes import ProcessFailed
from bench.results import Results, text, write_into
from bench.world import NotWhatWasAsked
from devtools.servers import ServerError

FULL = Plan(
    rounds=3,
    run_s=2,
    open_s=10.0,
    stages_s=8.0,
    drain_rows=30_000,
    batches=15,
    stops=200,
    hostile_s=8.0,
    live_s=16.0,
    live_rounds=12,
    accounts=10_000,
    looks=10,
    previewed=10_000,
    limits=1_000,
    exported=1_000_000,
)
QUICK = Plan(
    rounds=1,
    run_s=1,
    open_s=2.0,
    stages_s=2.0,
    drain_rows=5_000,
    batches=3,
    stops=20,
    hostile_s=2.0,
    live_s=12.0,
    live_rounds=1,
    accounts=2_000,
    looks=3,
    previewed=2_000,
    limits=200,
    exported=50_000,
)

PARTS = {
    "checks": Bench.checks,
    "open": Bench.open_loop,
    "batch": Bench.batches,
    "stages": Bench.stages,
    "drain": Bench.drain,
    "stop": Bench.stop,
    "monitor": Bench.monitor,
    "preview": Bench.preview,
    "officers": Bench.officers,
    "hostile": Bench.hostile,
    "live": Bench.live,
    "reports": Bench.reports,
    "evidence": Bench.evidence,
}

_BUSY = 0.3


def main() -> int:
    """Measure what the command line asks for; return the exit code."""
    arguments = _arguments()
    # Whoever ends us means the servers too: the blocks that started them end.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    cores = machine.Cores.of_this_process()
    results = Results(machine=machine.describe(cores), commit=machine.commit(), load_before=machine.busy_share())
    os.sched_setaffinity(0, {cores.client})
    if results.load_before > _BUSY:
        _say(f"the machine is busy (load {results.load_before:.1f} a core): the figures will be worse than they are")
    try:
        with Bench(QUICK if arguments.quick else FULL, cores, results, _say) as bench:
            failed = [name for name in arguments.only or PARTS if not _measured(name, bench)]
    except (ProcessFailed, ServerError) as error:
        _say(f"FAILED: {error}")
        return 1
    except KeyboardInterrupt:
        _say("stopped")
        return 130
    print(text(results, markdown=arguments.markdown))
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    if arguments.into:
        write_into(arguments.into, results)
    if failed:
        _say(f"FAILED, and left out above: {', '.join(failed)}")
    return 1 if failed else 0


def _measured(name: str, bench: Bench) -> bool:
    """Measure one part, and say why where that fails; the others are measured all the same."""
    try:
        PARTS[name](bench)
    except NotWhatWasAsked as error:
        _say(f"FAILED: {name}: {error}")
        return False
    return True


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures order checks over every door beside a floor, on private servers.",
    )
    parser.add_argument("--quick", action="store_true", help="short runs: a look, not figures to quote")
    parser.add_argument("--only", action="append", choices=PARTS, help="measure this part only; may be repeated")
    parser.add_argument("--markdown", action="store_true", help="write the tables in Markdown")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file as well")
    parser.add_argument("--into", type=Path, metavar="PAGE", help="put the tables between the marks of this page")
    return parser.parse_args()


def _say(line: str) -> None:
    """Say what goes on, beside the figures."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
