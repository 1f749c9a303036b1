"""What a look found, told to whoever listens on NATS."""

from __future__ import annotations

from decimal import localcontext

from bus import publish as bus
from bus.events import AccountFigures, MetricsTick
from monitoring.look import Look
from riskcore.decimals import EXACT
from riskcore.overview import shown_metrics
from riskcore.signal import Read, standing_of

# Accounts of one message: it stays far below the megabyte that NATS takes.
_TOGETHER = 200


def tell(seen: Look) -> None:
    """Publish the metrics of every account and of the firm, which comes first."""
    figures = [_figures(one) for one in (seen.firm, *seen.accounts)]
    parts = -(-len(figures) // _TOGETHER)
    for part in range(parts):
        some = tuple(figures[part * _TOGETHER : (part + 1) * _TOGETHER])
        bus.publish(MetricsTick(at=seen.at, part=part + 1, parts=parts, accounts=some))


def _figures(one: Read) -> AccountFigures:
    with localcontext(EXACT):
        level, score = standing_of(one)
        return AccountFigures(
            account_id=one.picture.account.id,
            risk_level=level.value,
            risk_score=score,
            metrics=shown_metrics(one.picture, tail=False),
        )
