"""What is published over NATS: read strictly and exactly, refused with every field that is wrong."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from feeds.malformed import Malformed
from feeds.messages import FUTURE_US, PriceReport
from feeds.published import CLOSED, FILLS, PNL, POSITIONS, at_home, read_message, read_tick
from riskcore.flow import CloseStatus, Fill, OrderClosed
from riskcore.report import PnlReport, PositionsReport
from riskcore.types import Position, Side

NOW_US = 1_790_000_000_000_000
AT_MS = NOW_US // 1000

FILL = {
    "fill_id": "f1",
    "order_id": "o1",
    "account_id": "A",
    "symbol": "btcusdt",
    "side": "buy",
    "quantity": "0.10",
    "price": 50000.5,
    "fee": "-0.01",
    "timestamp": AT_MS,
}
HELD = {"symbol": "BTCUSDT", "quantity": "-2", "entry_price": 1, "mark_price": 2, "margin": 3}
UPDATE = {"account_id": "A", "sequence": 7, "positions": [HELD], "timestamp": AT_MS}
MONEY = {
    "account_id": "A",
    "sequence": 8,
    "equity": "-5",
    "balance": 1,
    "margin_used": "2",
    "realized_pnl": "-3",
    "unrealized_pnl": 4,
    "timestamp": AT_MS,
}
ENDED = {"account_id": "A", "order_id": "o1", "status": "Cancelled", "timestamp": AT_MS}
TICK = {"symbol": "btcusdt", "price": "50000.10", "bid": 50000, "ask": "50001", "timestamp": AT_MS}
MESSAGES = {FILLS: FILL, POSITIONS: UPDATE, PNL: MONEY, CLOSED: ENDED}


def read(subject: str, **other: Any) -> Any:
    """Read a good message with some fields changed, or left out where they are `...`."""
    fields = {name: value for name, value in {**MESSAGES[subject], **other}.items() if value is not ...}
    return read_message(subject, json.dumps(fields).encode(), now_us=NOW_US)


def tick(subject: str = "market.tick.BTCUSDT", **other: Any) -> PriceReport:
    fields = {name: value for name, value in {**TICK, **other}.items() if value is not ...}
    return read_tick(subject, json.dumps(fields).encode(), now_us=NOW_US)


@pytest.mark.parametrize(
    ("subject", "field", "value"),
    [
        *[(FILLS, name, ...) for name in FILL if name != "fee"],
        (FILLS, "quantity", 0),
        (FILLS, "quantity", "NaN"),
        (FILLS, "quantity", True),
        (FILLS, "price", -1),
        (FILLS, "side", "hold"),
        (FILLS, "fill_id", "x" * 65),
        (FILLS, "timestamp", "2026-01-01"),
        (FILLS, "timestamp", (NOW_US + FUTURE_US) // 1000 + 1),
        (FILLS, "liquidity", "maker"),
        (POSITIONS, "account_id", ...),
        (POSITIONS, "positions", ...),
        (POSITIONS, "positions", {}),
        (POSITIONS, "sequence", -1),
        (PNL, "account_id", ...),
        (PNL, "equity", ...),
        (PNL, "equity", "Infinity"),
        (PNL, "margin_used", ...),
        (PNL, "margin_used", -1),
        *[(CLOSED, name, ...) for name in ENDED],
        (CLOSED, "status", "gone"),
    ],
)
def test_what_is_wrong_is_named(subject: str, field: str, value: Any) -> None:
    with pytest.raises(Malformed) as refused:
        read(subject, **{field: value})
    assert [error.field for error in refused.value.errors] == [field]


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{", b"\xff", b'{"a":' * 5000])
@pytest.mark.parametrize("subject", [*MESSAGES, "market.tick.BTCUSDT"])
def test_what_is_no_object_is_refused(subject: str, content: bytes) -> None:
    with pytest.raises(Malformed):
        (read_tick if subject.startswith("market") else read_message)(subject, content, now_us=NOW_US)


def test_a_subject_that_is_not_read_is_named() -> None:
    with pytest.raises(Malformed, match=r"subject: orders\.opened"):
        read_message("orders.opened", b"{}", now_us=NOW_US)


def test_a_fill() -> None:
    assert read(FILLS) == Fill(
        fill_id="f1",
        order_id="o1",
        account_id="A",
        symbol="BTCUSDT",
        side=Side.BUY,
        quantity=Decimal("0.1"),
        price=Decimal("50000.5"),
        sent_at_us=NOW_US,
    )
    assert read(FILLS, exchange="binance", fee=...).exchange == "BINANCE"


def test_positions() -> None:
    held = Position(
        symbol="BTCUSDT", quantity=Decimal(-2), entry_price=Decimal(1), mark_price=Decimal(2), margin=Decimal(3)
    )
    update = read(POSITIONS)
    assert update == PositionsReport(account_id="A", positions={"BTCUSDT": held}, sequence=7, sent_at_us=NOW_US)
    bare = read(POSITIONS, sequence=..., timestamp=..., positions=[])
    assert bare == PositionsReport(account_id="A", positions={})


def test_positions_that_name_no_exchange_are_on_their_accounts() -> None:
    assert set(at_home(read(POSITIONS), "OKX").positions) == {"BTCUSDT|OKX"}  # type: ignore[union-attr]
    assert set(at_home(read(POSITIONS), "").positions) == {"BTCUSDT"}  # type: ignore[union-attr]
    both = read(POSITIONS, positions=[HELD, {**HELD, "exchange": "okx"}])
    with pytest.raises(Malformed, match="more than once"):
        at_home(both, "OKX")
    assert at_home(read(PNL), "OKX") == read(PNL)


def test_money() -> None:
    assert read(PNL) == PnlReport(
        account_id="A",
        equity=Decimal(-5),
        margin_used=Decimal(2),
        balance=Decimal(1),
        sequence=8,
        sent_at_us=NOW_US,
    )


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("filled", CloseStatus.FILLED),
        ("CANCELLED", CloseStatus.CANCELLED),
        ("Canceled", CloseStatus.CANCELLED),
        ("rejected", CloseStatus.REJECTED),
        ("Expired", CloseStatus.EXPIRED),
    ],
)
def test_the_end_of_an_order(text: str, status: CloseStatus) -> None:
    assert read(CLOSED, status=text) == OrderClosed(account_id="A", order_id="o1", status=status, sent_at_us=NOW_US)


@pytest.mark.parametrize(
    ("field", "value"), [("price", 0), ("price", ...), ("symbol", ...), ("bid", -1), ("ask", "x"), ("size", 1)]
)
def test_a_tick_that_is_wrong_is_refused(field: str, value: Any) -> None:
    with pytest.raises(Malformed) as refused:
        tick(**{field: value})
    assert [error.field for error in refused.value.errors] == [field]


def test_a_tick_is_of_the_symbol_of_its_subject() -> None:
    with pytest.raises(Malformed, match="it came on market"):
        tick("market.tick.ETHUSDT")


def test_a_tick() -> None:
    assert tick("market.tick.btcusdt") == PriceReport("BTCUSDT", Decimal("50000.1"), NOW_US)
    assert tick(bid=..., ask=..., timestamp=...) == PriceReport("BTCUSDT", Decimal("50000.1"), 0)
