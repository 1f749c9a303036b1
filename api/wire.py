"""Order checks as bodies: the request of SPEC 3 into an Order, the answer out, the same behind every door."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from feeds import values
from feeds.malformed import FieldError, Malformed, Wrong
from feeds.objects import Parser, read_fields, read_list, read_object
from riskcore.batch import Answered
from riskcore.types import Order, OrderType, Side

# Largest bodies, in bytes.
MOST_CHECK_BYTES = 16 * 1024
MOST_BATCH_BYTES = 1024 * 1024

MOST_ORDERS = 1000

_LONGEST_TTL_S = 86_400
_TTL_PLACES = 6  # microseconds


class BatchRequest(Struct, frozen=True):
    """Orders to be checked in this order; `atomic`: all are approved or none."""

    orders: tuple[Order, ...]
    atomic: bool


def reservation_life_us(raw: bytes) -> int:
    """Return the wanted life of a reservation in microseconds; it is sent in seconds, from 1 to a day."""
    seconds = values.decimal(raw)
    if not 1 <= seconds <= _LONGEST_TTL_S or seconds != round(seconds, _TTL_PLACES):
        raise Wrong(f"must be 1 to {_LONGEST_TTL_S} seconds, with at most {_TTL_PLACES} decimals", "out_of_range")
    return int(seconds * 1_000_000)


ORDER_FIELDS: dict[str, Parser] = {
    "order_id": values.text(64),
    "account_id": values.text(64),
    "account": values.text(64),
    "symbol": values.symbol,
    "side": values.choice(Side),
    "quantity": values.positive,
    "price": values.not_negative,
    "order_type": values.choice(OrderType),
    "strategy_id": values.text(64, blank=True),
    "exchange": values.exchange,
    "reduce_only": values.flag,
    "leverage": values.positive,
    "timestamp": values.moment_us,
    "reservation_ttl": reservation_life_us,
    "what_if": values.flag,
    "stop_id": values.text(64),
}
_REQUIRED = ("order_id", "symbol", "side", "quantity")
_NEEDS_PRICE = (OrderType.LIMIT, OrderType.STOP_LIMIT)


def read_order(body: bytes) -> Order:
    """Return the order in a JSON object. Raises Malformed, with every field that is wrong."""
    found, errors = read_fields(body, ORDER_FIELDS, _REQUIRED)
    wrong = {error.field for error in errors} if errors else ()
    account = found.pop("account", None)
    if account is not None and found.setdefault("account_id", account) != account:
        errors.append(FieldError(field="account", message="names another account than account_id", code="conflict"))
    if "account_id" not in found and "account_id" not in wrong and "account" not in wrong:
        errors.append(FieldError(field="account_id", message="is missing", code="missing"))
    if "price" not in wrong and "order_type" not in wrong:
        _settle_type(found, errors)
    if "stop_id" in found and found.get("reduce_only") is False:
        text = "must be true, or left out: an order that closes a position for a stop only reduces"
        errors.append(FieldError(field="reduce_only", message=text, code="conflict"))
    if errors:
        raise Malformed(errors)
    if "timestamp" in found:
        found["timestamp_us"] = found.pop("timestamp")
    if "reservation_ttl" in found:
        found["ttl_us"] = found.pop("reservation_ttl")
    return Order(**found)


def _settle_type(found: dict[str, Any], errors: list[FieldError]) -> None:
    """A type that is not said follows from the price; one that is must fit it."""
    price, kind = found.get("price"), found.get("order_type")
    if kind is None:
        found["order_type"] = OrderType.LIMIT if price else OrderType.MARKET
    elif kind in _NEEDS_PRICE and not price:
        errors.append(FieldError(field="price", message=f"must be above 0 for a {kind} order", code="missing"))
    elif kind is OrderType.MARKET and price:
        errors.append(FieldError(field="price", message="must be 0 or left out for a MARKET order", code="conflict"))


def _read_orders(raw: bytes) -> tuple[Order, ...]:
    return tuple(read_list(raw, read_order, least=1, most=MOST_ORDERS))


_BATCH_FIELDS: dict[str, Parser] = {"orders": _read_orders, "atomic": values.flag}


def read_batch(body: bytes) -> BatchRequest:
    """Return the orders of a batch. Raises Malformed; the fields are named as in `orders[17].quantity`."""
    return BatchRequest(**{"atomic": False, **read_object(body, _BATCH_FIELDS, ("orders",))})


_RESTRICTION_FIELDS: dict[str, Parser] = {
    "reason": values.text(500),
    "side": values.choice(Side),
    "account_id": values.text(64),
    "close_only": values.flag,
    "until": values.instant,
}


def read_restriction(body: bytes) -> dict[str, Any]:
    """Return what a symbol's restriction says, by name. Raises Malformed, with every field that is wrong."""
    return read_object(body, _RESTRICTION_FIELDS, ("reason",))


def with_time(decision: bytes, took_us: int) -> bytes:
    """Return a decision's JSON with how long it took, in microseconds."""
    return decision[:-1] + b',"processing_time_us":%d}' % took_us


def batch_reply(answers: Sequence[Answered], took_us: int) -> bytes:
    """Return the decisions of a batch, each with the time that the whole batch took."""
    return b'{"decisions":[%b]}' % b",".join([with_time(answer.decision, took_us) for answer in answers])
