"""A store in a dict, as `riskcore.ports` asks for it, and the door that drives the engine's steps with it.

It is written from the port's text alone and keeps every write it made, so that a test can look at them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import count
from typing import Any

from riskcore.batch import Answered
from riskcore.book import Book
from riskcore.compiled import CompiledBook
from riskcore.engine import check_steps
from riskcore.intake import Taken
from riskcore.journal import DecisionEntry, ReleaseEntry, decode_entry
from riskcore.ledger import decode_ledger
from riskcore.ports import (
    AccountChange,
    AccountQuery,
    AccountView,
    Answer,
    Commit,
    Committed,
    Control,
    Load,
    Loaded,
    NeedBook,
    Signal,
    Stop,
)
from riskcore.report import AccountReport, report_steps
from riskcore.types import AccountState, Ledger, Order, OrderTail, Price, Reservation, Side, position_key
from tests.riskcore.builders import NOW, as_raw, marks, state


class Kept:
    """What the store keeps of one account."""

    def __init__(self) -> None:
        self.version = 0
        self.state: bytes | None = None
        self.ledger: bytes | None = None
        self.symbols: set[str] = set()
        self.answers: dict[str, Answer] = {}
        self.reservations: dict[str, Reservation] = {}
        self.tails: dict[str, OrderTail] = {}
        self.fills: set[str] = set()
        self.flow: bytes | None = None

    def accepts(self, change: AccountChange) -> bool:
        removed = {gone.order_id: gone for gone in change.remove}
        return (
            self.version == change.expected_version
            and all(self.reservations.get(order_id) == gone for order_id, gone in removed.items())
            and not any(new.order_id in self.reservations.keys() - removed.keys() for new in change.add)
            and not any(order_id in self.answers for order_id in change.answers)
        )

    def apply(self, change: AccountChange) -> None:
        if change.state is not None:
            self.state, self.symbols = change.state, set()
        self.symbols |= set(change.symbols)
        if change.ledger is not None:
            self.ledger = change.ledger
        if change.flow is not None:
            self.flow = change.flow
        if change.tails or any(one is not None for one in (change.state, change.ledger, change.flow)):
            self.version += 1
        self.tails |= change.tails
        self.fills |= set(change.fills)
        for gone in change.remove:
            del self.reservations[gone.order_id]
        for new in change.add:
            self.reservations[new.order_id] = new
        self.answers |= change.answers


class DictStore:
    """One lane. `before_commit` is called with each commit before it is looked at: there a test makes conflicts."""

    def __init__(self, book: Book, *states: AccountState) -> None:
        self.now_us = NOW
        self.signal: Signal | None = None
        self.books = {book.version: CompiledBook(book)}
        self.control: Control | None = Control(generation="g1", epoch=1, book_version=book.version)
        self.accounts: dict[str, Kept] = {}
        self.prices: dict[str, Price] = marks()
        self.journal: list[bytes] = []
        self._ids = count(1)
        self.trips: list[Load | Commit | NeedBook] = []
        self.before_commit: Callable[[Commit], None] = lambda _commit: None
        for one in states or (state(),):
            self.put_state(one)

    # ------------------------------------------------------------------------------------------- the port

    def load(self, load: Load) -> Loaded:
        return Loaded(
            now_us=self.now_us,
            control=self.control,
            accounts=tuple(self._view(query) for query in load.accounts),
            signal=self.signal,
        )

    def _view(self, query: AccountQuery) -> AccountView:
        kept = self.accounts.setdefault(query.account_id, Kept())
        held = kept.reservations.values()
        return AccountView(
            account_id=query.account_id,
            version=kept.version,
            state=kept.state,
            ledger=kept.ledger,
            prices={name: self.prices[name] for name in {*query.symbols, *kept.symbols} if name in self.prices},
            answers={name: kept.answers[name] for name in query.order_ids if name in kept.answers},
            expired=tuple(one for one in held if one.expires_at_us <= self.now_us)[:64],
            own_bids=self._best(kept, Side.BUY, query.keys),
            own_asks=self._best(kept, Side.SELL, query.keys),
            reservations={name: kept.reservations[name] for name in query.reservations if name in kept.reservations},
            tails={name: kept.tails[name] for name in query.order_ids if name in kept.tails},
            fills=frozenset(query.fills) & kept.fills,
            flow=kept.flow if query.flow else None,
        )

    def _best(self, kept: Kept, side: Side, keys: tuple[str, ...]) -> dict[str, str]:
        found = {}
        for key in keys:
            prices = [
                one.price
                for one in kept.reservations.values()
                if one.side is side
                and position_key(one.symbol, one.exchange) == key
                and one.expires_at_us > self.now_us
            ]
            if prices:
                found[key] = str(max(prices) if side is Side.BUY else min(prices))
        return found

    def commit(self, commit: Commit) -> Committed | Loaded:
        self.before_commit(commit)
        if commit.expect is not None and self._moved(commit.expect):
            return self.load(commit.reload)
        if not all(self.accounts.setdefault(one.account_id, Kept()).accepts(one) for one in commit.changes):
            return self.load(commit.reload)
        for change in commit.changes:
            self.accounts[change.account_id].apply(change)
        self.journal += commit.journal
        return Committed()

    def _moved(self, expect: Control) -> bool:
        now = self.control
        return now is None or (now.generation, now.epoch, now.book_version) != (
            expect.generation,
            expect.epoch,
            expect.book_version,
        )

    # ------------------------------------------------------------------------------------------- the door

    def drive(self, steps: Generator[Any, Any, Any]) -> Any:
        """Answer each request of the steps until they return."""
        reply: Any = None
        try:
            while True:
                request = steps.send(reply)
                self.trips.append(request)
                match request:
                    case Load():
                        reply = self.load(request)
                    case Commit():
                        reply = self.commit(request)
                    case NeedBook():
                        reply = self.books[request.version]
        except StopIteration as done:
            return done.value

    def check(self, *orders: Order, atomic: bool = False, known: CompiledBook | None = None) -> tuple[Answered, ...]:
        steps = check_steps(orders, new_id=lambda _now_us: f"decision-{next(self._ids)}", known=known, atomic=atomic)
        answers: tuple[Answered, ...] = self.drive(steps)
        return answers

    def ask(self, order: Order) -> Answered:
        (answered,) = self.check(order)
        return answered

    def report(self, report: AccountReport, *, pulled: bool = False) -> bool:
        (some_book,) = list(self.books.values())[-1:]
        taken: Taken = self.drive(report_steps(report, some_book.parameters, pulled=pulled))
        return taken.is_new

    # ----------------------------------------------------------------------- what tests do to it, and look at

    def put_state(self, new: AccountState) -> None:
        kept = self.accounts.setdefault(new.account_id, Kept())
        kept.state = bytes(as_raw(new))
        kept.symbols |= {held.symbol for held in new.positions.values()}
        kept.version += 1

    def set_stops(self, *stops: Stop) -> None:
        assert self.control is not None
        self.control = Control(
            generation=self.control.generation,
            epoch=self.control.epoch + 1,
            book_version=self.control.book_version,
            stops=stops,
        )

    def publish(self, book: Book) -> None:
        assert self.control is not None
        self.books[book.version] = CompiledBook(book)
        self.control = Control(
            generation=self.control.generation,
            epoch=self.control.epoch,
            book_version=book.version,
            stops=self.control.stops,
        )

    def ledger(self, account_id: str = "A") -> Ledger:
        return decode_ledger(self.accounts[account_id].ledger)

    def held(self, account_id: str = "A") -> dict[str, Reservation]:
        return self.accounts[account_id].reservations

    def decisions(self) -> list[DecisionEntry]:
        return [entry for entry in map(decode_entry, self.journal) if isinstance(entry, DecisionEntry)]

    def releases(self) -> list[ReleaseEntry]:
        return [entry for entry in map(decode_entry, self.journal) if isinstance(entry, ReleaseEntry)]
