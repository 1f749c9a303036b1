"""What a look found, told to whoever listens on NATS."""

from __future__ import annotations

from decimal import localcontext

import msgspec
from msgspec import Raw

from bus import publish as bus
from bus.events import AccountFigures, MetricsTick
from monitoring.garbage import held_back
from monitoring.look import Look
from riskcore.decimals import EXACT
from riskcore.glance import Glance
from riskcore.overview import shown_metrics

# Accounts of one message: it stays far below the megabyte that NATS takes.
_TOGETHER = 200

_encoder = msgspec.json.Encoder()


class Teller:
    """Tells of one look after the other. What has not changed since the last one is not worked out again."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[Glance, Raw]] = {}

    def tell(self, seen: Look) -> None:
        """Publish the metrics of the firm, where it is known, and then of every account."""
        with localcontext(EXACT), held_back():
            self._told = {one.account_id: (one, self._figures(one)) for one in seen.all}
        figures = [figures for _, figures in self._told.values()]
        parts = -(-len(figures) // _TOGETHER)
        for part in range(parts):
            some = tuple(figures[part * _TOGETHER : (part + 1) * _TOGETHER])
            bus.publish(MetricsTick(at=seen.at, part=part + 1, parts=parts, accounts=some))

    def _figures(self, one: Glance) -> Raw:
        told = self._told.get(one.account_id)
        if told is not None and told[0] is one:
            return told[1]
        figures = AccountFigures(
            account_id=one.account_id,
            risk_level=one.level.value,
            risk_score=one.score,
            metrics=shown_metrics(one.whole, tail=False),
        )
        return Raw(_encoder.encode(figures))
