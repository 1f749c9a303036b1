"""Accounts that trade, whose every order can be sent a second time as if it had never been sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
from msgspec import Struct

from audit.drain import drain
from feeds.apply import apply_report
from feeds.books import BOOKS
from policies.book import latest, published
from policies.defaults import ensure_defaults
from policies.preview.replay import Told
from policies.services import do_create_account, do_create_profile
from riskcore.report import AccountReport
from riskcore.types import Order, OrderType, Position, Side
from state.wiring import forget_stores
from tests.emergency.world import World

PRICES = {"BTCUSDT": Decimal(50_000), "ETHUSDT": Decimal(3_000), "SOLUSDT": Decimal(150)}
WHO: dict[str, Any] = {"actor": "test", "reason": "test"}
PROFILE: dict[str, Any] = {
    "allowed_leverage": Decimal(8),
    "max_single_trade_risk": Decimal("0.6"),
    "max_daily_loss": Decimal("0.5"),
    "max_weekly_loss": Decimal("0.5"),
    "max_open_positions": 10,
}


class Sent(Struct, frozen=True):
    """An order and what it was answered."""

    order: Order
    told: Told
    decision_id: str


class _Named(Struct):
    decision_id: str


def open_desks(count: int) -> list[str]:
    """Make accounts with room in their profile, and return their names."""
    do_create_profile(**WHO, name="wide", **PROFILE)
    names = [f"desk-{number:02d}" for number in range(count)]
    for name in names:
        do_create_account(**WHO, account_id=name, profile="wide")
    return names


def reports(names: Sequence[str], seed: int = 1) -> list[AccountReport]:
    """Return a state of each account: some positions, long or short, and an equity of 10,000 to 100,000."""
    random = Random(seed)
    return [_report(name, random) for name in names]


def _report(name: str, random: Random) -> AccountReport:
    equity = Decimal(random.randrange(10_000, 100_000))
    held = random.sample(sorted(PRICES), random.randrange(len(PRICES)))
    shares = {symbol: equity * random.randrange(-200, 200) / 100 for symbol in held}
    positions = {
        symbol: Position(
            symbol=symbol,
            quantity=(share / PRICES[symbol]).quantize(Decimal("0.001")),
            entry_price=PRICES[symbol],
            mark_price=PRICES[symbol],
        )
        for symbol, share in shares.items()
    }
    return AccountReport(account_id=name, equity=equity, margin_used=equity / 10, positions=positions)


def orders(names: Sequence[str], seed: int = 2) -> list[Order]:
    """Return an order of each account, of any size that may or may not pass."""
    random = Random(seed)
    return [_order(name, random) for name in names]


def _order(name: str, random: Random) -> Order:
    symbol = random.choice(sorted(PRICES))
    notional = Decimal(random.randrange(500, 120_000))
    return Order(
        order_id=f"order-of-{name}",
        account_id=name,
        symbol=symbol,
        side=random.choice((Side.BUY, Side.SELL)),
        quantity=(notional / PRICES[symbol]).quantize(Decimal("0.001")) + Decimal("0.001"),
        price=PRICES[symbol],
        order_type=OrderType.LIMIT,
        strategy_id=random.choice(("carry", "trend", "")),
    )


def trading(
    request: Any, settings: Any, tmp_path: Any, *, kind: str, desks: int, states: Sequence[AccountReport] = ()
) -> Iterator[World]:
    """Yield a live state on a kind of store (redis, memory) with desks in these states, which have not traded yet."""
    settings.REDIS_URL = "" if kind == "memory" else request.getfixturevalue("clean_redis")
    settings.RISK_DATA_DIR = tmp_path
    settings.RISK_STATE_MAX_AGE = settings.RISK_PRICE_MAX_AGE = timedelta(hours=1)
    forget_stores()
    BOOKS.forget()
    ensure_defaults()
    found = World(settings.REDIS_URL, tmp_path)
    names = open_desks(desks)
    begin(found, states or reports(names))
    yield found
    found.store.close()
    forget_stores()
    BOOKS.forget()


def begin(world: World, states: Sequence[AccountReport]) -> None:
    """Let an empty live state begin with these accounts, under the newest book."""
    book = latest()
    assert book is not None
    world.store.restore(book_version=book.version, content=published(book), stops=(), keys=b"{}")
    world.store.put_prices({symbol: (str(price), 0) for symbol, price in PRICES.items()})
    for report in states:
        assert apply_report(world.store, BOOKS, report)


def begin_again(world: World, states: Sequence[AccountReport]) -> None:
    """Begin as if nothing had been before."""
    world.lose()
    begin(world, states)


def send(world: World, wanted: Sequence[Order]) -> list[Sent]:
    """Have the orders checked for real, and their decisions recorded."""
    answers = [world.check(order).decision for order in wanted]
    drain(world.store)
    return [
        Sent(order, msgspec.json.decode(answer, type=Told), msgspec.json.decode(answer, type=_Named).decision_id)
        for order, answer in zip(wanted, answers, strict=True)
    ]
