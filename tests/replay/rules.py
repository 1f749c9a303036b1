"""Twenty accounts of four kinds, each kind short of something else, so that the limits really bind."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bench.installation import Rows
from tests.replay.capture import SYMBOL

_EACH = 5


@dataclass(frozen=True)
class Group:
    """Accounts of one capital profile. `margin_rate`: margin that they report, as a fraction of their positions."""

    name: str
    equity: Decimal
    leverage: str
    trade_risk: str
    margin_rate: Decimal
    exchange: str = ""

    @property
    def accounts(self) -> list[str]:
        return [f"{self.name}-{number}" for number in range(_EACH)]


GROUPS = (
    Group("geared", Decimal(40_000), "3", "0.8", Decimal("0.1")),
    Group("capped", Decimal(900_000), "5", "0.05", Decimal("0.1"), exchange="BINANCE"),
    Group("busy", Decimal(1_000_000), "5", "1", Decimal("0.1")),
    Group("pledged", Decimal(30_000), "10", "3", Decimal("0.25"), exchange="BINANCE"),
)

# By capital profile, besides the limits that every installation starts with.
_POLICIES: tuple[tuple[str, str, str, str], ...] = (
    ("capped", "position_value", "<=", "90000"),
    ("capped", "net_exposure", ">=", "-60000"),
    ("capped", "price_deviation", "<=", "0.0002"),
    ("busy", "open_orders", "<=", "24"),
    ("busy", "order_notional", "<=", "45000"),
    ("busy", "pending_notional", "<=", "150000"),
    ("pledged", "margin_ratio", ">=", "1.1"),
    ("geared", "order_quantity", "<=", "0.5"),
)


def rows() -> Rows:
    """Return the defaults of a new installation with these accounts and limits."""
    profiles: list[dict[str, Any]] = [
        {
            "name": group.name,
            "allowed_leverage": group.leverage,
            "max_single_trade_risk": group.trade_risk,
            "max_daily_loss": "0.9",
            "max_weekly_loss": "0.9",
            "max_open_positions": 5,
        }
        for group in GROUPS
    ]
    policies = [
        {
            "name": f"{profile}: {metric} {operator}",
            "metric": metric,
            "operator": operator,
            "threshold": threshold,
            "scope": "profile",
            "scope_ids": [profile],
            "on_breach": "scale_down" if metric == "position_value" else "block",
        }
        for profile, metric, operator, threshold in _POLICIES
    ]
    accounts = [
        {"account_id": account_id, "profile": group.name, "exchange": group.exchange}
        for group in GROUPS
        for account_id in group.accounts
    ]
    instrument = {"symbol": SYMBOL, "tick_size": "0.1", "lot_size": "0.001", "min_quantity": "0.001"}
    return Rows(profiles=profiles, instruments=[instrument], policies=policies, accounts=accounts)
