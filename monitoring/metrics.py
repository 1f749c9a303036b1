"""What the monitor counts of itself."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram, Summary

DURATION = Histogram(
    "risk_monitor_tick_duration_seconds",
    "Time that the monitor took to look at every account and to act on what it found.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0, 10.0),
)
SKIPPED = Counter("risk_monitor_ticks_skipped_total", "Looks that were due and not made, because one took too long.")
STAGES = Summary("risk_monitor_stage_seconds", "Time that each part of a look took.", ["stage"])
LEFT_OUT = Counter(
    "risk_monitor_left_out_total", "Times that an account could not be looked at: nothing watches its limits."
)
PART_AGE = Gauge("risk_monitor_part_age_seconds", "Since another part of the accounts was looked at.", ["part"])
UNRECORDED = Counter(
    "risk_monitor_unrecorded_total", "Looks that were not recorded, because one before them still was."
)
UNTOLD = Counter(
    "risk_monitor_untold_total", "Looks that were not told of, because one before them still waited for NATS."
)
