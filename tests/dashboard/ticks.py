"""What the monitor tells, as it travels."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
from msgspec import Raw

from bus.events import AccountFigures, MetricsTick


def tick(*, second: int = 0, accounts: dict[str, str] | None = None, part: int = 1, parts: int = 1) -> bytes:
    """Return a message of a look at a second, of accounts with their equity in currency."""
    told = tuple(
        Raw(
            msgspec.json.encode(
                AccountFigures(
                    account_id=account_id,
                    risk_level="INFO",
                    risk_score=Decimal(10),
                    binding_limit="Max Leverage",
                    equity=Decimal(equity),
                    metrics={"gross_exposure": Decimal(1)},
                )
            )
        )
        for account_id, equity in (accounts or {}).items()
    )
    at = datetime(2026, 1, 2, 0, 0, second, tzinfo=UTC)
    return MetricsTick(at=at, part=part, parts=parts, accounts=told).payload()
