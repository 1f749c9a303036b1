"""Short ways to make changes, and a store that is not there."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from policies import services
from policies.models import Account, CapitalProfile, Instrument, Policy, RestrictedSymbol
from riskcore.book import Book, decode_book
from state.store import StateUnavailable, Store

WHO: dict[str, Any] = {"actor": "alice", "reason": "because"}


class AwayStore:
    """A store whose server is down."""

    def publish_book(self, version: int, content: bytes) -> int:
        raise StateUnavailable("connection refused")

    def control(self) -> None:
        raise StateUnavailable("connection refused")


def limit(name: str = "Max Order Notional", **fields: Any) -> services.Change[Policy]:
    wanted: dict[str, Any] = {"metric": "order_notional", "threshold": Decimal(1000)}
    return services.do_create_policy(**WHO, name=name, **{**wanted, **fields})


def profile(name: str = "wide", **fields: Any) -> services.Change[CapitalProfile]:
    wanted: dict[str, Any] = {
        "allowed_leverage": Decimal(10),
        "max_single_trade_risk": Decimal("0.5"),
        "max_daily_loss": Decimal("0.05"),
        "max_weekly_loss": Decimal("0.1"),
        "max_open_positions": 10,
    }
    return services.do_create_profile(**WHO, name=name, **{**wanted, **fields})


def account(account_id: str = "desk-1", **fields: Any) -> services.Change[Account]:
    wanted: dict[str, Any] = {"profile": "normal"}
    return services.do_create_account(**WHO, account_id=account_id, **{**wanted, **fields})


def instrument(symbol: str = "BTCUSDT", **fields: Any) -> services.Change[Instrument]:
    wanted: dict[str, Any] = {"tick_size": Decimal("0.01")}
    return services.do_create_instrument(**WHO, symbol=symbol, **{**wanted, **fields})


def restriction(symbol: str = "DOGEUSDT", **fields: Any) -> services.Change[RestrictedSymbol]:
    return services.do_restrict_symbol(**WHO, symbol=symbol, **fields)


def live_book(store: Store) -> Book:
    """Return the book that the next order is checked against."""
    control = store.control()
    assert control is not None
    content = store.fetch_book(control.book_version)
    assert content is not None
    return decode_book(content)
