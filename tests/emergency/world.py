"""A live state that can be lost, orders to check on it, and short ways to stop and re-enable."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import redis
from django.db import OperationalError

from api.ids import new_decision_id
from audit.acting import Acting, acting, with_key
from emergency.models import ENGAGE_STOP, LIFT_STOP, EmergencyStop
from emergency.services import Engaged, Lifted, do_engage_stop, do_re_enable
from feeds.apply import apply_report
from feeds.books import BOOKS
from riskcore.batch import Answered
from riskcore.engine import check_steps
from riskcore.ports import Load
from riskcore.release import release_steps
from riskcore.report import AccountReport
from riskcore.types import Order, Position, Side
from state.driver import run_sync
from state.store import Store
from state.wiring import forget_stores, store

ACCOUNTS = ("desk-1", "desk-2", "desk-3", "desk-4", "desk-5")
PRICES = {"BTCUSDT": "50000", "ETHUSDT": "3000"}

_ids = itertools.count()


@dataclass
class World:
    """The store of this process. Everything goes through `store()`, since a loss builds it anew."""

    url: str  # of Redis; empty: memory, with files in `data`
    data: Path

    @property
    def store(self) -> Store:
        return store()

    def restart(self) -> None:
        """End this process and begin another one."""
        self.store.close()
        forget_stores()
        BOOKS.forget()

    def lose(self) -> None:
        """Lose all of the live state, with everything that was noted in it."""
        self.store.close()
        if self.url:
            with redis.Redis.from_url(self.url) as client:
                client.flushall()
        else:
            shutil.rmtree(self.data / "journal")
            shutil.rmtree(self.data / "stops")
        forget_stores()
        BOOKS.forget()

    def feed(self, *positions: Position, account_id: str | None = None, equity: int = 1_000_000) -> None:
        """Report prices, and the state of an account or of all."""
        self.store.put_prices({symbol: (price, 0) for symbol, price in PRICES.items()})
        for each in ACCOUNTS if account_id is None else (account_id,):
            report = AccountReport(
                account_id=each,
                equity=Decimal(equity),
                margin_used=Decimal(0),
                positions={held.symbol: held for held in positions},
            )
            assert apply_report(self.store, BOOKS, report)

    def check(self, order: Order) -> Answered:
        (answered,) = run_sync(check_steps((order,), new_id=new_decision_id, known=BOOKS.last), self.store, BOOKS)
        return answered

    def release(self, asked: Order) -> None:
        """End what an order holds."""
        run_sync(release_steps(asked.account_id, asked.order_id, actor="test", reason="test"), self.store, BOOKS)

    def approves(self, **what: Any) -> bool:
        """Return whether an order is approved; what else than a stop could block it is an error."""
        answered = self.check(order(**what))
        assert answered.approved or answered.reason == "emergency_stop_active", answered.decision
        return answered.approved

    def now_us(self) -> int:
        return self.store.load(Load(accounts=())).now_us

    def up(self) -> list[str]:
        """Return the ids of the flags that are up in every lane."""
        control = self.store.control()
        assert control is not None
        return [stop.id for stop in control.stops]


def order(**what: Any) -> Order:
    """Return an order of 0.001 BTCUSDT of the first account, another one each time."""
    fields: dict[str, Any] = {
        "order_id": f"o-{next(_ids)}",
        "account_id": ACCOUNTS[0],
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "quantity": Decimal("0.001"),
        "price": Decimal(50_000),
    }
    return Order(**{**fields, **what})


def long(symbol: str = "BTCUSDT", quantity: str = "1") -> Position:
    price = Decimal(PRICES[symbol])
    return Position(symbol=symbol, quantity=Decimal(quantity), entry_price=price, mark_price=price, exchange="")


def engage(*, by: Acting | None = None, **what: Any) -> Engaged:
    """Stop trading as somebody, or as a machine on behalf of alice."""
    fields: dict[str, Any] = {
        "acting": by or MACHINE,
        "reason": "a test",
        **({} if by else {"triggered_by": "alice"}),
        "trigger": "person",
        "scope": "global",
    }
    return do_engage_stop(**{**fields, **what})


def person(name: str, *accounts: str, may: tuple[str, ...] = (ENGAGE_STOP, LIFT_STOP)) -> Acting:
    """Return somebody whom riskportal knows, for these accounts (none: all)."""
    return Acting(name, frozenset(may), frozenset(accounts), name)


def held(name: str) -> Acting:
    """Return a key of somebody's own."""
    return Acting(with_key(name, "cli"), frozenset({ENGAGE_STOP, LIFT_STOP}), frozenset(), name)


# A key that nobody holds by name.
MACHINE = acting("key:ops", [ENGAGE_STOP, LIFT_STOP])


def lift(stop_id: str | None = None, *, by: Acting | None = None, **what: Any) -> Lifted:
    """Lift as somebody, or as a machine on behalf of bob."""
    asked = {"reason": "all is well", "stop_id": stop_id, **({} if by else {"authorized_by": "bob"}), **what}
    return do_re_enable(acting=by or MACHINE, **asked)


def row(engaged: Engaged) -> EmergencyStop:
    return EmergencyStop.objects.get(pk=engaged.stop_id)


def steps(engaged: Engaged) -> list[str]:
    return list(row(engaged).steps.values_list("what", flat=True))


@contextmanager
def database_away() -> Iterator[None]:
    """No connection to the database answers."""

    def refuse(*_args: object, **_named: object) -> None:
        raise OperationalError("connection refused")

    with (
        patch("django.db.backends.utils.CursorWrapper.execute", refuse),
        patch("django.db.backends.utils.CursorWrapper.executemany", refuse),
        patch("django.db.backends.base.base.BaseDatabaseWrapper.savepoint", refuse),
    ):
        yield
