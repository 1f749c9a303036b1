"""What a look found, told to whoever listens on NATS, and to those who serve browsers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Raw

from bus import publish as bus
from bus.events import AccountFigures, MetricsTick
from monitoring.metrics import UNTOLD
from riskcore.decimals import tidy
from riskcore.glance import Glance
from riskcore.overview import shown_metrics

# Accounts of one message: it stays far below the megabyte that NATS takes.
_TOGETHER = 200

# With so many messages before it, of whatever, a look would be told too late to be of use.
_MOST_WAITING = 100

_encoder = msgspec.json.Encoder()


def figures_of(one: Glance) -> Raw:
    """Return what is told of an account, or of the firm. Call it in the context `EXACT`."""
    figures = AccountFigures(
        account_id=one.account_id,
        risk_level=one.level.value,
        risk_score=one.score,
        binding_limit="" if one.binding is None else one.binding.policy.name,
        equity=None if one.whole is None else tidy(one.whole.state.equity),
        metrics=shown_metrics(one.whole, tail=False),
    )
    return Raw(_encoder.encode(figures))


def tell(at: datetime, figures: Sequence[Raw]) -> None:
    """Publish what was seen at a moment, unless too much that was seen before still waits for NATS.

    That would be of no use when it is there, and of ten thousand accounts it is five megabytes a second.
    """
    parts = -(-len(figures) // _TOGETHER)
    if bus.waiting() > _MOST_WAITING:
        UNTOLD.inc()
        return
    for part in range(parts):
        some = tuple(figures[part * _TOGETHER : (part + 1) * _TOGETHER])
        bus.publish(MetricsTick(at=at, part=part + 1, parts=parts, accounts=some))
