"""What a run of the benchmark found, as a table for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from bench import live
from bench.batch import Batches
from bench.doors import FLOOR, TITLES
from bench.drain import Drained
from bench.evidence import Evidence
from bench.exports import Exports
from bench.hostile import Others, Refusals
from bench.live import CHECKS_PER_S, LiveRow
from bench.many_accounts import POSITIONS
from bench.monitor import Monitored
from bench.officers import Officers, Waited
from bench.open_loop import Latencies
from bench.preview import Previewed, Previews
from bench.stages import Stage
from bench.stop import Stops
from bench.wrk import Run


class Row(Struct, frozen=True, kw_only=True):
    """One door under closed-loop load; `share_of_floor` is its checks per second over the floor's."""

    door: str
    connections: int
    accounts: int
    run: Run
    share_of_floor: float | None


class OpenRow(Struct, frozen=True, kw_only=True):
    """One door at a constant rate. `journal_left` decisions were not yet in the database at the end."""

    door: str
    rate: int
    latencies: Latencies
    cpu_us: float
    rss_mb: float
    journal_left: int


class BatchRow(Struct, frozen=True, kw_only=True):
    """One door with batches of 1,000 orders."""

    door: str
    batches: Batches


class HostileRow(Struct, frozen=True, kw_only=True):
    """One door with one hostile client: what that was answered, and what the others waited."""

    door: str
    refusals: list[Refusals]
    others: Others


class Results(Struct, kw_only=True):
    """All that was measured; what was left out is empty."""

    machine: str
    commit: str
    load_before: float
    closed: list[Row] = []
    open: list[OpenRow] = []
    batch: list[BatchRow] = []
    stages: list[Stage] = []
    drain: Drained | None = None
    stop: Stops | None = None
    monitor: Monitored | None = None
    preview: Previews | None = None
    officers: Officers | None = None
    hostile: list[HostileRow] = []
    live: list[LiveRow] = []
    exports: Exports | None = None
    evidence: Evidence | None = None


# In a page, what stands between these is the figures of the last run that was written into it.
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def write_into(page: Path, results: Results) -> None:
    """Put the tables between the two marks of a Markdown page. Raises ValueError where it does not have them."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} does not have the marks {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n\n{text(results, markdown=True)}\n\n{END}{after}")


def text(results: Results, *, markdown: bool) -> str:
    """Return the tables, in Markdown or aligned for a terminal."""
    draw = _markdown if markdown else _plain
    parts = [f"{results.machine}; commit {results.commit}; load before {results.load_before:.2f} a core."]
    if results.closed:
        parts += ["### Checks as fast as they go", draw(_closed(results.closed))]
    if results.open:
        parts += ["### At a constant rate, timed from when each order was due", draw(_open(results.open))]
    if results.batch:
        parts += ["### Batches of 1,000 orders", draw(_batch(results.batch))]
    if results.stages:
        parts += ["### Where the CPU time of a check goes", draw(_stages(results.stages))]
    others = [*_of_drain(results.drain), *_of_stop(results.stop)]
    if others:
        parts += ["### Journal and stop", *others]
    if results.monitor is not None:
        parts += [_of_monitor(results.monitor), draw(_looks(results.monitor)), draw(_stages(results.monitor.stages))]
    if results.preview is not None:
        parts += [_of_preview(results.preview), draw(_previews(results.preview))]
    if results.officers is not None:
        parts += [_of_officers(results.officers), draw(_waited(results.officers.waited))]
        parts += ["Lists of the admin:", draw(_waited(results.officers.pages)), *_checked(results.officers)]
    if results.hostile:
        parts += ["### A hostile client, asked to be answered within 100 ms", draw(_hostile(results.hostile))]
        parts += ["### The checks of other clients beside it", draw(_others(results.hostile))]
    if results.live:
        parts += [f"### Live pages beside {CHECKS_PER_S} checks a second", draw(live.browsers_table(results.live))]
        parts += [draw(live.checks_table(results.live))]
    if results.exports is not None:
        parts += [_of_exports(results.exports), draw(_exported(results.exports)), _checked_file(results.exports)]
    if results.evidence is not None:
        parts += [_of_evidence(results.evidence), draw(_sealed(results.evidence))]
    return "\n\n".join(parts)


def _of_evidence(found: Evidence) -> str:
    return f"### Evidence: decisions of {found.row_bytes:,} bytes, on one core with PostgreSQL"


def _sealed(found: Evidence) -> list[Sequence[str]]:
    table: list[Sequence[str]] = [("what", "rows", "seconds", "CPU seconds", "rows/s", "peak MB")]
    for step in found.steps:
        figures = (
            f"{step.seconds:.1f}",
            f"{step.cpu_s:.1f}",
            f"{step.rows / step.seconds:,.0f}",
            f"{step.peak_mb:.0f}",
        )
        table.append((step.what, f"{step.rows:,}", *figures))
    return table


def _of_drain(found: Drained | None) -> Iterator[str]:
    if found is not None:
        yield (
            f"Journal into PostgreSQL: {found.per_second:,.0f} decisions/s "
            f"({found.rows:,} in {found.seconds:.2f} s, {found.cpu_s / found.rows * 1e6:.0f} us of CPU each)."
        )


def _of_stop(found: Stops | None) -> Iterator[str]:
    if found is not None:
        yield (
            f"{found.stops} stops over both HTTP doors in turn while 24 clients, 8 of each door, check as fast as they "
            f"can: from the call until no process could approve {found.in_force_p50_ms:.1f} ms (median) and "
            f"{found.in_force_p99_ms:.1f} ms (p99); until it returned, with all on record, "
            f"{found.returned_p50_ms:.1f} and {found.returned_p99_ms:.1f} ms. "
            f"Of {found.checks:,} checks {found.stopped:,} were decided between the return of such a call and the "
            "call that lifted the stop: not one was approved."
        )


def _of_monitor(found: Monitored) -> str:
    return (
        f"### A look of the monitor at {found.accounts:,} accounts of {found.positions} positions, "
        f"{found.limits} limits each ({found.rss_mb:.0f} MB)"
    )


def _of_preview(found: Previews) -> str:
    return (
        f"### The preview of a changed limit, on one core ({found.limits} limits on each order, accounts of "
        f"{POSITIONS} positions, {found.rss_mb:.0f} MB)"
    )


def _previews(found: Previews) -> list[Sequence[str]]:
    table: list[Sequence[str]] = [("what changes", "of", "seconds", "CPU seconds", "otherwise")]
    for kind, rows in (("decisions", found.decisions), ("accounts", found.accounts)):
        table += [_preview_row(kind, row) for row in rows]
    return table


def _preview_row(kind: str, row: Previewed) -> Sequence[str]:
    return row.change, f"{row.count:,} {kind}", f"{row.seconds:.2f}", f"{row.cpu_s:.2f}", f"{row.otherwise:,}"


def _of_officers(found: Officers) -> str:
    return (
        f"### What officers wait for, with {found.policies:,} limits and {found.accounts:,} accounts "
        f"(a book of {found.book_kb:,.0f} kB)"
    )


def _waited(rows: Iterable[Waited]) -> list[Sequence[str]]:
    table: list[Sequence[str]] = [("what", "rows", "ms", "CPU ms", "statements")]
    for row in rows:
        times = (f"{row.seconds * 1e3:,.0f}", f"{row.cpu_s * 1e3:,.0f}")
        table.append((row.what, f"{row.rows:,}", *times, f"{row.statements:,}"))
    return table


def _checked(found: Officers) -> Iterator[str]:
    small, large = found.checked
    yield (
        f"A check over the store, in one process: {small.middle_us:.0f} us with {small.limits} limits and "
        f"{small.accounts} accounts, {large.middle_us:.0f} us with {large.limits:,} limits and {large.accounts:,} "
        f"accounts ({large.middle_us / small.middle_us:.2f} times as long; "
        f"CPU {small.cpu_us:.0f} and {large.cpu_us:.0f} us)."
    )


def _of_exports(found: Exports) -> str:
    return (
        f"### Reports of {found.decisions:,} decisions, whose answers have {found.answer_bytes:,} bytes, "
        "on one core with PostgreSQL"
    )


def _exported(found: Exports) -> list[Sequence[str]]:
    table: list[Sequence[str]] = [("report", "rows", "in the file", "file MB", "seconds", "CPU seconds", "peak MB")]
    for row in found.reports:
        sizes = (f"{row.rows:,}", f"{row.rows_in_file:,}", f"{row.file_mb:.1f}")
        table.append((row.what, *sizes, f"{row.seconds:.1f}", f"{row.cpu_s:.1f}", f"{row.peak_mb:.0f}"))
    return table


def _checked_file(found: Exports) -> str:
    return f"The file of the first, held against its manifest: {found.checked_s:.1f} s."


def _looks(found: Monitored) -> list[Sequence[str]]:
    stages = list(found.looks[0].stages)
    table: list[Sequence[str]] = [
        ("changed since the last look", "looks", "median ms", "longest ms", "CPU ms", "accounts/s of CPU", *stages)
    ]
    for row in found.looks:
        table.append(
            (
                row.after,
                str(row.looks),
                f"{row.middle_ms:,.0f}",
                f"{row.longest_ms:,.0f}",
                f"{row.cpu_ms:,.0f}",
                f"{found.accounts / row.cpu_ms * 1e3:,.0f}",
                *(f"{row.stages[name]:,.0f}" for name in stages),
            )
        )
    return table


def _closed(rows: Iterable[Row]) -> list[Sequence[str]]:
    table: list[Sequence[str]] = [
        (
            *("server", "under way", "accounts", "checks/s", "of floor", "p50 us", "p99 us", "p99.9 us"),
            *("CPU us/check", "Redis CPU us/check"),
        )
    ]
    for row in rows:
        run = row.run
        share = "" if row.share_of_floor is None or row.door == FLOOR else f"{row.share_of_floor:.2f}"
        table.append(
            (
                TITLES[row.door],
                f"{row.connections}",
                f"{row.accounts}",
                f"{run.per_second:,.0f}",
                share,
                f"{run.p50_us:,}",
                f"{run.p99_us:,}",
                f"{run.p999_us:,}",
                f"{run.cpu_us:.0f}",
                f"{run.redis_cpu_us:.0f}",
            )
        )
    return table


def _open(rows: Iterable[OpenRow]) -> list[Sequence[str]]:
    table: list[Sequence[str]] = [
        (
            *("server", "orders/s", "p50 ms", "p99 ms", "p99.9 ms", "longest ms", "queued", "unanswered"),
            *("client late p99 ms", "CPU us/check", "memory MB", "left in journal"),
        )
    ]
    for row in rows:
        found = row.latencies
        table.append(
            (
                TITLES[row.door],
                f"{row.rate:,}",
                f"{found.p50_us / 1e3:.2f}",
                f"{found.p99_us / 1e3:.2f}",
                f"{found.p999_us / 1e3:.2f}",
                f"{found.longest_us / 1e3:.2f}",
                f"{found.queued}",
                f"{found.unanswered}",
                f"{found.sent_late_p99_us / 1e3:.2f}",
                f"{row.cpu_us:.0f}",
                f"{row.rss_mb:.0f}",
                f"{row.journal_left}",
            )
        )
    return table


def _batch(rows: Iterable[BatchRow]) -> list[Sequence[str]]:
    table: list[Sequence[str]] = [("server", "accounts", "median ms", "longest ms", "CPU ms/batch", "orders/s")]
    for row in rows:
        found = row.batches
        table.append(
            (
                TITLES[row.door],
                f"{found.accounts}",
                f"{found.middle_ms:.1f}",
                f"{found.longest_ms:.1f}",
                f"{found.cpu_ms:.1f}",
                f"{1e6 / found.middle_ms:,.0f}",
            )
        )
    return table


def _stages(stages: Iterable[Stage]) -> list[Sequence[str]]:
    return [("stage", "CPU us"), *((stage.name, f"{stage.us:.1f}") for stage in stages)]


def _hostile(rows: Iterable[HostileRow]) -> list[Sequence[str]]:
    table: list[Sequence[str]] = [("body", "server", "status", "names", "times", "median ms", "longest ms")]
    for row in rows:
        table += [
            (
                found.name,
                TITLES[row.door],
                f"{found.status}",
                found.named,
                f"{found.times}",
                f"{found.middle_ms:.2f}",
                f"{found.longest_ms:.2f}",
            )
            for found in row.refusals
        ]
    return table


def _others(rows: Iterable[HostileRow]) -> list[Sequence[str]]:
    table: list[Sequence[str]] = [
        ("server", "hostile client", "orders/s", "answered 200", "p50 ms", "p99 ms", "longest ms", "queued")
    ]
    for row in rows:
        for there, found in (("no", row.others.alone), ("yes", row.others.beside)):
            table.append(
                (
                    TITLES[row.door],
                    there,
                    f"{found.answered / found.seconds:,.0f}",
                    f"{found.approved:,} of {found.answered + found.unanswered:,}",
                    f"{found.p50_us / 1e3:.2f}",
                    f"{found.p99_us / 1e3:.2f}",
                    f"{found.longest_us / 1e3:.2f}",
                    f"{found.queued}",
                )
            )
    return table


def _plain(table: list[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        cells = [
            cell.ljust(width) if place == 0 else cell.rjust(width) for place, (cell, width) in _placed(row, widths)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _placed(row: Sequence[str], widths: Sequence[int]) -> enumerate[tuple[str, int]]:
    return enumerate(zip(row, widths, strict=True))


def _markdown(table: list[Sequence[str]]) -> str:
    head, *rows = table
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
