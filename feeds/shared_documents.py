"""What the keys say that other programs read: an account, and the firm (docs/redis-keys.md).

Amounts are exact decimals in digits; ratios are rounded to six decimals for show, as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal, localcontext

import msgspec
from msgspec import Struct

from feeds.firm import Firm
from feeds.standing import Standing
from riskcore.calendar import moment
from riskcore.decimals import EXACT, INFINITY, shown_ratio, tidy
from riskcore.metrics import METRICS, Kind
from riskcore.overview import trading_state_of
from riskcore.ports import Control, Stop, StopScope
from riskcore.types import TradingState

_OF_ACCOUNT = tuple(metric for metric in METRICS.values() if metric.kind is Kind.ACCOUNT)
_encoder = msgspec.json.Encoder()


class SharedPosition(Struct, frozen=True, kw_only=True):
    """What an account holds of a symbol on an exchange. `quantity` is signed; `mark` None: there is no price."""

    symbol: str
    exchange: str
    quantity: str
    entry_price: str
    mark: str | None
    margin: str


class SharedOrders(Struct, frozen=True, kw_only=True):
    """The open orders of an account in a symbol on an exchange, each side by itself."""

    symbol: str
    exchange: str
    buy_count: int
    sell_count: int
    buy_quantity: str
    sell_quantity: str
    buy_notional: str
    sell_notional: str


class SharedAccount(Struct, frozen=True, kw_only=True):
    """What `account:state:ID` says. Amounts in currency, metrics as `GET /risk/metrics/ID` names and rounds them."""

    account_id: str
    version: int
    written_at: datetime
    state_at: datetime
    sequence: int | None
    fresh: bool
    enabled: bool
    profile: str
    trading_state: TradingState
    policy_book_version: int
    equity: str
    balance: str
    margin_used: str
    peak_equity: str
    daily_start_equity: str
    weekly_start_equity: str
    positions: tuple[SharedPosition, ...]
    open_orders: tuple[SharedOrders, ...]
    metrics: dict[str, str | None]


def account_text(standing: Standing, control: Control) -> bytes:
    """Return what is said of an account, as JSON."""
    with localcontext(EXACT):
        return _encoder.encode(account_document(standing, control))


def account_document(standing: Standing, control: Control) -> SharedAccount:
    """Return what is said of an account."""
    state, picture = standing.state, standing.picture
    return SharedAccount(
        account_id=state.account_id,
        version=standing.version,
        written_at=moment(picture.now_us),
        state_at=moment(state.received_at_us),
        sequence=state.sequence if state.sequence >= 0 else None,
        fresh=standing.fresh,
        enabled=picture.account.enabled,
        profile=picture.account.profile,
        trading_state=trading_state_of(picture.account, control.stops),
        policy_book_version=control.book_version,
        equity=digits(state.equity),
        balance=digits(state.balance),
        margin_used=digits(state.margin_used),
        peak_equity=digits(state.peak_equity),
        daily_start_equity=digits(state.daily_start_equity),
        weekly_start_equity=digits(state.weekly_start_equity),
        positions=tuple(_positions(standing)),
        open_orders=tuple(_orders(standing)),
        metrics=_metrics(standing),
    )


def snapshot_fields(firm: Firm, control: Control, now_us: int) -> dict[str, str]:
    """Return what is said of the firm; empty where a figure is not known or not defined."""
    return {
        "written_at": _iso(now_us),
        "oldest_state_at": _iso(firm.oldest_state_us),
        "accounts": str(firm.accounts),
        "accounts_valued": str(firm.valued),
        "accounts_fresh": str(firm.fresh),
        "equity": digits(firm.equity),
        "gross_exposure": digits(firm.gross),
        "net_exposure": digits(firm.net),
        "leverage": _ratio(firm.leverage),
        "margin_used": digits(firm.margin_used),
        "margin_reserved": digits(firm.margin_reserved),
        "margin_available": digits(firm.margin_available),
        "margin_ratio": _ratio(firm.margin_ratio),
        "unrealized_pnl": digits(firm.unrealized_pnl),
        "worst_drawdown": _ratio(firm.worst_drawdown),
        "worst_drawdown_account": firm.worst_account,
        "open_positions": str(firm.open_positions),
        "pending_orders": str(firm.pending_orders),
        "pending_notional": digits(firm.pending_notional),
        "trading_state": _of_everything(control.stops).value,
        "stops": str(len(control.stops)),
        "policy_book_version": str(control.book_version),
    }


def _of_everything(stops: tuple[Stop, ...]) -> TradingState:
    """Return the trading state of what no narrower stop is on."""
    found = {stop.state for stop in stops if stop.scope is StopScope.GLOBAL}
    if TradingState.HALTED in found:
        return TradingState.HALTED
    return TradingState.REDUCING if found else TradingState.ACTIVE


def _positions(standing: Standing) -> Iterator[SharedPosition]:
    legs = standing.picture.legs or {}
    for key, position in standing.state.positions.items():
        yield SharedPosition(
            symbol=position.symbol,
            exchange=position.exchange,
            quantity=digits(position.quantity),
            entry_price=digits(position.entry_price),
            mark=digits(legs[key].mark) if key in legs else None,
            margin=digits(position.margin),
        )


def _orders(standing: Standing) -> Iterator[SharedOrders]:
    for opened in standing.picture.ledger.open.values():
        yield SharedOrders(
            symbol=opened.symbol,
            exchange=opened.exchange,
            buy_count=opened.buy_count,
            sell_count=opened.sell_count,
            buy_quantity=digits(opened.buy_quantity),
            sell_quantity=digits(opened.sell_quantity),
            buy_notional=digits(opened.buy_notional),
            sell_notional=digits(opened.sell_notional),
        )


def _metrics(standing: Standing) -> dict[str, str | None]:
    whole = standing.picture.whole
    if whole is None:
        return {}
    values = ((metric, metric.value(whole)) for metric in _OF_ACCOUNT)
    return {metric.name: None if value is None else digits(metric.show(value)) for metric, value in values}


def digits(value: Decimal) -> str:
    """Return a number in digits, without exponent or trailing zeros."""
    return f"{tidy(value):f}" if abs(value) < INFINITY else str(value)


def _ratio(value: Decimal | None) -> str:
    return "" if value is None else digits(shown_ratio(value))


def _iso(at_us: int) -> str:
    return _encoder.encode(moment(at_us)).decode().strip('"') if at_us else ""
