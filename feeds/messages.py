"""What flows in: an account's state and prices, as custodians and market data send them (SPEC 8)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TypeVar

from msgspec import Struct

from feeds import values
from feeds.malformed import FieldError, Malformed
from feeds.objects import Parser, read_list, read_object
from riskcore.report import AccountReport
from riskcore.types import Position, position_key

# Largest body, in bytes, and how many prices and positions may come at once.
MOST_BYTES = 1024 * 1024
MOST_PRICES = 10_000
MOST_POSITIONS = 1_000

# A sender's clock may be this far ahead of ours. A stamp from further ahead would make every later report look
# older than it, until that moment has come.
FUTURE_US = 60_000_000

ItemT = TypeVar("ItemT")


class PriceReport(Struct, frozen=True):
    """The last price of a symbol, exact, and the sender's own stamp (0: none)."""

    symbol: str
    price: Decimal
    sent_at_us: int = 0


_POSITION: dict[str, Parser] = {
    "symbol": values.symbol,
    "quantity": values.decimal,
    "entry_price": values.not_negative,
    "mark_price": values.not_negative,
    "margin": values.not_negative,
    "exchange": values.exchange,
}

_PRICE: dict[str, Parser] = {
    "symbol": values.symbol,
    "price": values.positive,
    "timestamp": values.moment_us,
}


def _read_position(raw: bytes) -> Position:
    return Position(**read_object(raw, _POSITION, ("symbol", "quantity")))


def read_positions(raw: bytes) -> list[Position]:
    """Return the positions of an array. Raises Wrong or Malformed."""
    return read_list(raw, _read_position, most=MOST_POSITIONS)


def _read_price(raw: bytes) -> PriceReport:
    found = read_object(raw, _PRICE, ("symbol", "price"))
    return PriceReport(found["symbol"], found["price"], found.get("timestamp", 0))


def _read_prices(raw: bytes) -> list[PriceReport]:
    return read_list(raw, _read_price, most=MOST_PRICES)


_STATE: dict[str, Parser] = {
    "equity": values.decimal,
    "balance": values.decimal,
    "margin_used": values.not_negative,
    "positions": read_positions,
    "peak_equity": values.decimal,
    "daily_start_equity": values.decimal,
    "weekly_start_equity": values.decimal,
    "sequence": values.whole,
    "timestamp": values.moment_us,
}


def read_report(account_id: str, body: bytes, *, home_exchange: str, now_us: int) -> AccountReport:
    """Return an account's state as its custodian sent it.

    Parameters
    ----------
    home_exchange
        Where the account's positions are that name no exchange, "" where nobody knows.
    now_us
        The present moment, in microseconds since the epoch.

    Raises
    ------
    Malformed
        With every field that is wrong.
    """
    found = read_object(body, _STATE, ("equity", "margin_used", "positions"))
    sent_at_us = not_ahead(found.pop("timestamp", 0), now_us, "timestamp")
    positions = by_key(found.pop("positions"), home_exchange)
    return AccountReport(account_id=account_id, positions=positions, sent_at_us=sent_at_us, **found)


def read_prices(body: bytes, *, now_us: int) -> tuple[PriceReport, ...]:
    """Return the prices of a body, each symbol once. Raises Malformed, with every field that is wrong."""
    reports: list[PriceReport] = read_object(body, {"prices": _read_prices}, ("prices",))["prices"]
    for place, report in enumerate(reports):
        not_ahead(report.sent_at_us, now_us, f"prices[{place}].timestamp")
    _refuse_twins(reports, lambda report: report.symbol, "prices")
    return tuple(reports)


def not_ahead(sent_at_us: int, now_us: int, field: str) -> int:
    """Return a sender's stamp. Raises Malformed where it is more than a minute ahead of our clock."""
    if sent_at_us > now_us + FUTURE_US:
        raise Malformed.of(field, "is more than a minute ahead of our clock", "out_of_range")
    return sent_at_us


def by_key(positions: Iterable[Position], home_exchange: str) -> dict[str, Position]:
    """Return the positions by their key, those without an exchange on `home_exchange`; none of quantity zero.

    Raises Malformed where two are in the same symbol and exchange.
    """
    placed = [_at_home(position, home_exchange) for position in positions]
    _refuse_twins(placed, lambda position: position_key(position.symbol, position.exchange), "positions")
    return {position_key(held.symbol, held.exchange): held for held in placed if held.quantity}


def _at_home(position: Position, home_exchange: str) -> Position:
    if position.exchange or not home_exchange:
        return position
    return Position(
        symbol=position.symbol,
        quantity=position.quantity,
        entry_price=position.entry_price,
        mark_price=position.mark_price,
        margin=position.margin,
        exchange=home_exchange,
    )


def _refuse_twins(items: list[ItemT], key: Callable[[ItemT], str], field: str) -> None:
    seen: set[str] = set()
    errors = []
    for place, item in enumerate(items):
        name = key(item)
        if name in seen:
            message = f"{name} is given more than once"
            errors.append(FieldError(field=f"{field}[{place}].symbol", message=message, code="repeated"))
        seen.add(name)
    if errors:
        raise Malformed(errors)
