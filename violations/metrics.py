"""What Prometheus sees of violations. Labels are policies' names, which officers give, and fixed words."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

VIOLATIONS = Counter(
    "risk_violations_total",
    "Violations: episodes that the monitor saw begin, and orders that were blocked for a limit.",
    ["policy_type", "policy_name"],
)
PUBLISHED = Counter("risk_alerts_published_total", "Alerts published, by level.", ["level"])
DEDUPLICATED = Counter(
    "risk_alerts_deduplicated_total", "Observations of violations whose alert had been published before."
)
TRIPS = Counter("risk_circuit_breaker_trips_total", "Times that the circuit breaker has tripped.")
VIOLATION_COUNT = Gauge(
    "risk_circuit_breaker_violation_count",
    "Hard violations that the circuit breaker counts now, of the account that has most.",
    multiprocess_mode="mostrecent",
)
NOTIFICATIONS = Counter(
    "risk_notifications_total",
    "Attempts to send an alert, by channel and what came of it: sent, failed (it is tried again), given_up.",
    ["channel", "result"],
)
