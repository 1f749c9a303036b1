"""Ending a reservation before its time."""

from __future__ import annotations

import pytest

from riskcore.ledger import encode_ledger
from riskcore.ports import Commit
from riskcore.release import NotReleased, release_steps
from tests.riskcore.builders import SELL, book, order, policy
from tests.riskcore.store import DictStore


def release(store: DictStore, order_id: str, account_id: str = "A"):
    return store.drive(release_steps(account_id, order_id, actor="desk", reason="cancelled by phone"))


def store_with(*ids: str) -> DictStore:
    store = DictStore(book(policy("gross_exposure", "<=", 100_000)))
    for order_id in ids:
        assert store.ask(order(1, order_id=order_id)).approved
    return store


def test_what_is_not_held_cannot_be_released() -> None:
    with pytest.raises(NotReleased, match="account A holds no reservation for it"):
        release(store_with("x"), "y")
    with pytest.raises(NotReleased, match="account B holds no reservation for it"):
        release(store_with("x"), "x", "B")


def test_what_was_released_cannot_be_released_again_at_the_cost_of_another() -> None:
    store = store_with("x", "y")
    release(store, "x")
    with pytest.raises(NotReleased):
        release(store, "x")
    assert store.ledger().open["BTCUSDT"].buy_count == 1


def test_a_ledger_that_does_not_have_the_reservation_is_left_alone() -> None:
    store = store_with("x")
    store.accounts["A"].ledger = b"{}"
    with pytest.raises(NotReleased, match="order_id x: reservation 'x' is not in the open orders of 'A'"):
        release(store, "x")
    assert list(store.held()) == ["x"]


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"open":{"a":"\xff"}}'])
def test_a_ledger_that_cannot_be_read_is_left_alone(content: bytes) -> None:
    store = store_with("x")
    store.accounts["A"].ledger = content
    with pytest.raises(NotReleased, match="order_id x: "):
        release(store, "x")
    assert store.accounts["A"].ledger == content


def test_released_exposure_is_free_for_the_next_order() -> None:
    store = store_with("x", "y")
    assert not store.ask(order(1)).approved
    held = release(store, "x")
    assert held.order_id == "x"
    assert list(store.held()) == ["y"]
    assert store.ask(order(1)).approved


def test_the_last_release_leaves_nothing() -> None:
    store = store_with("x")
    release(store, "x")
    assert store.ledger().open == {}


def test_a_release_is_journaled_with_who_and_why() -> None:
    store = store_with("x")
    held = store.held()["x"]
    release(store, "x")
    (entry,) = store.releases()
    assert (entry.actor, entry.reason, entry.account_id, entry.order_id) == ("desk", "cancelled by phone", "A", "x")
    assert (entry.decision_id, entry.now_us) == (held.decision_id, store.now_us)


def test_a_release_does_not_wait_for_trading_to_be_allowed() -> None:
    store = store_with("x")
    store.control = None
    release(store, "x")
    commit = store.trips[-1]
    assert isinstance(commit, Commit)
    assert commit.expect is None


def test_a_release_that_loses_a_race_is_worked_out_again() -> None:
    store = store_with("x")

    def race(_commit: Commit) -> None:
        store.before_commit = lambda _commit: None
        assert store.ask(order(1, SELL, price=60_000, order_id="y")).approved

    store.before_commit = race
    release(store, "x")
    opened = store.ledger().open["BTCUSDT"]
    assert (opened.buy_count, opened.sell_count) == (0, 1)


def test_two_releases_of_one_reservation_at_once_release_it_once() -> None:
    store = store_with("x", "y")

    def race(_commit: Commit) -> None:
        store.before_commit = lambda _commit: None
        release(store, "x")

    store.before_commit = race
    with pytest.raises(NotReleased):
        release(store, "x")
    assert store.ledger().open["BTCUSDT"].buy_count == 1


def test_an_account_that_never_stands_still_is_not_released() -> None:
    store = store_with("x")

    def touch(_commit: Commit) -> None:
        store.accounts["A"].version += 1

    store.before_commit = touch
    with pytest.raises(NotReleased, match="changed at every attempt; try again"):
        release(store, "x")
    assert list(store.held()) == ["x"]


def test_an_expired_reservation_may_still_be_released() -> None:
    store = store_with("x")
    store.now_us += 10**9
    release(store, "x")
    assert (store.held(), store.ledger().open) == ({}, {})
    assert encode_ledger(store.ledger()) == store.accounts["A"].ledger
