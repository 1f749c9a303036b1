"""The bodies as OpenAPI 3.1 schemas: requests by hand, beside the fields of `wire`; replies from their structs."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from api.rest import alert_schemas, lease_schemas, policy_schemas, stop_schemas
from api.wire import MOST_ORDERS, ORDER_FIELDS
from feeds.messages import MOST_POSITIONS, MOST_PRICES
from feeds.values import PLACES, WHOLE_DIGITS
from riskcore.overview import AccountOverview
from riskcore.signal import GlobalSignal
from riskcore.types import Decision, OrderType, Side

Schema: TypeAlias = dict[str, Any]

# What of an account is shown beside its limits.
SUMMARY = ("account_id", "enabled", "profile", "fresh", "state_at", "state_age_ms", "risk_level", "trading_state")

# What a portfolio has of an account's overview; the firm's has no id.
PORTFOLIO = (
    *("account_id", "fresh", "state_at", "state_age_ms", "stale_prices", "missing_prices"),
    *("equity", "balance", "margin_used", "peak_equity", "daily_start_equity", "weekly_start_equity"),
    *("metrics", "value_at_risk", "positions", "binding_limit", "risk_level", "risk_score", "trading_state"),
    "policy_book_version",
)

_REFERENCE = "#/components/schemas/{name}"


def ref(name: str) -> Schema:
    """Return the reference to a component."""
    return {"$ref": _REFERENCE.format(name=name)}


def number(description: str, *, above: int | None = None, least: int | None = None) -> Schema:
    """Return the schema of an exact decimal in a request."""
    bounds: Schema = {} if above is None else {"exclusiveMinimum": above}
    if least is not None:
        bounds["minimum"] = least
    return {
        "description": f"{description} A number or the same as text; at most {WHOLE_DIGITS} digits before and"
        f" {PLACES} after the point, taken exactly.",
        "oneOf": [{"type": "number", **bounds}, {"type": "string", "pattern": r"^-?\d+(\.\d+)?([eE][+-]?\d+)?$"}],
    }


def text(description: str, longest: int = 64, least: int = 1) -> Schema:
    """Return the schema of a name in a request."""
    return {"type": "string", "minLength": least, "maxLength": longest, "description": description}


def _flag(description: str) -> Schema:
    return {"type": "boolean", "default": False, "description": description}


def _object(properties: Schema, required: list[str], **more: Any) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
        **more,
    }


_TIME: Schema = {
    "type": "integer",
    "minimum": 1,
    "description": "Seconds, milliseconds or microseconds since the epoch, told apart by size.",
}

ORDER_EXAMPLE: Schema = {
    "order_id": "7f3c-0001",
    "account_id": "DESK-1",
    "symbol": "BTCUSDT",
    "side": "BUY",
    "quantity": "0.25",
    "price": "50000.50",
    "order_type": "LIMIT",
    "strategy_id": "momentum",
}

_ORDER_PROPERTIES: Schema = {
    "order_id": text(
        "Idempotency key within the account: the same id with the same body gets the first decision again, for"
        " at least 24 hours; with another body it is blocked as duplicate_order."
    ),
    "account_id": text("The account; required, unless account is given."),
    "account": text("The same as account_id."),
    "symbol": text("Upper-cased.", 32),
    "side": {"type": "string", "enum": list(Side), "description": "In any case."},
    "quantity": number("Units of the instrument.", above=0),
    "price": number("Currency per unit; 0 or absent for a MARKET order.", least=0),
    "order_type": {
        "type": "string",
        "enum": list(OrderType),
        "description": "In any case. Absent: LIMIT if there is a price above 0, else MARKET.",
    },
    "strategy_id": text("", least=0),
    "exchange": text("Upper-cased. Absent: the account's.", least=0),
    "reduce_only": _flag("Block the order unless it strictly reduces a position."),
    "leverage": number("The leverage (x) that the venue would apply.", above=0),
    "timestamp": {**_TIME, "description": f"The sender's own time; recorded only. {_TIME['description']}"},
    "reservation_ttl": number("How long an approval reserves, in seconds: 1 to 86400.", least=1),
    "what_if": _flag("Only work the answer out: nothing is reserved, and it is no approval."),
    "stop_id": text(
        "The emergency stop for which the order closes a position. Where that stop is in force, covers the order and"
        " unwinds, no stop blocks it; it passes only if it strictly reduces the position."
    ),
}
assert _ORDER_PROPERTIES.keys() == ORDER_FIELDS.keys()

_ORDER = _object(_ORDER_PROPERTIES, ["order_id", "symbol", "side", "quantity"], examples=[ORDER_EXAMPLE])

_BATCH = _object(
    {
        "orders": {"type": "array", "items": ref("Order"), "minItems": 1, "maxItems": MOST_ORDERS},
        "atomic": _flag("Approve all orders or none."),
    },
    ["orders"],
)

_POSITION = _object(
    {
        "symbol": text("Upper-cased.", 32),
        "quantity": number("Signed: below zero is short."),
        "entry_price": number("Currency per unit.", least=0),
        "mark_price": number("Currency per unit; used while it is fresher than the price feed's.", least=0),
        "margin": number("Currency.", least=0),
        "exchange": text("Upper-cased. Absent: the account's.", least=0),
    },
    ["symbol", "quantity"],
)

_STATE = _object(
    {
        "equity": number("Currency."),
        "balance": number("Currency. Absent: the equity."),
        "margin_used": number("Currency.", least=0),
        "positions": {"type": "array", "items": ref("PositionReport"), "maxItems": MOST_POSITIONS},
        "peak_equity": number("Currency. Absent: the highest equity that was reported."),
        "daily_start_equity": number("Currency. Absent: the last equity before the trading day began."),
        "weekly_start_equity": number("Currency. Absent: the last equity before the trading week began."),
        "sequence": {"type": "integer", "minimum": 0, "description": "A report not above the last one is ignored."},
        "timestamp": _TIME,
    },
    ["equity", "margin_used", "positions"],
)

_PRICE = _object(
    {
        "symbol": text("Upper-cased.", 32),
        "price": number("Currency per unit.", above=0),
        "timestamp": {**_TIME, "description": f"An older price is ignored. {_TIME['description']}"},
    },
    ["symbol", "price"],
)

_PRICES = _object({"prices": {"type": "array", "items": ref("PriceReport"), "maxItems": MOST_PRICES}}, ["prices"])

_RESTRICTION = _object(
    {
        "reason": text("Why; traders see it.", 500),
        "side": {"type": "string", "enum": list(Side), "description": "Absent: both."},
        "account_id": text("Absent: every account."),
        "close_only": _flag("Orders that strictly reduce a position still pass."),
        "until": {
            "oneOf": [{"type": "string", "format": "date-time"}, _TIME],
            "description": "Absent: until it is lifted.",
        },
    },
    ["reason"],
)

_PROBLEM = {
    "type": "object",
    "description": "RFC 9457.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "A stable name for machines."},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "field": {"type": "string", "examples": ["orders[17].quantity"]},
                    "message": {"type": "string"},
                    "code": {"type": "string"},
                },
                "required": ["field", "message", "code"],
            },
        },
    },
    "required": ["type", "title", "status", "code", "detail"],
}


class CheckReply(Decision, frozen=True, kw_only=True):
    """The decision on an order. A block is HTTP 200 with approved false."""

    processing_time_us: int


class BatchReply(Struct, frozen=True):
    """The decisions on a batch, in its order."""

    decisions: tuple[CheckReply, ...]


def components() -> Schema:
    """Return every schema that others refer to, by name."""
    _, replies = msgspec.json.schema_components(
        (CheckReply, BatchReply, AccountOverview, GlobalSignal), ref_template=_REFERENCE
    )
    whole = replies["AccountOverview"]
    return {
        **replies,
        "AccountMetrics": _part(whole, set(whole["properties"]) - {"limits"}),
        "Portfolio": _part(whole, set(PORTFOLIO)),
        "AccountLimits": _part(whole, {*SUMMARY, "binding_limit", "limits", "policy_book_version"}),
        "Order": _ORDER,
        "OrderBatch": _BATCH,
        "AccountReport": _STATE,
        "PositionReport": _POSITION,
        "PriceReport": _PRICE,
        "PriceReports": _PRICES,
        "Restriction": _RESTRICTION,
        **alert_schemas.COMPONENTS,
        **stop_schemas.COMPONENTS,
        **lease_schemas.COMPONENTS,
        **policy_schemas.COMPONENTS,
        "Problem": _PROBLEM,
    }


def _part(whole: Schema, names: set[str]) -> Schema:
    """Return the schema of some members of an object."""
    properties = {name: each for name, each in whole["properties"].items() if name in names}
    return {"type": "object", "properties": properties, "required": sorted(properties)}


def page(item: Schema) -> Schema:
    """Return the schema of a list's page."""
    following = {"type": ["string", "null"], "description": "The cursor of the next page; null: this is the last."}
    return {
        "type": "object",
        "properties": {"results": {"type": "array", "items": item}, "next": following},
        "required": ["results", "next"],
    }
