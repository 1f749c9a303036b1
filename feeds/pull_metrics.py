"""What pulling counts. Labels are bounded: how a call or a look ended."""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import Counter, Gauge, Histogram


class MonitorResult(StrEnum):
    """What became of asking for an account's state."""

    TAKEN = "taken"
    KNOWN = "known"  # it came before, or a newer one did
    UNKNOWN_ACCOUNT = "unknown_account"  # to the monitor
    MALFORMED = "malformed"
    ANOTHER_ACCOUNT = "another_account"
    DEADLINE = "deadline"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"
    NOT_CALLED = "not_called"  # the breaker is open
    NOT_KEPT = "not_kept"  # the live state did not take it


class PriceResult(StrEnum):
    """What became of looking for a symbol's price."""

    TAKEN = "taken"
    NOT_SEEN_WRITTEN = "not_seen_written"
    MISSING = "missing"
    MALFORMED = "malformed"
    UNAVAILABLE = "unavailable"
    CLOCKS_APART = "clocks_apart"  # the market's and the live state's: ages would be wrong
    NOT_ASKED = "not_asked"  # the breaker is open
    NOT_KEPT = "not_kept"  # the live state did not take it


_calls = Counter("risk_account_monitor_calls_total", "States asked of the Account Monitor, by result.", ["result"])
call_breaker = Gauge(
    "risk_account_monitor_breaker_state",
    "0: calls are made. 1: one is tried. 2: none is made. Of the process in which it changed last.",
    multiprocess_mode="mostrecent",
)
call_duration = Histogram(
    "risk_account_monitor_call_duration_microseconds",
    "From a call of the Account Monitor to its answer or its end without one, in microseconds.",
    buckets=(100, 200, 300, 500, 750, 1_000, 2_000, 3_000, 5_000, 10_000, 20_000, 50_000, 100_000, 250_000, 1_000_000),
)
price_hits = Counter("risk_price_cache_hits_total", "Prices that a check needed and that were looked at just before.")
price_misses = Counter("risk_price_cache_misses_total", "Prices that a check needed and that had to be looked at.")
_looks = Counter("risk_price_looks_total", "Prices looked for in the market's Redis, by result.", ["result"])
price_breaker = Gauge(
    "risk_price_breaker_state",
    "0: prices are looked at. 1: one look is tried. 2: none is made. Of the process in which it changed last.",
    multiprocess_mode="mostrecent",
)

# Looking a label up costs more than counting.
_calls_by = {result: _calls.labels(result) for result in MonitorResult}
_looks_by = {result: _looks.labels(result) for result in PriceResult}


def count_call(result: MonitorResult) -> None:
    """Count a state that was asked for."""
    _calls_by[result].inc()


def count_looks(result: PriceResult, symbols: int) -> None:
    """Count prices that were looked for."""
    if symbols:
        _looks_by[result].inc(symbols)
