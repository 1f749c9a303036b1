"""What the doors have counted, over all processes where PROMETHEUS_MULTIPROC_DIR is set, and as Prometheus reads it."""

from __future__ import annotations

import os
from collections.abc import Iterator

from msgspec import Struct
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from api.errors import Problem
from api.metrics import DURATION_NAME, Result
from api.reading import monitor_age_s, silent_leases
from api.survey import survey
from audit.metrics import JOURNAL_LAG_NAME
from state.store import StateUnavailable
from state.wiring import store

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


class Counted(Struct, frozen=True):
    """Orders checked since the counters began, and the time that checks took.

    `buckets`: of that time in microseconds, how many took no longer than each bound. `journal_lag_s` is the age of the
    oldest decision that is not in the database, None where nobody has said it.
    """

    by_result: dict[str, int]
    by_reason: dict[str, int]
    buckets: dict[float, float]
    journal_lag_s: float | None = None

    @property
    def latency_us(self) -> dict[str, float | None]:
        """Return percentiles of the time that checks took, in microseconds; None: there were none."""
        return {name: percentile(self.buckets, share) for name, share in PERCENTILES.items()}

    @property
    def checked(self) -> int:
        """Return how many orders were decided, what-ifs and repeated answers apart."""
        return self.approved + self.rejected

    @property
    def approved(self) -> int:
        """Return how many orders were approved."""
        return self.by_result.get(Result.APPROVED, 0)

    @property
    def rejected(self) -> int:
        """Return how many orders were blocked, those included that nobody could decide on."""
        return sum(self.by_reason.values())


def counted() -> Counted:
    """Return what was counted, by all processes that share a directory, or else by this one."""
    by_result: dict[str, int] = {}
    by_reason: dict[str, int] = {}
    buckets: dict[float, float] = {}
    lag_s: float | None = None
    for family in _registry().collect():
        for sample in family.samples:
            if sample.name == "risk_order_checks_total":
                by_result[sample.labels["result"]] = int(sample.value)
            elif sample.name == "risk_orders_rejected_total" and sample.value:
                by_reason[sample.labels["reason"]] = int(sample.value)
            elif sample.name == f"{DURATION_NAME}_bucket":
                buckets[float(sample.labels["le"])] = sample.value
            elif sample.name == JOURNAL_LAG_NAME:
                lag_s = sample.value
    return Counted(by_result, by_reason, buckets, lag_s)


def percentile(buckets: dict[float, float], share: float) -> float | None:
    """Return a percentile of a histogram: cumulative counts by upper bound, the last of them infinite.

    Between two bounds it is interpolated; above the last finite bound it is that bound. None without counts.
    """
    bounds = sorted(buckets)
    if not bounds or not buckets[bounds[-1]]:
        return None
    wanted, below, start = share * buckets[bounds[-1]], 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= wanted:
            if bound == float("inf"):
                return start
            return round(start + (bound - start) * (wanted - below) / (buckets[bound] - below), 1)
        below, start = buckets[bound], bound
    return start


def exposition() -> bytes:
    """Return everything in Prometheus' text format."""
    registry = _registry(fresh=True)
    registry.register(_LiveState())
    return generate_latest(registry)


def _registry(*, fresh: bool = False) -> CollectorRegistry:
    """Return what collects the metrics; `fresh` one to which more may be added."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry
    if not fresh:
        return REGISTRY
    registry = CollectorRegistry()
    registry.register(_Everything())
    return registry


class _Everything(Collector):
    """The metrics of this process."""

    def collect(self) -> Iterator[Metric]:
        yield from REGISTRY.collect()


class _LiveState(Collector):
    """Figures that are read from the live state when they are asked for; left out while it is away."""

    def collect(self) -> Iterator[Metric]:
        try:
            seen, age_s, silent = survey(store()), monitor_age_s(store()), silent_leases(store())
        except (StateUnavailable, Problem):
            return
        figures = {
            "risk_current_equity": ("Equity of all accounts, in currency.", seen.equity),
            "risk_current_leverage": ("Gross exposure of all accounts / their equity.", seen.leverage),
            "risk_current_margin_ratio": ("Equity of all accounts / margin used and reserved.", seen.margin_ratio),
            "risk_current_drawdown": ("Fall from its peak of the account that fell farthest.", seen.worst_drawdown),
            "risk_open_positions": ("Positions of all accounts.", seen.active_positions),
            "risk_pending_orders": ("Approved orders not yet closed, of all accounts.", seen.pending_orders),
            "risk_account_state_age_seconds": ("Age of the oldest account state.", seen.oldest_state_s),
            "risk_emergency_stop_active": ("Stops in force.", seen.stops),
            "risk_emergency_stop_unfinished": ("Of these, those that are not completed.", seen.stops_unfinished),
            "risk_emergency_stop_unfinished_seconds": ("Age of the oldest of those.", seen.oldest_unfinished_s),
            "risk_monitor_age_seconds": ("Since the monitor last looked at the accounts.", age_s),
            "risk_silent_leases": ("Leases of OMSs that have run out and were not released.", silent),
        }
        for name, (text, value) in figures.items():
            if value is not None:
                yield GaugeMetricFamily(name, text, value=float(value))
