"""A live state that can be lost, and short ways to trade on it."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import dataclass
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import msgspec
import redis

from api.ids import new_decision_id
from feeds.apply import apply_report
from feeds.books import BOOKS
from riskcore.batch import Answered
from riskcore.book import Parameters
from riskcore.decimals import EXACT
from riskcore.engine import check_steps
from riskcore.fills import fill_steps
from riskcore.flow import Fill
from riskcore.ledger import decode_ledger, release
from riskcore.ports import AccountQuery, AccountView, Load
from riskcore.release import release_steps
from riskcore.report import AccountReport
from riskcore.types import AccountState, Ledger, Order, Position, Reservation, Side
from state.driver import run_sync
from state.store import Store
from state.wiring import forget_stores, store

ACCOUNT = "desk-1"
PRICES = {"BTCUSDT": "50000", "ETHUSDT": "3000"}

_ids = itertools.count()


def uncounted(ledger: Ledger) -> Ledger:
    """Return a ledger as it comes back: the orders and the fills of its day are counted anew."""
    return msgspec.structs.replace(ledger, daily_orders=0, daily_fills=0)


@dataclass
class World:
    """The store of this process. Everything goes through `store()`, since a loss builds it anew."""

    url: str  # of Redis; empty: memory and a journal in `data`
    data: Path

    @property
    def store(self) -> Store:
        return store()

    def lose(self, *, journal: bool = False) -> None:
        """Lose the live state; with `journal`, the decisions in it that were not drained too."""
        if self.url:
            with redis.Redis.from_url(self.url) as client:
                for key in client.scan_iter("*"):
                    if journal or not key.endswith(b":journal"):
                        client.delete(key)
        else:
            self.store.close()
            if journal:
                shutil.rmtree(self.data / "journal")
        forget_stores()
        BOOKS.forget()

    def feed(self, *positions: Position, equity: int = 1_000_000, account_id: str = ACCOUNT) -> None:
        """Report prices, and an account's state."""
        self.store.put_prices({symbol: (price, 0) for symbol, price in PRICES.items()})
        report = AccountReport(
            account_id=account_id,
            equity=Decimal(equity),
            margin_used=Decimal(0),
            positions={held.symbol: held for held in positions},
        )
        assert apply_report(self.store, BOOKS, report)

    def check(self, *orders: Order, atomic: bool = False) -> tuple[Answered, ...]:
        steps = check_steps(orders, new_id=new_decision_id, known=BOOKS.last, atomic=atomic)
        return run_sync(steps, self.store, BOOKS)

    def approve(self, **what: Any) -> Answered:
        """Check an order that must be approved."""
        (answered,) = self.check(order(**what))
        assert answered.approved, answered.decision
        return answered

    def release(self, order_id: str, account_id: str = ACCOUNT) -> None:
        run_sync(release_steps(account_id, order_id, actor="test", reason="over"), self.store, BOOKS)

    def fill(self, of: Order, quantity: Decimal) -> None:
        """Tell of a trade of an order, another one each time."""
        made = Fill(
            fill_id=f"f-{next(_ids)}",
            order_id=of.order_id,
            account_id=of.account_id,
            symbol=of.symbol,
            side=of.side,
            quantity=quantity,
            price=of.price,
            sent_at_us=self.now_us(),
        )
        assert run_sync(fill_steps(made, Parameters()), self.store, BOOKS).is_new

    def view(self, account_id: str = ACCOUNT) -> AccountView:
        return self.store.load(Load(accounts=(AccountQuery(account_id=account_id),))).accounts[0]

    def ledger(self, account_id: str = ACCOUNT) -> Ledger:
        return decode_ledger(self.view(account_id).ledger)

    def ledger_without_expired(self) -> Ledger:
        """Return the ledger as the next decision would take it, but for those that are beyond one load."""
        view = self.view()
        with localcontext(EXACT):
            return release(decode_ledger(view.ledger), view.expired)

    def now_us(self) -> int:
        return self.store.load(Load(accounts=())).now_us

    def state(self) -> AccountState:
        content = self.view().state
        assert content is not None
        return msgspec.json.decode(content, type=AccountState)

    def held(self, account_id: str = ACCOUNT) -> dict[str, Reservation]:
        return {one.order_id: one for one in self.store.reservations(account_id)}


def order(**what: Any) -> Order:
    """Return an order of one piece of 0.01 BTCUSDT, another one each time."""
    fields: dict[str, Any] = {
        "order_id": f"o-{next(_ids)}",
        "account_id": ACCOUNT,
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "quantity": Decimal("0.01"),
        "price": Decimal(50_000),
    }
    return Order(**{**fields, **what})
