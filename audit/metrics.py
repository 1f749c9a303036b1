"""What Prometheus sees of the journal."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

JOURNAL_LAG_NAME = "risk_journal_lag_seconds"
JOURNAL_LAG = Gauge(
    JOURNAL_LAG_NAME,
    "Age of the oldest journal entry that is not in the database yet",
    multiprocess_mode="mostrecent",
)
JOURNAL_REJECTS = Counter(
    "risk_journal_rejects",
    "Journal entries kept as rejects because they could not be read or stored as what they should be",
)
