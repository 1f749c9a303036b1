"""An order that is open in a symbol which the account does not hold: every later check needs that price too."""

from __future__ import annotations

import itertools
from decimal import Decimal

from feeds.books import CompiledBooks
from riskcore.batch import Answered
from riskcore.book import encode_book
from riskcore.engine import check_steps
from riskcore.ports import Load
from riskcore.report import AccountReport, report_steps
from riskcore.types import Order, OrderType, Position
from state.driver import run_sync
from state.store import Store
from tests.contract.subjects import change, commit, query, restored
from tests.riskcore.builders import BUY, MARKS, book

_ids = itertools.count()


def ready(store: Store) -> CompiledBooks:
    """Give the store a book with account A, prices of BTCUSDT and ETHUSDT, and a state without positions."""
    content = encode_book(book())
    restored(store, content=content)
    store.put_prices({symbol: (price, 0) for symbol, price in MARKS.items()})
    books = CompiledBooks()
    books.put(1, content)
    assert report(store, books)
    return books


def report(store: Store, books: CompiledBooks, *positions: Position) -> bool:
    said = AccountReport(
        account_id="A",
        equity=Decimal(1_000_000),
        margin_used=Decimal(0),
        positions={held.symbol: held for held in positions},
    )
    assert books.last is not None
    return run_sync(report_steps(said, books.last.parameters), store, books).is_new


def check(store: Store, books: CompiledBooks, symbol: str) -> Answered:
    wanted = Order(
        order_id=f"o-{next(_ids)}",
        account_id="A",
        symbol=symbol,
        side=BUY,
        quantity=Decimal(1),
        order_type=OrderType.MARKET,
    )
    (answered,) = run_sync(check_steps((wanted,), new_id=lambda _: f"d-{next(_ids)}"), store, books)
    return answered


def test_it_does_not_block_an_order_in_another_symbol(store):
    books = ready(store)
    assert check(store, books, "ETHUSDT").approved
    assert check(store, books, "BTCUSDT").approved


def test_it_does_not_after_the_account_has_reported_either(store):
    books = ready(store)
    assert check(store, books, "ETHUSDT").approved
    assert report(store, books, Position(symbol="BTCUSDT", quantity=Decimal(1), mark_price=Decimal(50_000)))
    assert check(store, books, "BTCUSDT").approved


def test_a_report_is_taken_over_whatever_is_in_the_ledger(store):
    books = ready(store)
    found = store.load(Load(accounts=(query("A"),))).accounts[0]
    commit(store, change("A", found.version, ledger=b"not a ledger"))
    assert report(store, books)
