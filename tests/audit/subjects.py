"""Journal entries as checks write them, and a store whose journal can be made to misbehave."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import Raw

from riskcore.book import Account, Book, Operator, Parameters, Policy, PolicyType, Profile
from riskcore.compiled import CompiledBook
from riskcore.decide import reevaluate
from riskcore.journal import DecisionEntry, Inputs, ReleaseEntry
from riskcore.types import AccountState, Order, Price, Side
from state.memory_keeping import MemoryJournal

NOW_US = 1_790_000_000_000_000

BOOK = Book(
    version=1,
    parameters=Parameters(),
    policies=(
        Policy(
            id="11111111-1111-4111-8111-111111111111",
            name="Max Account Leverage",
            type=PolicyType.HARD,
            metric="leverage",
            operator=Operator.AT_MOST,
            threshold=Decimal(10),
        ),
    ),
    profiles=(
        Profile(
            name="wide",
            allowed_leverage=Decimal(1000),
            max_single_trade_risk=Decimal(1000),
            max_daily_loss=Decimal(1),
            max_weekly_loss=Decimal(1),
            max_open_positions=1000,
        ),
    ),
    accounts=(Account(id="desk-1", profile="wide"),),
)

STATE = AccountState(
    account_id="desk-1",
    equity=Decimal(100000),
    balance=Decimal(100000),
    margin_used=Decimal(10000),
    peak_equity=Decimal(105000),
    daily_start_equity=Decimal(98000),
    weekly_start_equity=Decimal(98000),
    positions={},
    received_at_us=NOW_US - 1000,
)


def inputs(book: Book = BOOK, **order: Any) -> Inputs:
    """Return what a check of an order of desk-1 would have gone by."""
    wanted = {"order_id": uuid4().hex, "account_id": "desk-1", "symbol": "BTCUSDT", "side": Side.BUY}
    return Inputs(
        order=Order(**{**wanted, "quantity": Decimal("0.5"), "price": Decimal(50000), **order}),
        decision_id=str(uuid4()),
        now_us=NOW_US,
        book_version=book.version,
        generation="g1",
        epoch=1,
        account_version=7,
        state=Raw(msgspec.json.encode(STATE)),
        ledger=Raw(b"null"),
        prices={"BTCUSDT": Price(Decimal(50000), NOW_US - 1000)},
    )


def decided(given: Inputs | None = None, book: Book = BOOK) -> bytes:
    """Return the journal entry of the decision on these inputs."""
    given = given or inputs(book)
    answer = reevaluate(given, CompiledBook(book))
    return msgspec.json.encode(DecisionEntry(inputs=given, decision=Raw(answer)))


def released(**what: Any) -> bytes:
    """Return the journal entry of a reservation that was ended early."""
    said = {"decision_id": str(uuid4()), "account_id": "desk-1", "order_id": "o-1", "actor": "alice", "reason": "gone"}
    return msgspec.json.encode(ReleaseEntry(**{**said, "now_us": NOW_US, **what}))


class Journal:
    """The part of a store that a drain uses: one lane, numbered ids, whose life and failures a test decides."""

    lanes = 1

    def __init__(self, *entries: bytes) -> None:
        self._journal = MemoryJournal()
        self._journal.append(entries)
        self.generation = "life-1"
        self.fail_to_trim = False
        self._lock = threading.Lock()

    def add(self, *entries: bytes) -> None:
        with self._lock:
            self._journal.append(entries)

    def begin_again(self, *entries: bytes) -> None:
        """Lose everything, as Redis without its disk; ids begin again too."""
        self._journal = MemoryJournal()
        self.generation += "'"
        self.add(*entries)

    def read_journal(self, lane: int, after: str, count: int) -> list[tuple[str, bytes]]:
        with self._lock:
            return [(str(number), entry) for number, entry in self._journal.read(int(after), count)]

    def trim_journal(self, lane: int, through: str) -> None:
        if self.fail_to_trim:
            raise KilledError
        with self._lock:
            self._journal.trim(int(through))

    def journal_generation(self, lane: int) -> str:
        return self.generation

    def journal_length(self, lane: int) -> int:
        with self._lock:
            return len(self._journal)


class KilledError(BaseException):
    """The process ends here; nothing may catch it."""
