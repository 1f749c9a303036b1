"""What feeds remember of an account: fills taken, orders met before they were asked about, their own record."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import redis

from riskcore.ports import Committed, Loaded
from riskcore.types import OrderTail
from state.redis_store import RedisStore
from state.store import StateUnavailable
from tests.contract.subjects import ANSWER, accounts, change, commit, reservation, view

ALPHA = "account-0"
TAIL = OrderTail(Decimal("2.50"), closed=True)


def test_an_account_that_no_feed_spoke_of_has_nothing(store):
    found = view(store, ALPHA, order_ids=("o",), fills=("f",), flow=True)
    assert (found.tails, found.fills, found.flow) == ({}, frozenset(), None)


def test_what_a_feed_wrote_is_read_where_it_is_asked_for(store):
    assert commit(store, change(ALPHA, flow=b'{"x":1}', fills=("f1", "f2"), tails={"o": TAIL})) == Committed()
    found = view(store, ALPHA, order_ids=("o", "p"), fills=("f1", "f3"), flow=True)
    assert (found.version, found.tails, found.fills, found.flow) == (1, {"o": TAIL}, frozenset({"f1"}), b'{"x":1}')
    unasked = view(store, ALPHA)
    assert (unasked.tails, unasked.fills, unasked.flow) == ({}, frozenset(), None)


def test_each_account_has_its_own(store):
    left, right = accounts(store, 2)
    commit(store, change(left, flow=b"left", fills=("f",), tails={"o": TAIL}))
    found = view(store, right, order_ids=("o",), fills=("f",), flow=True)
    assert (found.tails, found.fills, found.flow) == ({}, frozenset(), None)


@pytest.mark.parametrize(("part", "content"), [("flow", b"{}"), ("tails", {"o": TAIL})])
def test_a_record_and_a_tail_are_a_new_version(store, part: str, content: Any):
    commit(store, change(ALPHA, state=b"{}"))
    what: dict[str, Any] = {part: content}
    commit(store, change(ALPHA, 1, **what))
    found = view(store, ALPHA)
    assert (found.version, found.state) == (2, b"{}")
    assert isinstance(commit(store, change(ALPHA, 1, ledger=b"{}")), Loaded)


def test_a_record_is_written_beside_all_others(store):
    what: dict[str, Any] = {"state": b"s", "ledger": b"l", "flow": b"f", "symbols": ("A",)}
    commit(store, change(ALPHA, **what))
    commit(store, change(ALPHA, 1, flow=b"g", symbols=("B",)))
    store.put_prices({"A": ("1", 0), "B": ("2", 0)})
    found = view(store, ALPHA, flow=True)
    assert (found.state, found.ledger, found.flow, sorted(found.prices)) == (b"s", b"l", b"g", ["A", "B"])


def test_a_tail_is_kept_until_there_is_an_answer(store):
    commit(store, change(ALPHA, tails={"o": OrderTail(Decimal(1))}))
    commit(store, change(ALPHA, 1, tails={"o": TAIL}))
    assert view(store, ALPHA, order_ids=("o",)).tails == {"o": TAIL}
    assert commit(store, change(ALPHA, 2, ledger=b"{}", answers={"o": ANSWER})) == Committed()
    found = view(store, ALPHA, order_ids=("o",))
    assert (found.tails, found.answers) == ({}, {"o": ANSWER})


def test_no_tail_takes_the_place_of_an_answer(store):
    commit(store, change(ALPHA, ledger=b"{}", answers={"o": ANSWER}))
    refused = commit(store, change(ALPHA, 1, flow=b"f", fills=("f",), tails={"o": TAIL}))
    assert isinstance(refused, Loaded)
    found = view(store, ALPHA, order_ids=("o",), fills=("f",), flow=True)
    assert (found.version, found.answers, found.fills, found.flow) == (1, {"o": ANSWER}, frozenset(), None)


def test_a_reservation_shrinks_in_one_write_with_the_fill(store):
    held, left = reservation("o"), reservation("o", quantity=Decimal(1))
    commit(store, change(ALPHA, ledger=b"{}", add=(held,)))
    what = change(ALPHA, 1, ledger=b"{}", state=b"{}", flow=b"{}", remove=(held,), add=(left,), fills=("f",))
    assert commit(store, what) == Committed()
    assert view(store, ALPHA, reservations=("o",)).reservations == {"o": left}
    assert isinstance(commit(store, what), Loaded)


def test_what_is_written_on_ground_that_moved_is_not(store):
    commit(store, change(ALPHA, state=b"{}"))
    assert isinstance(commit(store, change(ALPHA, 0, flow=b"f", fills=("f",), tails={"o": TAIL})), Loaded)
    found = view(store, ALPHA, order_ids=("o",), fills=("f",), flow=True)
    assert (found.version, found.tails, found.fills, found.flow) == (1, {}, frozenset(), None)


def test_a_tail_that_cannot_be_read_makes_the_state_unavailable(redis_store: RedisStore, clean_redis):
    commit(redis_store, change(ALPHA, tails={"o": TAIL}))
    with redis.Redis.from_url(clean_redis) as client:
        (key,) = client.keys("*answer:*")
        client.set(key, b"tail\n{")
    with pytest.raises(StateUnavailable):
        view(redis_store, ALPHA, order_ids=("o",))
