"""A proposed limit on the number of messages finds them counted as if it had been there."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec import Raw
from msgspec.structs import replace

from policies.preview.replay import Kind, Replay
from policies.preview.since import Since
from riskcore.book import Book, Scope
from riskcore.compiled import CompiledBook
from riskcore.decide import decide, encode_decision
from riskcore.journal import Inputs
from riskcore.ledger import encode_ledger
from tests.audit.subjects import NOW_US, inputs
from tests.policies.previewing import book, no_book, policy

RATE = policy("order_rate", 2, window_s=10)
SECOND_US = 1_000_000


class Recording:
    """Decisions on one account after the other, each on the ledger that the one before has left."""

    def __init__(self, under: Book) -> None:
        self.book, self.texts = under, list[tuple[str, str]]()
        self._ledgers: dict[str, bytes] = {}

    def ask(self, at_s: int = 0, **order: Any) -> None:
        given = replace(inputs(self.book, **order), now_us=NOW_US + at_s * SECOND_US)
        account_id = given.order.account_id
        given = replace(given, ledger=Raw(self._ledgers.get(account_id, b"null")))
        outcome = decide(given, CompiledBook(self.book))
        self.texts.append((msgspec.json.encode(given).decode(), encode_decision(outcome.decision).decode()))
        if outcome.ledger is not None:
            self._ledgers[account_id] = encode_ledger(outcome.ledger)


def kinds(recording: Recording, proposed: Book) -> list[Kind | None]:
    """Return how each decision would come out otherwise."""
    in_force = CompiledBook(recording.book)
    replay = Replay(in_force, CompiledBook(proposed), Since(in_force, (recording.book.version,), no_book))
    found = [replay.of(*texts) for texts in recording.texts]
    return [None if each.flip is None else each.flip.kind for each in found]


def three_orders(under: Book, **order: Any) -> Recording:
    recording = Recording(under)
    for _ in range(3):
        recording.ask(quantity=Decimal("0.001"), **order)
    return recording


def test_a_new_limit_counts_the_orders_that_were_recorded():
    assert kinds(three_orders(book()), book(RATE)) == [None, None, Kind.BLOCKED]


def test_a_window_of_another_length_is_counted_anew():
    longer = replace(RATE, window_s=60)
    assert kinds(three_orders(book(replace(RATE, threshold=RATE.threshold + 1))), book(longer)) == [
        None,
        None,
        Kind.BLOCKED,
    ]


def test_each_account_is_counted_by_itself():
    recording = Recording(book())
    for account_id in ("desk-1", "desk-2", "desk-1", "desk-2", "desk-1"):
        recording.ask(account_id=account_id)
    assert kinds(recording, book(RATE)) == [None, None, None, None, Kind.BLOCKED]


def test_each_strategy_is_counted_by_itself():
    of_carry = replace(RATE, scope=Scope.STRATEGY, scope_ids=("carry",))
    recording = Recording(book())
    for strategy_id in ("carry", "trend", "carry", "trend", "carry"):
        recording.ask(strategy_id=strategy_id)
    assert kinds(recording, book(of_carry)) == [None, None, None, None, Kind.BLOCKED]


def test_a_message_that_has_left_the_window_counts_no_more():
    recording = Recording(book())
    for at_s in (0, 1, 12):
        recording.ask(at_s)
    assert kinds(recording, book(RATE)) == [None, None, None]


def test_a_what_if_is_no_message():
    recording = Recording(book())
    for what_if in (False, True, False, False):
        recording.ask(what_if=what_if)
    assert kinds(recording, book(RATE)) == [None, None, None, Kind.BLOCKED]


def test_repeated_orders_are_counted_in_a_row():
    recording = Recording(book())
    for quantity in ("0.1", "0.1", "0.2", "0.1", "0.1", "0.1"):
        recording.ask(quantity=Decimal(quantity))
    found = kinds(recording, book(replace(RATE, metric="repeated_orders")))
    assert found == [None, None, None, None, None, Kind.BLOCKED]


def test_another_threshold_goes_by_what_was_counted_then():
    """The record of the first of three has a window already, of messages that came before all that is replayed."""
    recording = three_orders(book(replace(RATE, threshold=RATE.threshold + 1)))
    del recording.texts[0]
    assert kinds(recording, book(RATE)) == [None, Kind.BLOCKED]


@pytest.mark.parametrize("ledger", [b'"lost"', b"[]"])
def test_an_unreadable_ledger_blocks_as_it_did(ledger):
    recording = three_orders(book())
    given = msgspec.json.decode(recording.texts[-1][0], type=Inputs)
    given = replace(given, ledger=Raw(ledger))
    answer = decide(given, CompiledBook(recording.book)).decision
    recording.texts[-1] = msgspec.json.encode(given).decode(), encode_decision(answer).decode()
    assert kinds(recording, book(RATE)) == [None, None, None]
