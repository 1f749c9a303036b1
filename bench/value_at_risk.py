"""What a limit on value at risk costs a check: twenty positions, 500 days of returns, without any I/O."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
import numpy as np
from msgspec import Raw
from msgspec.structs import replace

from riskcore.book import Account, Book, Operator, Parameters, Policy, PolicyType, Profile, Returns
from riskcore.calendar import microseconds
from riskcore.compiled import CompiledBook
from riskcore.decide import decide
from riskcore.journal import Inputs
from riskcore.types import AccountState, Order, Position, Price, Side

_PROFILE = Profile(
    name="bench",
    allowed_leverage=Decimal(10),
    max_single_trade_risk=Decimal("0.5"),
    max_daily_loss=Decimal("0.5"),
    max_weekly_loss=Decimal("0.5"),
    max_open_positions=100,
)


def decide_with_and_without() -> dict[str, Callable[[], Any]]:
    """Return how an order of an account of twenty positions is decided: without a limit on value at risk, with one."""
    symbols = tuple(f"VAR{number:02d}" for number in range(20))
    returns = np.random.default_rng(1).standard_t(4, (len(symbols), 500)) * 0.01
    without = Book(
        version=1,
        parameters=Parameters(),
        profiles=(_PROFILE,),
        accounts=(Account(id="bench-var", profile=_PROFILE.name),),
        policies=tuple(_policy(metric) for metric in ("leverage", "concentration", "drawdown_daily")),
        returns=Returns(
            version="bench",
            symbols=symbols,
            days=500,
            since="2025-07-09",
            until="2026-11-20",
            values=returns.astype("<f8").tobytes(),
        ),
    )
    inputs = _inputs_of(symbols)
    books = {
        "decide, twenty positions": without,
        "decide, twenty positions, with a limit on var_99": replace(
            without, policies=(*without.policies, _policy("var_99"))
        ),
    }
    deciding: dict[str, Callable[[], Any]] = {
        name: partial(decide, inputs, CompiledBook(book)) for name, book in books.items()
    }
    assert all(decided().decision.approved for decided in deciding.values()), "the order should pass"
    return deciding


def _policy(metric: str) -> Policy:
    return Policy(
        id=metric, name=metric, type=PolicyType.HARD, metric=metric, operator=Operator.AT_MOST, threshold=Decimal(10)
    )


def _inputs_of(symbols: tuple[str, ...]) -> Inputs:
    """Return the inputs of an order in the first symbol; of half of the symbols the account is short."""
    now_us = microseconds(datetime(2026, 11, 21, 12, tzinfo=UTC))
    positions = {
        symbol: Position(symbol=symbol, quantity=Decimal(-100 if number % 2 else 100), entry_price=Decimal(99))
        for number, symbol in enumerate(symbols)
    }
    amount = Decimal(1_000_000)
    state = AccountState(
        account_id="bench-var",
        equity=amount,
        balance=amount,
        margin_used=Decimal(0),
        peak_equity=amount,
        daily_start_equity=amount,
        weekly_start_equity=amount,
        positions=positions,
        received_at_us=now_us,
    )
    order = Order(
        order_id="one",
        account_id="bench-var",
        symbol=symbols[0],
        side=Side.BUY,
        quantity=Decimal(3),
        price=Decimal(100),
    )
    return Inputs(
        order=order,
        decision_id="bench",
        now_us=now_us,
        book_version=1,
        generation="bench",
        epoch=1,
        account_version=1,
        state=Raw(msgspec.json.encode(state)),
        ledger=Raw(b"null"),
        prices={symbol: Price(Decimal("100.5"), now_us) for symbol in symbols},
    )
