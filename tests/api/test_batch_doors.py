"""Batches: up to 1,000 orders at once, on every door and store."""

from __future__ import annotations

import pytest

from api import checks
from api.wire import MOST_ORDERS
from tests.api.world import BATCH, bearer, fill, order, put_keys, record
from tests.riskcore import builders


def orders(count: int, **what):
    return [order(f"o-{number}", **what) for number in range(count)]


def approvals(answer) -> list[bool]:
    return [decision["approved"] for decision in answer.json["decisions"]]


@pytest.fixture
def tight(store):
    """Exposure for two orders of one bitcoin, and a half."""
    fill(store, builders.policy("gross_exposure", "<=", 125_000))
    return store


def test_orders_are_decided_in_order_and_with_cumulative_effect(tight, door):
    answer = door.post(BATCH, {"orders": orders(3)})

    assert answer.status == 200
    assert [decision["order_id"] for decision in answer.json["decisions"]] == ["o-0", "o-1", "o-2"]
    assert approvals(answer) == [True, True, False]
    assert len(tight.reservations("A")) == 2


def test_an_atomic_batch_is_approved_whole(tight, door):
    assert approvals(door.post(BATCH, {"orders": orders(2), "atomic": True})) == [True, True]


def test_an_atomic_batch_with_one_block_approves_nothing(tight, door):
    answer = door.post(BATCH, {"orders": orders(3), "atomic": True})

    assert approvals(answer) == [False] * 3
    assert [decision["reason"] for decision in answer.json["decisions"]][:2] == ["batch_rejected"] * 2
    assert tight.reservations("A") == ()


def test_accounts_may_be_mixed(ready, door):
    answer = door.post(BATCH, {"orders": [order("o", account_id=name) for name in "ABC"]})

    assert approvals(answer) == [True] * 3


def test_a_what_if_among_them_reserves_nothing(ready, door):
    door.post(BATCH, {"orders": [order("o-1", what_if=True), order("o-2")]})

    assert [held.order_id for held in ready.reservations("A")] == ["o-2"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"orders": []}, "orders"),
        ({}, "orders"),
        ({"orders": {}}, "orders"),
        ({"orders": [order()] * (MOST_ORDERS + 1)}, "orders"),
        ({"orders": [order()], "atomic": "yes"}, "atomic"),
        ({"orders": [order()], "frobnicate": 1}, "frobnicate"),
        ({"orders": [order(), 7]}, "orders[1]"),
        ({"orders": [*orders(17), order("x", quantity="0")]}, "orders[17].quantity"),
        (b'{"orders":[{"order_id":"a","price":1,"price":2}]}', "orders[0].price"),
        (b'{"orders":[{},{"price":NaN}]}', "orders[1].price"),
        (b'{"orders":[{"order_id":"a"}],"orders":[]}', "orders"),
        (b"[" * 100_000, "body"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(ready, door, body, named):
    answer = door.post(BATCH, body)

    assert answer.status == 400
    assert named in answer.fields
    assert ready.journal_length(0) == 0


def test_more_than_a_megabyte_is_refused(ready, door):
    assert door.post(BATCH, b" " * 1_100_000).status == 413


def test_a_thousand_orders_are_answered(ready, door):
    answer = door.post(BATCH, {"orders": orders(MOST_ORDERS, quantity="0.001")})

    assert sum(approvals(answer)) == MOST_ORDERS


def test_one_order_of_another_account_refuses_the_batch(ready, door):
    put_keys(ready, record(accounts=frozenset({"A"})))

    answer = door.post(BATCH, {"orders": [order("o-1"), order("o-2", account_id="B")]})

    assert (answer.status, answer.json["code"]) == (403, "not_this_account")
    assert ready.journal_length(0) == 0


def test_an_error_of_ours_approves_nothing_and_says_so(ready, door, monkeypatch, caplog):
    def broken(*_args, **_named):
        raise ZeroDivisionError

    monkeypatch.setattr(checks, "check_steps", broken)

    answer = door.post(BATCH, {"orders": orders(1)}, bearer())

    assert (answer.status, answer.json["code"]) == (500, "internal_error")
    assert "ZeroDivisionError" in caplog.text


class TestLanes:
    """Accounts in several lanes are not decided on in one step."""

    @pytest.fixture(autouse=True)
    def three_lanes(self, settings, request):
        settings.RISK_LANES = 3

    @pytest.fixture
    def lanes(self, store) -> set[int]:
        fill(store)
        return {store.lane_of(name) for name in "ABC"}

    def test_a_batch_over_lanes_is_answered_in_its_order(self, lanes, door):
        answer = door.post(BATCH, {"orders": [order("o", account_id=name) for name in "CAB"]})

        assert [decision["account_id"] for decision in answer.json["decisions"]] == ["C", "A", "B"]
        assert approvals(answer) == [True] * 3

    def test_an_atomic_batch_over_lanes_is_refused(self, lanes, door):
        answer = door.post(BATCH, {"orders": [order("o", account_id=name) for name in "ABC"], "atomic": True})

        if len(lanes) > 1:
            assert answer.fields == {"atomic"}
        else:
            assert approvals(answer) == [True] * 3
