"""Another number of lanes: decisions, reservations and stops come along, and nothing is approved on the way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import cycle
from typing import Any

import msgspec
import pytest
from django.db import connections

from api.ids import new_decision_id
from api.keys import publish_keys
from audit.drain import drain
from audit.models import JournalReject, OrderDecision, ReservationEnd
from feeds.books import BOOKS
from policies.services import do_create_account
from riskcore.batch import Answered
from riskcore.engine import check_steps
from riskcore.ports import AccountQuery, Load, Stop, StopScope
from riskcore.reasons import Reason
from riskcore.types import Ledger, Reservation
from riskportal import restore as module
from riskportal.answers import remember
from riskportal.restore import Outcome, restore_if_empty
from state.driver import run_sync
from state.keys import lane_of
from state.redis_store import RedisStore
from state.store import Store
from state.wiring import forget_stores
from tests.riskportal.world import World, order, uncounted
from tests.support.patience import PATIENCE_S, REDIS_S

DESKS = ("desk-1", "desk-2", "desk-3", "desk-4")
STOPPED = "desk-4"  # which moves each time
STOP = Stop(id="s-1", scope=StopScope.ACCOUNT, scope_id=STOPPED)

pytestmark = pytest.mark.parametrize("empty", ["redis"], indirect=True)
CHANGES = pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (2, 3), (3, 2)])


@pytest.fixture
def start(empty: World, settings) -> Callable[[int], Store]:
    """Return what ends this process and starts one with some number of lanes. Nothing is restored in it yet."""
    for account_id in DESKS[1:]:
        do_create_account(actor="test", reason="test", account_id=account_id, profile="aggressive")

    def begin(lanes: int) -> Store:
        empty.store.close()
        settings.RISK_LANES = lanes
        forget_stores()
        BOOKS.forget()
        return empty.store

    return begin


@pytest.fixture
def another(empty: World) -> Iterator[Callable[[int], Store]]:
    """Return what opens the store of a process that runs beside this one with its own number of lanes."""
    opened: list[Store] = []

    def begin(lanes: int) -> Store:
        opened.append(RedisStore(empty.url, lanes=lanes, timeout_s=REDIS_S))
        return opened[-1]

    yield begin
    for store in opened:
        store.close()


def revive(world: World) -> None:
    assert restore_if_empty(world.store).outcome is Outcome.RESTORED
    feed(world)


def feed(world: World) -> None:
    for account_id in DESKS:
        world.feed(account_id=account_id)


def check_in(store: Store, account_id: str, quantity: str = "0.01") -> Answered:
    """Check an order in any process's store."""
    asked = order(account_id=account_id, quantity=Decimal(quantity))
    (answered,) = run_sync(check_steps((asked,), new_id=new_decision_id, known=BOOKS.last), store, BOOKS)
    return answered


def reasons(store: Store) -> set[Reason | None]:
    """Return why an order is refused in each account, None for one that is approved."""
    return {check_in(store, account_id).reason for account_id in DESKS}


def trade(world: World) -> list[Answered]:
    """Leave three reservations, one that was released, and a refusal in every account; half of it drained.

    Returns every answer.
    """
    answered = []
    for number, account_id in enumerate(DESKS):
        if number == len(DESKS) // 2:
            drain(world.store)
        released = world.approve(account_id=account_id)
        world.release(released.order.order_id, account_id)
        answered += [
            released,
            world.approve(account_id=account_id),
            world.approve(account_id=account_id, symbol="ETHUSDT", price=Decimal(3_000)),
            *world.check(order(account_id=account_id, quantity=Decimal(1_000_000))),
            world.approve(account_id=account_id),
        ]
    return answered


def exposure(world: World) -> dict[str, tuple[Ledger, dict[str, Reservation]]]:
    """Return what every account has open, and what its ledger comes back with."""
    return {account_id: (uncounted(world.ledger(account_id)), world.held(account_id)) for account_id in DESKS}


@CHANGES
class TestAnotherNumberOfLanes:
    def test_moves_accounts(self, empty, before, after):
        assert any(lane_of(each, before) != lane_of(each, after) for each in DESKS)

    def test_nothing_is_approved_before_the_restore(self, empty, start, another, before, after):
        start(before)
        revive(empty)
        left = another(before)
        new = start(after)
        feed(empty)
        assert reasons(new) == {Reason.RECOVERING}
        new.claim_lanes()
        feed(empty)
        for store in (left, new):
            assert reasons(store) == {Reason.RECOVERING}
        revive(empty)
        assert reasons(new) == {None}
        assert reasons(left) == {Reason.RECOVERING}

    def test_every_decision_is_in_the_database_once(self, empty, start, before, after):
        start(before)
        revive(empty)
        answered = trade(empty)
        start(after)
        revive(empty)
        answered += [empty.approve(account_id=account_id) for account_id in DESKS]
        drain(empty.store)
        kept = sorted(str(key) for key in OrderDecision.objects.values_list("decision_id", flat=True))
        assert kept == sorted(msgspec.json.decode(one.decision)["decision_id"] for one in answered)
        assert ReservationEnd.objects.count() == len(DESKS)
        assert not JournalReject.objects.exists()

    def test_what_is_held_stays_held_and_what_ended_does_not_come_back(self, empty, start, before, after):
        start(before)
        revive(empty)
        trade(empty)
        left = exposure(empty)
        assert [len(held) for _, held in left.values()] == [3] * len(DESKS)
        start(after)
        revive(empty)
        assert exposure(empty) == left

    def test_no_room_is_given_twice(self, empty, start, before, after):
        largest = "0.4"  # 20,000: as much as one order may be of 1,000,000
        start(before)
        revive(empty)
        for account_id in DESKS:
            while check_in(empty.store, account_id, largest).approved:
                pass
        start(after)
        revive(empty)
        assert not any(check_in(empty.store, account_id, largest).approved for account_id in DESKS)

    def test_a_stop_stays_in_force_and_stops_nobody_else(self, empty, start, before, after):
        start(before)
        revive(empty)
        empty.store.set_stops((STOP,))
        start(after)
        revive(empty)
        assert empty.store.stops()[1] == (STOP,)
        for account_id in DESKS:
            stopped = Reason.EMERGENCY_STOP_ACTIVE if account_id == STOPPED else None
            assert check_in(empty.store, account_id).reason is stopped

    def test_there_and_back_is_as_if_nothing_had_been(self, empty, start, before, after):
        start(before)
        revive(empty)
        trade(empty)
        empty.store.set_stops((STOP,))
        start(after)
        revive(empty)
        more = [empty.approve(account_id=account_id) for account_id in DESKS if account_id != STOPPED]
        left = exposure(empty)
        start(before)
        revive(empty)
        assert exposure(empty) == left
        assert empty.store.stops()[1] == (STOP,)
        assert all(empty.check(one.order)[0].decision == one.decision for one in more)

    def test_first_answers_are_given_again(self, empty, start, before, after):
        start(before)
        revive(empty)
        answered = trade(empty)
        held = {order_id for account_id in DESKS for order_id in empty.held(account_id)}
        answered = [one for one in answered if one.order.order_id in held or not one.approved]
        first = [one.decision for one in answered]
        start(after)
        revive(empty)
        again = [empty.check(one.order)[0] for one in answered]
        assert all(one.replayed for one in again)
        assert [one.decision for one in again] == first

    def test_what_is_approved_until_the_last_moment_comes_along(self, empty, start, another, before, after):
        start(before)
        revive(empty)
        left, approved, trading = another(before), list[Answered](), threading.Event()

        def trade_until_it_ends() -> None:
            for account_id in cycle(DESKS):
                one = check_in(left, account_id, "0.001")
                if not one.approved:
                    break
                approved.append(one)
                trading.set()

        trader = threading.Thread(target=trade_until_it_ends)
        trader.start()
        assert trading.wait(PATIENCE_S)
        while restore_if_empty(start(after)).outcome is Outcome.BUSY:
            pass
        trader.join(PATIENCE_S)
        drain(empty.store)
        assert OrderDecision.objects.count() == len(approved)
        held = {order_id for account_id in DESKS for order_id in empty.held(account_id)}
        assert held == {one.order.order_id for one in approved}


@CHANGES
class TestTwoNumbersAtOnce:
    """Which is a mistake (.env.example says so): it may block all orders, and must not approve one too many."""

    @pytest.fixture
    def left(self, empty, start, before):
        """Return what every account had open before there were two."""
        start(before)
        revive(empty)
        trade(empty)
        return exposure(empty)

    @pytest.fixture
    def rival(self, left, start, another, before, after):
        """Return the store of a process that was left running, beside one that has just started with another number."""
        rival = another(before)
        start(after)
        return rival

    def test_what_was_put_back_and_forgotten_meanwhile_is_put_back_again(self, empty, left, rival, monkeypatch):
        def publish_after_a_claim(store: Store) -> bool:
            monkeypatch.undo()
            rival.claim_lanes()
            return publish_keys(store)

        monkeypatch.setattr(module, "publish_keys", publish_after_a_claim)
        assert restore_if_empty(empty.store).outcome is Outcome.BUSY
        assert (empty.store.control(), rival.control()) == (None, None)
        revive(empty)
        assert exposure(empty) == left

    def test_so_it_is_where_both_were_claimed_in_turn(self, empty, left, rival, another, after, monkeypatch):
        def publish_after_two_claims(store: Store) -> bool:
            monkeypatch.undo()
            rival.claim_lanes()
            another(after).claim_lanes()
            return publish_keys(store)

        monkeypatch.setattr(module, "publish_keys", publish_after_two_claims)
        assert restore_if_empty(empty.store).outcome is Outcome.BUSY
        revive(empty)
        assert exposure(empty) == left

    def test_nothing_is_claimed_while_another_puts_back(self, empty, left, rival, monkeypatch):
        outcomes: list[Outcome] = []

        def restore_the_rival() -> None:
            outcomes.append(restore_if_empty(rival).outcome)
            connections.close_all()

        def remember_slowly(*args: Any, **named: Any) -> Any:
            monkeypatch.undo()
            thread = threading.Thread(target=restore_the_rival)
            thread.start()
            thread.join(PATIENCE_S)
            return remember(*args, **named)

        monkeypatch.setattr(module, "remember", remember_slowly)
        assert restore_if_empty(empty.store).outcome is Outcome.RESTORED
        assert outcomes == [Outcome.BUSY]
        assert exposure(empty) == left

    def test_each_ends_the_live_state_of_the_other_and_keeps_what_is_held(self, empty, left, rival):
        for _ in range(2):
            for store in (empty.store, rival):
                assert restore_if_empty(store).outcome is Outcome.RESTORED
        assert empty.store.control() is None
        revive(empty)
        assert exposure(empty) == left

    def test_a_stop_is_in_force_in_every_lane_whoever_sets_it(self, empty, start, another, rival, before, after):
        revive(empty)
        rival.set_stops((Stop(id="s-2"),))
        assert reasons(empty.store) == {Reason.EMERGENCY_STOP_ACTIVE}
        empty.store.set_stops(())
        start(before)
        revive(empty)
        another(after).set_stops((Stop(id="s-3"),))
        assert reasons(empty.store) == {Reason.EMERGENCY_STOP_ACTIVE}

    def test_a_book_is_in_force_in_every_lane_whoever_publishes_it(self, empty, rival):
        revive(empty)
        rival.publish_book(99, b"{}")
        loads = [Load(accounts=(AccountQuery(account_id=each),)) for each in DESKS]
        controls = [empty.store.load(each).control for each in loads]
        assert [each.book_version for each in controls if each is not None] == [99] * len(DESKS)
