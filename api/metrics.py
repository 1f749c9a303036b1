"""What the doors count. Labels are bounded: reason codes and results, never anything that a sender chose."""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import Counter, Histogram

from riskcore.reasons import Reason


class Result(StrEnum):
    """How a check ended. Only approved and rejected ones were decided and count as orders."""

    APPROVED = "approved"
    REJECTED = "rejected"
    WHAT_IF = "what_if"
    REPLAYED = "replayed"
    UNAVAILABLE = "unavailable"
    MALFORMED = "malformed"
    DENIED = "denied"


_checks = Counter("risk_order_checks_total", "Orders asked about, by how the check ended.", ["result"])
_approved = Counter("risk_orders_approved_total", "Orders approved.")
_rejected = Counter("risk_orders_rejected_total", "Orders blocked, by reason code.", ["reason"])

DURATION_NAME = "risk_order_check_duration_microseconds"
_duration = Histogram(
    DURATION_NAME,
    "From the arrival of a check's headers to its answer, in microseconds; of a batch, the whole of it.",
    buckets=(
        *(100, 150, 200, 250, 300, 400, 500, 600, 700, 850, 1_000, 1_250, 1_500, 2_000, 3_000, 5_000, 7_500, 10_000),
        *(15_000, 25_000, 50_000, 100_000, 250_000, 1_000_000),
    ),
)

# Looking a label up costs more than counting: every child is looked up once.
_by_result = {result: _checks.labels(result) for result in Result}
_by_reason = {reason: _rejected.labels(reason) for reason in Reason}


def count_result(result: Result, orders: int = 1) -> None:
    """Count checks that ended like this."""
    _by_result[result].inc(orders)


def count_approved() -> None:
    """Count an order as approved."""
    _by_result[Result.APPROVED].inc()
    _approved.inc()


def count_rejected(reason: Reason) -> None:
    """Count an order as blocked."""
    _by_result[Result.REJECTED].inc()
    _by_reason[reason].inc()


def count_undecided(reason: Reason) -> None:
    """Count an order as blocked because nothing could be decided."""
    _by_result[Result.UNAVAILABLE].inc()
    _by_reason[reason].inc()


def observe_us(took_us: int) -> None:
    """Count how long a check, or a whole batch, took."""
    _duration.observe(took_us)
