"""What venues, custodians and the OMS publish over NATS (SPEC 8): each subject's payload as a typed message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, TypeAlias

from msgspec.structs import replace

from feeds import values
from feeds.malformed import Malformed
from feeds.messages import PriceReport, by_key, not_ahead, read_positions
from feeds.objects import Parser, read_object
from riskcore.flow import CloseStatus, Fill, OrderClosed
from riskcore.report import PnlReport, PositionsReport
from riskcore.types import Side

# What tells of an account.
AccountMessage: TypeAlias = Fill | OrderClosed | PositionsReport | PnlReport

TICKS = "market.tick."
FILLS = "fills.confirmed"
POSITIONS = "positions.update"
PNL = "pnl.update"
CLOSED = "orders.closed"

_identifier = values.text(64)


def _status(raw: bytes) -> CloseStatus:
    return CloseStatus.CANCELLED if raw.lower() == b'"canceled"' else _status_of(raw)


_status_of = values.choice(CloseStatus)

_TICK: dict[str, Parser] = {
    "symbol": values.symbol,
    "price": values.positive,
    "bid": values.not_negative,
    "ask": values.not_negative,
    "timestamp": values.moment_us,
}
_FILL: dict[str, Parser] = {
    "fill_id": _identifier,
    "order_id": _identifier,
    "account_id": _identifier,
    "symbol": values.symbol,
    "side": values.choice(Side),
    "quantity": values.positive,
    "price": values.not_negative,
    "fee": values.decimal,
    "timestamp": values.moment_us,
    "exchange": values.exchange,
}
_POSITIONS: dict[str, Parser] = {
    "account_id": _identifier,
    "sequence": values.whole,
    "positions": read_positions,
    "timestamp": values.moment_us,
}
_PNL: dict[str, Parser] = {
    "account_id": _identifier,
    "sequence": values.whole,
    "equity": values.decimal,
    "balance": values.decimal,
    "margin_used": values.not_negative,
    "realized_pnl": values.decimal,
    "unrealized_pnl": values.decimal,
    "timestamp": values.moment_us,
}
_CLOSED: dict[str, Parser] = {
    "account_id": _identifier,
    "order_id": _identifier,
    "status": _status,
    "timestamp": values.moment_us,
}


def read_tick(subject: str, payload: bytes, *, now_us: int) -> PriceReport:
    """Return the price in a message on `market.tick.SYMBOL`. Raises Malformed, with every field that is wrong."""
    found = read_object(payload, _TICK, ("symbol", "price"))
    if subject.removeprefix(TICKS).upper() != found["symbol"]:
        raise Malformed.of("symbol", f"is {found['symbol']}, but it came on {subject}", "another_symbol")
    return PriceReport(found["symbol"], found["price"], _stamp(found, now_us))


def read_message(subject: str, payload: bytes, *, now_us: int) -> AccountMessage:
    """Return what a message on one of the account subjects says. Raises Malformed, with every field that is wrong.

    Positions and fills that name no exchange have none yet: `at_home` gives them their account's.
    """
    read = _READERS.get(subject)
    if read is None:
        raise Malformed.of("subject", f"{subject} is not one that is read", "unknown_subject")
    return read(payload, now_us)


def at_home(message: AccountMessage, exchange: str) -> AccountMessage:
    """Return the message with the account's own `exchange` where a position names none."""
    if isinstance(message, PositionsReport) and exchange:
        return replace(message, positions=by_key(message.positions.values(), exchange))
    return message


def _read_fill(payload: bytes, now_us: int) -> Fill:
    needed = ("fill_id", "order_id", "account_id", "symbol", "side", "quantity", "price", "timestamp")
    found = read_object(payload, _FILL, needed)
    found.pop("fee", None)
    return Fill(sent_at_us=_stamp(found, now_us), **_without_stamp(found))


def _read_positions_update(payload: bytes, now_us: int) -> PositionsReport:
    found = read_object(payload, _POSITIONS, ("account_id", "positions"))
    return PositionsReport(
        account_id=found["account_id"],
        positions=by_key(found["positions"], ""),
        sequence=found.get("sequence", -1),
        sent_at_us=_stamp(found, now_us),
    )


def _read_pnl_update(payload: bytes, now_us: int) -> PnlReport:
    found = read_object(payload, _PNL, ("account_id", "equity", "margin_used"))
    balance: Decimal | None = found.get("balance")
    return PnlReport(
        account_id=found["account_id"],
        equity=found["equity"],
        margin_used=found["margin_used"],
        balance=balance,
        sequence=found.get("sequence", -1),
        sent_at_us=_stamp(found, now_us),
    )


def _read_closed(payload: bytes, now_us: int) -> OrderClosed:
    found = read_object(payload, _CLOSED, ("account_id", "order_id", "status", "timestamp"))
    return OrderClosed(sent_at_us=_stamp(found, now_us), **_without_stamp(found))


def _stamp(found: dict[str, Any], now_us: int) -> int:
    return not_ahead(found.get("timestamp", 0), now_us, "timestamp")


def _without_stamp(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name != "timestamp"}


_READERS: Mapping[str, Callable[[bytes, int], AccountMessage]] = MappingProxyType(
    {FILLS: _read_fill, POSITIONS: _read_positions_update, PNL: _read_pnl_update, CLOSED: _read_closed}
)
ACCOUNT_SUBJECTS = tuple(_READERS)
