"""What a hostile client sends where an order is expected: the bench measures it, the tests of the doors refuse it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

CHECK, BATCH = "/risk/check", "/risk/check/batch"

# What a field that wants an exact decimal must not be taken for, as it stands in the body.
NUMBERS = {
    "NaN": b"NaN",
    "infinity": b"Infinity",
    "minus infinity": b"-Infinity",
    "NaN in quotes": b'"NaN"',
    "infinity in quotes": b'"Infinity"',
    "an endless exponent": b"1e400",
    "an exponent of thousands": b"1e9999999",
    "an exponent in quotes": b'"1e400"',
    "minus zero": b"-0",
    "minus zero with decimals": b"-0.00",
    "true": b"true",
    "null": b"null",
    "underscore": b'"1_000"',
    "bare underscore": b"1_000",
    "Arabic digits": '"\u0661\u0662"'.encode(),
    "bare Arabic digits": "\u0661\u0662".encode(),
    "full-width digits": '"\uff11"'.encode(),
    "plus": b"+1",
    "plus in quotes": b'"+1"',
    "leading zero": b"01",
    "leading zero in quotes": b'"01"',
    "blank": b'" 1"',
    "line feed": b'"1\\n"',
    "empty": b'""',
    "hexadecimal": b'"0x10"',
    "comma": b'"1,000"',
    "point alone": b'"1."',
    "negative": b"-1",
    "too many digits": b'"123456789012345678901"',
    "too many places": b'"0.0000000000001"',
    "array": b"[1]",
    "object": b'{"a":1}',
    "7,000 deep": b"[" * 7_000 + b"]" * 7_000,
}

# Those of them that are measured: the others take the same ways.
_MEASURED = (
    "NaN",
    "infinity",
    "an endless exponent",
    "minus zero",
    "true",
    "underscore",
    "Arabic digits",
    "7,000 deep",
)

_DEEP = 10_000
_LONG = 10_000_000
_ORDERS, _FIELDS = 1000, 100  # nearly as many bytes as a batch may have


class Hostile(Struct, frozen=True, kw_only=True):
    """A body that must be refused. `field` is what the answer must name; empty: it is too long to be read.

    `chunked`: it is sent without saying how long it is.
    """

    name: str
    body: bytes
    field: str = ""
    path: str = CHECK
    chunked: bool = False


def with_price(order: Mapping[str, Any], price: bytes) -> bytes:
    """Return an order's body with these bytes as its price."""
    return msgspec.json.encode({**order, "price": msgspec.Raw(price)})


def hostile_bodies(order: Mapping[str, Any]) -> tuple[Hostile, ...]:
    """Return what is sent in the place of an order that would be approved."""
    good = msgspec.json.encode(order)
    deep = with_price(order, b"[" * _DEEP + b"]" * _DEEP)
    unknown = msgspec.json.encode({f"x{number}": number for number in range(_FIELDS)})
    return (
        *(Hostile(name=f"price: {name}", body=with_price(order, NUMBERS[name]), field="price") for name in _MEASURED),
        Hostile(name="a key twice", body=good[:-1] + b',"quantity":"9"}', field="quantity"),
        Hostile(name="10,000 deep", body=b"[" * _DEEP, field="body"),
        Hostile(name="cut off after 2,000 keys", body=b'{"a":1,' * 2_000, field="body"),
        Hostile(name="batch: price 10,000 deep", body=_batch(deep), field="orders[0].price", path=BATCH),
        Hostile(
            name="batch: 100 unknown fields an order",
            body=_batch(*[unknown] * _ORDERS),
            field="orders[0].x0",
            path=BATCH,
        ),
        Hostile(name="10 MB", body=good + b" " * _LONG),
        Hostile(name="10 MB in chunks", body=good + b" " * _LONG, chunked=True),
    )


def _batch(*orders: bytes) -> bytes:
    return b'{"orders":[%b]}' % b",".join(orders)
