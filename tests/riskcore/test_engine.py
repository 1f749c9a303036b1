"""The steps of a check, driven by hand against a store in a dict: conflicts, stops, new books, what-ifs, repeats."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from riskcore.decide import reevaluate
from riskcore.engine import MAX_ATTEMPTS
from riskcore.ports import Commit, Control, Load, NeedBook, StopScope
from riskcore.reasons import Reason
from riskcore.types import TradingState
from tests.riskcore.builders import (
    BUY,
    NOW,
    SECOND,
    SELL,
    account,
    book,
    order,
    policy,
    position,
    price,
    rate,
    restriction,
    state,
    stop,
)
from tests.riskcore.store import DictStore

REDUCING = TradingState.REDUCING


def kinds(store: DictStore) -> list[str]:
    return [type(trip).__name__ for trip in store.trips]


def conflicts(store: DictStore, times: int, change: Callable[[], Any]) -> None:
    """Let something change the store just before each of the next commits of a check."""
    left = [times]

    def before(_commit: Commit) -> None:
        if left[0]:
            left[0] -= 1
            change()

    store.before_commit = before


def touch(store: DictStore, account_id: str = "A") -> Callable[[], None]:
    """What another check of the same account does: its version moves."""

    def change() -> None:
        store.accounts[account_id].version += 1

    return change


# ------------------------------------------------------------------------------------------------ trips


def test_a_check_is_one_load_and_one_commit() -> None:
    store = DictStore(book())
    assert store.check(order(1), known=store.books[1])[0].approved
    assert kinds(store) == ["Load", "Commit"]


def test_a_process_that_does_not_have_the_book_asks_for_it() -> None:
    store = DictStore(book())
    store.ask(order(1))
    assert kinds(store) == ["Load", "NeedBook", "Commit"]


def test_a_check_is_decided_on_the_book_in_force_and_not_on_the_one_known() -> None:
    store = DictStore(book())
    known = store.books[1]
    store.publish(book(policy("leverage", "<=", 0), version=2))
    (answer,) = store.check(order(1), known=known)
    assert answer.reason is Reason.POLICY_VIOLATION
    assert NeedBook(2) in store.trips
    assert store.decisions()[0].inputs.book_version == 2


def test_a_commit_names_what_it_was_decided_on() -> None:
    store = DictStore(book())
    store.ask(order(1))
    (commit,) = (trip for trip in store.trips if isinstance(trip, Commit))
    assert commit.expect == store.control
    (change,) = commit.changes
    assert (change.account_id, change.expected_version, change.state) == ("A", 1, None)


# ---------------------------------------------------------------------------------------------- recovering


def test_a_store_that_has_lost_its_memory_approves_nothing() -> None:
    store = DictStore(book())
    store.control = None
    answer = store.ask(order(1))
    assert (answer.approved, answer.reason) == (False, Reason.RECOVERING)
    assert json.loads(answer.decision)["trading_state"] == "HALTED"
    assert kinds(store) == ["Load"]
    assert store.journal == []


def test_a_store_that_loses_its_memory_before_the_commit_approves_nothing() -> None:
    store = DictStore(book())
    conflicts(store, 1, lambda: setattr(store, "control", None))
    assert store.ask(order(1)).reason is Reason.RECOVERING
    assert not store.held()


def test_a_store_that_loses_its_memory_at_the_last_attempt_approves_nothing() -> None:
    store = DictStore(book())
    left = iter(range(MAX_ATTEMPTS))

    def lose() -> None:
        if next(left) == MAX_ATTEMPTS - 1:
            store.control = None
        touch(store)()

    conflicts(store, MAX_ATTEMPTS, lose)
    assert store.ask(order(1)).reason is Reason.RECOVERING
    assert store.journal == []


# ---------------------------------------------------------------------------------------------- conflicts


def test_a_check_that_loses_a_race_is_decided_again_on_what_it_then_finds() -> None:
    store = DictStore(book(policy("leverage", "<=", 1)))
    conflicts(store, 1, lambda: store.put_state(state(equity=1_000)))
    assert store.ask(order(1)).reason is Reason.INSUFFICIENT_MARGIN
    assert kinds(store) == ["Load", "NeedBook", "Commit", "Commit"]
    assert len(store.journal) == 1


def test_two_orders_that_race_for_one_limit_never_both_get_it() -> None:
    store = DictStore(book(policy("gross_exposure", "<=", 60_000)))
    rival = order(1, order_id="rival")

    def race(_commit: Commit) -> None:
        store.before_commit = lambda _commit: None
        assert store.ask(rival).approved

    store.before_commit = race
    assert store.ask(order(1)).reason is Reason.POLICY_VIOLATION
    assert list(store.held()) == ["rival"]


def test_the_same_order_asked_twice_at_once_is_approved_once_and_answered_the_same() -> None:
    store, twice = DictStore(book()), order(1)
    answers = []

    def race(_commit: Commit) -> None:
        store.before_commit = lambda _commit: None
        answers.append(store.ask(twice))

    store.before_commit = race
    answers.append(store.ask(twice))
    assert answers[0].decision == answers[1].decision
    assert [answer.replayed for answer in answers] == [False, True]
    assert len(store.held()) == len(store.journal) == 1


def test_an_account_that_never_stands_still_is_contention() -> None:
    store = DictStore(book())
    conflicts(store, 10**6, touch(store))
    answer = store.ask(order(1))
    assert (answer.approved, answer.reason) == (False, Reason.CONTENTION)
    assert kinds(store).count("Commit") == MAX_ATTEMPTS + 1
    assert not store.held()


def test_contention_is_journaled_and_nothing_else_is_written() -> None:
    store = DictStore(book(rate("order_rate", 5)))
    conflicts(store, 10**6, touch(store))
    answer = store.ask(order(1))
    (entry,) = store.decisions()
    assert entry.inputs.forced is Reason.CONTENTION
    assert reevaluate(entry.inputs, store.books[1]) == bytes(entry.decision) == answer.decision
    assert store.accounts["A"].ledger is None
    assert store.accounts["A"].answers == {}
    last = store.trips[-1]
    assert isinstance(last, Commit)
    assert (last.expect, last.changes) == (None, ())


def test_an_order_refused_for_contention_may_be_sent_again() -> None:
    store, again = DictStore(book()), order(1)
    conflicts(store, MAX_ATTEMPTS, touch(store))
    assert store.ask(again).reason is Reason.CONTENTION
    assert store.ask(again).approved


def test_contention_on_a_new_book_is_decided_under_that_book() -> None:
    store = DictStore(book())
    versions = iter(range(2, 10**6))
    conflicts(store, MAX_ATTEMPTS, lambda: store.publish(book(version=next(versions))))
    store.ask(order(1))
    assert store.decisions()[0].inputs.book_version == MAX_ATTEMPTS + 1


def test_as_many_races_as_are_allowed_may_be_lost_but_the_last() -> None:
    store = DictStore(book())
    conflicts(store, MAX_ATTEMPTS - 1, touch(store))
    assert store.ask(order(1)).approved


# -------------------------------------------------------------------------------------- stops (promise 1)


def test_a_stop_that_comes_between_load_and_commit_stops_the_order() -> None:
    store = DictStore(book())
    conflicts(store, 1, lambda: store.set_stops(stop()))
    assert store.ask(order(1)).reason is Reason.EMERGENCY_STOP_ACTIVE
    assert not store.held()


def test_a_restored_store_is_another_one() -> None:
    store = DictStore(book())
    conflicts(store, 1, lambda: setattr(store, "control", Control(generation="g2", epoch=1, book_version=1)))
    assert store.ask(order(1)).approved
    assert store.decisions()[0].inputs.generation == "g2"
    assert kinds(store).count("Commit") == 2


def test_a_new_book_that_comes_between_load_and_commit_decides() -> None:
    store = DictStore(book())
    conflicts(store, 1, lambda: store.publish(book(restrictions=(restriction(),), version=2)))
    assert store.ask(order(1)).reason is Reason.SYMBOL_BLOCKED


# ----------------------------------------------------------------------------------------------- repeats


def test_the_same_order_gets_its_first_answer_again_and_nothing_is_written() -> None:
    store, again = DictStore(book(rate("order_rate", 1))), order(1)
    first = store.ask(again)
    store.now_us += 30 * SECOND
    store.trips.clear()
    second = store.ask(again)
    assert (second.decision, second.replayed, second.approved, second.reason) == (first.decision, True, True, None)
    assert kinds(store) == ["Load", "NeedBook"]
    assert len(store.journal) == 1


def test_a_block_is_repeated_though_the_order_would_pass_by_now() -> None:
    store, again = DictStore(book(policy("leverage", "<=", 0))), order(1)
    first = store.ask(again)
    store.publish(book(version=2))
    second = store.ask(again)
    assert second.replayed
    assert (second.decision, second.reason) == (first.decision, Reason.POLICY_VIOLATION)


def test_another_body_under_a_used_id_is_a_duplicate_and_does_not_replace_the_first_answer() -> None:
    store, first = DictStore(book()), order(1, order_id="x")
    store.ask(first)
    assert store.ask(order(2, order_id="x")).reason is Reason.DUPLICATE_ORDER
    assert store.ask(order(3, order_id="x")).reason is Reason.DUPLICATE_ORDER
    assert store.ask(first).replayed


@pytest.mark.parametrize("kind", [stop(), stop(REDUCING), stop(scope=StopScope.ACCOUNT, scope_id="A")])
def test_no_approval_is_repeated_into_a_stop(kind) -> None:
    store, again = DictStore(book()), order(1)
    store.ask(again)
    store.set_stops(kind)
    answer = store.ask(again)
    assert (answer.approved, answer.reason, answer.replayed) == (False, Reason.EMERGENCY_STOP_ACTIVE, False)
    entry = store.decisions()[-1]
    assert reevaluate(entry.inputs, store.books[1]) == bytes(entry.decision) == answer.decision


def test_an_approval_is_repeated_under_a_stop_of_something_else() -> None:
    store, again = DictStore(book()), order(1, exchange="binance")
    store.ask(again)
    for kind in (
        stop(scope=StopScope.SYMBOL, scope_id="ETHUSDT"),
        stop(scope=StopScope.EXCHANGE, scope_id="bybit"),
    ):
        store.set_stops(kind)
        assert store.ask(again).replayed


def test_an_approval_is_not_repeated_under_a_stop_of_its_accounts_exchange() -> None:
    store, again = DictStore(book(accounts=(account(exchange="binance"),)), state(position(1))), order(1)
    store.ask(again)
    store.set_stops(stop(scope=StopScope.EXCHANGE, scope_id="bybit"))
    assert store.ask(again).replayed
    store.set_stops(stop(scope=StopScope.EXCHANGE, scope_id="binance"))
    assert store.ask(again).reason is Reason.EMERGENCY_STOP_ACTIVE


def test_a_block_is_repeated_under_a_stop() -> None:
    store, again = DictStore(book(policy("leverage", "<=", 0))), order(1)
    store.ask(again)
    store.set_stops(stop())
    assert store.ask(again).reason is Reason.POLICY_VIOLATION


def test_the_first_answer_is_given_again_when_the_stop_is_over() -> None:
    store, again = DictStore(book()), order(1)
    first = store.ask(again)
    store.set_stops(stop())
    store.ask(again)
    store.set_stops()
    assert store.ask(again).decision == first.decision


def test_an_unknown_account_is_not_remembered() -> None:
    store, again = DictStore(book(accounts=())), order(1)
    assert store.ask(again).reason is Reason.UNKNOWN_ACCOUNT
    store.publish(book(version=2))
    assert store.ask(again).approved


# ---------------------------------------------------------------------------------------------- what-ifs


def snapshot(store: DictStore) -> tuple[Any, ...]:
    kept = store.accounts["A"]
    return kept.version, kept.state, kept.ledger, dict(kept.answers), dict(kept.reservations)


@pytest.mark.parametrize("quantity", [1, 1_000])
def test_a_what_if_changes_nothing(quantity: int) -> None:
    store = DictStore(book(rate("order_rate", 1), rate("consecutive_rejects", 0)))
    store.ask(order(1))
    store.now_us += 30 * SECOND
    store.put_state(state(received_at_us=store.now_us))
    store.prices["BTCUSDT"] = price(50_000, age_us=NOW - store.now_us)
    before = snapshot(store)
    answer = store.ask(order(quantity, price=40_000, what_if=True))
    assert answer.approved is (quantity == 1)
    assert snapshot(store) == before
    assert store.decisions()[-1].inputs.order.what_if


def test_a_what_if_under_the_id_of_an_order_is_no_duplicate_and_no_repeat() -> None:
    store = DictStore(book())
    store.ask(order(1, order_id="x"))
    assert store.ask(order(2, order_id="x", what_if=True)).approved
    assert not store.ask(order(1, order_id="x", what_if=True)).replayed


def test_an_order_under_the_id_of_a_what_if_is_the_first() -> None:
    store = DictStore(book())
    store.ask(order(1, order_id="x", what_if=True))
    answer = store.ask(order(2, order_id="x"))
    assert (answer.approved, answer.replayed) == (True, False)
    assert list(store.held()) == ["x"]


def test_a_what_if_leaves_what_has_expired_to_the_next_order() -> None:
    store = DictStore(book())
    store.ask(order(1, ttl_us=1))
    store.now_us += 1
    store.ask(order(1, what_if=True))
    assert len(store.held()) == 1
    store.ask(order(1))
    assert len(store.held()) == 1
    assert store.ledger().open["BTCUSDT"].buy_count == 1


# ---------------------------------------------------------------------------------------- reservations


def test_exposure_whose_time_has_run_out_is_free_again() -> None:
    store = DictStore(book(policy("gross_exposure", "<=", 60_000)))
    assert store.ask(order(1, ttl_us=SECOND)).approved
    assert not store.ask(order(1)).approved
    store.now_us += SECOND - 1
    assert not store.ask(order(1)).approved
    store.now_us += 1
    assert store.ask(order(1)).approved


def test_an_expired_own_order_is_not_matched() -> None:
    store = DictStore(book())
    store.ask(order(1, BUY, ttl_us=1))
    assert store.ask(order(1, SELL)).reason is Reason.SELF_MATCH
    store.now_us += 1
    assert store.ask(order(1, SELL)).approved


# ------------------------------------------------------------------------------- where the own orders are


def test_own_orders_are_looked_for_in_the_leg_that_the_order_changes() -> None:
    """The account's position says which exchange an order is for that names none."""
    store = DictStore(book(), state(position(1, exchange="binance")))
    store.ask(order(1, SELL, exchange="binance", price=51_000))
    store.trips.clear()
    assert store.ask(order(1, BUY, price=51_000)).reason is Reason.SELF_MATCH
    assert kinds(store) == ["Load", "NeedBook", "Load", "Commit"]
    assert isinstance(store.trips[2], Load)
    assert store.trips[2].accounts[0].keys == ("BTCUSDT", "BTCUSDT|binance")


def test_own_orders_are_looked_for_on_the_exchange_of_the_account() -> None:
    store = DictStore(book(accounts=(account(exchange="binance"),)), state(position(1, exchange="binance")))
    known = store.books[1]
    store.check(order(1, SELL, price=51_000), known=known)
    (answer,) = store.check(order(1, BUY, price=51_000), known=known)
    assert answer.reason is Reason.SELF_MATCH
    assert kinds(store) == ["Load", "Commit"] * 2


def test_a_symbol_that_is_part_of_another_is_not_taken_for_it() -> None:
    store = DictStore(book(), state(position(1, "BTC", exchange="binance")))
    store.prices["BTC"] = price(50_000)
    assert store.check(order(1, symbol="BTCUSDT"), known=store.books[1])[0].approved
    store.trips.clear()
    assert store.check(order(1, symbol="TC", price=1), known=store.books[1])[0].reason is Reason.PRICE_UNAVAILABLE
    assert kinds(store) == ["Load", "Commit"]


@pytest.mark.parametrize("record", ["state", "ledger"])
@pytest.mark.parametrize(
    "broken",
    [b'{"BTCUSDT":', b'{"open":{"BTCUSDT":"\xff"}}', b'{"last_order":"BTCUSDT\xff"}', b'"BTCUSDT\xff"', b'["BTCUSDT"]'],
)
def test_records_that_cannot_be_read_are_refused_with_a_reason(record: str, broken: bytes) -> None:
    store = DictStore(book(), state(position(1)))
    setattr(store.accounts["A"], record, broken)
    assert store.ask(order(1, exchange="binance")).reason is Reason.STALE_ACCOUNT_STATE
    assert not store.held()


def test_a_position_that_moves_to_an_exchange_again_and_again_is_contention_in_the_end(monkeypatch) -> None:
    """Each report names another exchange, and each time the own orders must be looked for there."""
    store = DictStore(book(), state(position(1)))
    names = iter(range(10**6))
    load = store.load

    def moving(request: Load):
        store.put_state(state(position(1, exchange=f"x{next(names)}")))
        return load(request)

    monkeypatch.setattr(store, "load", moving)
    assert store.ask(order(1)).reason is Reason.CONTENTION
    assert not store.held()


def test_an_unreadable_ledger_is_no_reason_to_fail_on_an_order_without_exchange() -> None:
    store = DictStore(book(), state(position(1)))
    store.accounts["A"].ledger = b'{"open":{"BTCUSDT|X":1}}'
    assert store.ask(order(1)).reason is Reason.STALE_ACCOUNT_STATE


def test_own_orders_sent_before_the_first_report_are_met_too() -> None:
    """They are on the exchange that the order names; the position was reported without one."""
    store = DictStore(book())
    assert store.ask(order(1, BUY, exchange="binance", price=50_000)).approved
    store.put_state(state(position(5)))
    assert store.ask(order(9, SELL, exchange="binance", price=50_000)).reason is Reason.SELF_MATCH
    assert store.ask(order(9, SELL, exchange="bybit", price=50_000)).approved
