"""How long the monitor takes for ten thousand accounts of twenty positions, and where the time goes.

python -m bench.monitor ACCOUNTS LOOKS      (on the servers that the environment names)
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import localcontext
from statistics import median

import django
import msgspec
from msgspec import Struct
from prometheus_client import REGISTRY

from bench.machine import used_by
from bench.many_accounts import POSITIONS, ManyAccounts
from bench.stages import Stage, time_us
from riskcore.compiled import CompiledBook
from riskcore.decimals import EXACT
from riskcore.firm_sums import Adder, summand
from riskcore.glance import Glance, glance
from riskcore.held import Feed, marks_of, read_held, value
from riskcore.limit_set import LimitSets
from riskcore.overview import shown_metrics
from riskcore.part import AccountPart
from riskcore.ports import Load
from state.changes import UNKNOWN
from state.store import Store

_MEGABYTE = 1e6
_FALLS = 3
_STEP_S = 0.05


class Looks(Struct, frozen=True, kw_only=True):
    """Some looks at all accounts, each after the same change: milliseconds from the tick's begin to its end.

    `cpu_ms` is the CPU time of the process for one of them, `stages` the milliseconds of each part; both are medians.
    """

    after: str
    looks: int
    middle_ms: float
    longest_ms: float
    cpu_ms: float
    stages: dict[str, float]


class Monitored(Struct, frozen=True, kw_only=True):
    """What was measured. `limits` is how many are on each account; `stages` are CPU times of one account."""

    accounts: int
    positions: int
    limits: int
    looks: list[Looks]
    stages: list[Stage]
    rss_mb: float


def measure(accounts: int, looks: int) -> Monitored:
    """Look at so many accounts, so many times after each kind of change. Raises AssertionError where that fails."""
    from feeds.books import BOOKS, in_force
    from monitoring.tick import Monitor
    from state.wiring import store

    many = ManyAccounts(store(), accounts)
    many.price()
    many.report()
    watch = _Watch(Monitor(store(), BOOKS, timedelta(minutes=1)).tick)
    watch.look()  # everything is read for the first time
    rows = [
        watch.looks("nothing", lambda: None, looks),
        watch.looks("every price", many.price, looks),
        watch.looks("every price, every account reported", many.change, looks),
    ]
    rss_mb = used_by(os.getpid()).rss / _MEGABYTE
    rows.append(watch.looks("every account reported, each breaks four limits", many.fall, _FALLS))
    control = store().control()
    assert control is not None
    book = in_force(control.book_version, store(), BOOKS)
    limits = len(book.limits) + len(book.limits_of_profile(next(iter(book.profiles))))
    return Monitored(
        accounts=accounts,
        positions=POSITIONS,
        limits=limits,
        looks=rows,
        stages=list(_stages_of(store(), book)),
        rss_mb=rss_mb,
    )


def _stages_of(store: Store, book: CompiledBook) -> Iterator[Stage]:
    """Yield what each step of a look costs for one account."""
    account = next(iter(book.accounts.values()))
    (record,) = [one for part in store.changed("", {account.id: UNKNOWN}) for one in part.records]
    state = record.state
    assert state is not None
    limits, parameters = LimitSets(book).of(account), book.parameters
    feed = Feed(store.all_prices(), store.load(Load(accounts=())).now_us, parameters)
    with localcontext(EXACT):
        held = read_held(state, record.ledger, record.expired)
        assert held is not None
        marks = marks_of(held, feed)
        assert marks is not None
        valued = value(held, marks)

        def look() -> Glance:
            part = AccountPart(valued, book, feed.now_us, tail=False)
            return glance(account.id, part, limits, parameters)

        seen = look()
        adder, summed = Adder(), summand(valued, LimitSets(book).of_firm)
        figures = shown_metrics(seen.whole, tail=False)
        steps: dict[str, Callable[[], object]] = {
            "read its record": lambda: read_held(state, record.ledger, record.expired),
            "its marks": lambda: marks_of(held, feed),
            "its exposure at these marks": lambda: value(held, marks),
            "its limits, level and score": look,
            "add it to the firm": lambda: adder.add(summed),
            "its metrics as they are told": lambda: shown_metrics(seen.whole, tail=False),
            "encode them": lambda: msgspec.json.encode(figures),
        }
        for name, work in steps.items():
            yield Stage(name, time_us(work, _STEP_S))


class _Watch:
    """Times ticks of a monitor."""

    def __init__(self, tick: Callable[[], str]) -> None:
        self._tick = tick

    def look(self) -> tuple[float, float, dict[str, float]]:
        """Return the seconds of a tick, of its CPU time, and of each of its stages."""
        before = dict(_stages())
        started, cpu = time.perf_counter(), time.process_time()
        outcome = self._tick()
        seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
        assert outcome == "looked", outcome
        return seconds, cpu_s, {name: total - before.get(name, 0.0) for name, total in _stages()}

    def looks(self, after: str, change: Callable[[], object], count: int) -> Looks:
        """Look so many times, each time after a change."""
        found = []
        for _ in range(count):
            change()
            found.append(self.look())
        seconds, cpu_s, stages = zip(*found, strict=True)
        return Looks(
            after=after,
            looks=count,
            middle_ms=median(seconds) * 1e3,
            longest_ms=max(seconds) * 1e3,
            cpu_ms=median(cpu_s) * 1e3,
            stages={name: median(each[name] for each in stages) * 1e3 for name in stages[0]},
        )


def _stages() -> Iterator[tuple[str, float]]:
    for family in REGISTRY.collect():
        if family.name == "risk_monitor_stage_seconds":
            yield from ((each.labels["stage"], each.value) for each in family.samples if each.name.endswith("_sum"))


def main() -> None:
    """Measure what the arguments say, and write it as JSON."""
    os.environ["RISK_BREAKER_COUNT"] = "0"  # what ten thousand stops cost is another matter
    django.setup()
    accounts, looks = map(int, sys.argv[1:3])
    sys.stdout.write(msgspec.json.encode(measure(accounts, looks)).decode())


if __name__ == "__main__":
    main()
