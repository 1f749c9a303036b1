"""The live state comes back before the first approval: whole, once, and not before lost orders have run out."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connections

from api.keys import do_create_key, publish_keys, published_records
from audit.acting import system
from audit.drain import drain
from audit.models import OrderDecision
from feeds.apply import keep_baselines
from policies.services import do_change_account
from riskcore.ports import Stop
from riskcore.reasons import Reason
from riskportal import restore as module
from riskportal.models import Recovery
from riskportal.restore import CannotRestore, Outcome, Report, keep_remembering, restore_if_empty
from state.store import StateUnavailable
from tests.riskportal.world import ACCOUNT, World, order, uncounted
from tests.support.patience import PATIENCE_S
from tests.support.tampering import tamper


def recover(world: World) -> Report:
    report = restore_if_empty(world.store)
    assert report.outcome is Outcome.RESTORED
    return report


class TestFirstStart:
    def test_it_is_alive_at_once_with_the_newest_book_and_the_keys(self, empty):
        do_create_key(acting=system("test"), reason="test", name="oms", permissions=["check"])
        report = recover(empty)
        control = empty.store.control()
        assert control is not None
        assert (control.book_version, control.stops) == (2, ())
        assert (report.book_version, report.accounts, report.reservations) == (2, 1, 0)
        assert empty.store.fetch_keys() == published_records()

    def test_a_live_state_that_is_alive_is_left_alone(self, world):
        before = world.store.control()
        assert restore_if_empty(world.store).outcome is Outcome.ALIVE
        assert world.store.control() == before

    def test_without_a_book_it_says_what_is_missing(self, settings, tmp_path, db):
        settings.REDIS_URL, settings.RISK_DATA_DIR = "", tmp_path
        nothing = World("", tmp_path)
        with pytest.raises(CannotRestore, match="run bootstrap"):
            restore_if_empty(nothing.store)
        assert nothing.store.control() is None
        nothing.store.close()


class TestAfterALoss:
    def test_every_order_is_blocked_until_it_is_restored(self, world):
        world.lose()
        world.feed()
        (answered,) = world.check(order())
        assert answered.reason is Reason.RECOVERING
        recover(world)
        world.approve()

    def test_ledger_and_reservations_are_what_they_were(self, world):
        for symbol, price in (("BTCUSDT", 50_000), ("ETHUSDT", 3_000), ("BTCUSDT", 50_001)):
            world.approve(symbol=symbol, price=Decimal(price))
        world.check(order(quantity=Decimal(1_000_000)))  # a reject counts, too
        ledger, held = uncounted(world.ledger()), world.held()
        assert len(held) == 3
        assert ledger.daily_notional
        world.lose()
        report = recover(world)
        assert (world.ledger(), world.held()) == (ledger, held)
        assert report.reservations == 3

    def test_orders_and_fills_of_the_day_are_counted_anew(self, world):
        """Or an account whose fills were forgotten would be kept out by its ratio for the rest of the day."""
        kept = world.approve()
        for _ in range(4):
            world.approve()
        world.fill(kept.order, Decimal("0.001"))
        assert (world.ledger().daily_orders, world.ledger().daily_fills) == (5, 1)
        world.lose()
        world.fill(kept.order, Decimal("0.002"))
        assert world.view().ledger is None
        recover(world)
        assert (world.ledger().daily_orders, world.ledger().daily_fills) == (0, 0)
        assert world.ledger().daily_notional
        world.feed()
        world.approve()
        assert world.ledger().daily_orders == 1

    def test_what_ended_does_not_come_back(self, world):
        kept = world.approve()
        released, expired = world.approve(), world.approve(ttl_us=1)
        world.release(released.order.order_id)
        world.lose()
        recover(world)
        assert set(world.held()) == {kept.order.order_id}
        assert world.ledger().open["BTCUSDT"].buy_count == 1
        assert expired.order.order_id not in world.held()

    def test_nothing_is_granted_that_the_lost_one_had_not_left(self, world):
        largest = order(quantity=Decimal("0.4"))  # 20,000: as much as one order may be of 1,000,000
        approved = 0
        while world.check(order(quantity=largest.quantity))[0].approved:
            approved += 1
        assert approved
        world.lose()
        recover(world)
        world.feed()
        assert not world.check(order(quantity=largest.quantity))[0].approved

    def test_the_journal_that_survived_is_drained_first(self, world):
        answered = world.approve()
        assert not OrderDecision.objects.exists()
        world.lose()
        recover(world)
        assert OrderDecision.objects.count() == 1
        assert set(world.held()) == {answered.order.order_id}

    def test_peaks_go_on_from_where_they_were_even_where_reports_came_first(self, world):
        world.feed(equity=1_200_000)
        world.feed()
        keep_baselines(world.store)
        world.lose()
        world.feed(equity=900_000)
        recover(world)
        assert world.state().peak_equity == 1_200_000

    def test_stops_that_were_set_meanwhile_stay(self, world):
        world.lose()
        world.store.set_stops((Stop(id="s-1"),))
        recover(world)
        world.feed()
        (answered,) = world.check(order())
        assert answered.reason is Reason.EMERGENCY_STOP_ACTIVE

    def test_a_decision_is_evaluated_under_the_book_that_it_was_taken_under(self, world):
        world.approve()
        ledger = uncounted(world.ledger())
        do_change_account(
            actor="test", reason="test", account_id=ACCOUNT, expected_version=1, enabled=False, profile="micro"
        )
        world.lose()
        recover(world)
        assert world.ledger() == ledger

    def test_an_approval_that_cannot_be_worked_out_again_holds_the_rest_back(self, world):
        answered = world.approve()
        drain(world.store)
        tamper(
            "UPDATE audit_orderdecision SET answer = replace(answer, 'expires_at\":\"20', %s)",
            with_=['expires_at":"21'],
        )
        world.lose()
        with pytest.raises(CannotRestore, match=answered.order.order_id):
            restore_if_empty(world.store)
        assert world.store.control() is None


class TestALossThatMayHaveTakenDecisions:
    @pytest.fixture
    def lost(self, world: World) -> World:
        world.approve()
        drain(world.store)
        world.approve()  # nobody will ever know
        world.lose(journal=True)
        return world

    def test_approvals_are_held_back_as_long_as_a_reservation_may_live(self, lost):
        report = restore_if_empty(lost.store)
        assert report.outcome is Outcome.HOLDING
        assert 58 < report.hold_s <= 60
        assert lost.store.control() is None

    def test_an_account_with_a_longer_life_makes_it_longer(self, world, lost):
        do_change_account(actor="test", reason="test", account_id=ACCOUNT, expected_version=1, reservation_ttl_s=300)
        assert 298 < restore_if_empty(lost.store).hold_s <= 300

    def test_so_does_an_approval_that_asked_for_one(self, world):
        world.approve(ttl_us=200_000_000)
        drain(world.store)
        world.lose(journal=True)
        assert 198 < restore_if_empty(world.store).hold_s <= 200

    def test_reports_flow_in_meanwhile(self, lost):
        restore_if_empty(lost.store)
        assert lost.store.fetch_keys() == published_records()
        lost.feed()

    def test_then_what_is_known_comes_back(self, settings, lost):
        settings.RISK_RECOVERY_HOLD = timedelta(milliseconds=1)
        assert restore_if_empty(lost.store).outcome is Outcome.HOLDING
        lost.feed()
        recover(lost)
        assert len(lost.held()) == 1
        lost.approve()

    def test_a_second_loss_begins_the_wait_anew(self, settings, lost):
        restore_if_empty(lost.store)
        Recovery.objects.update(lost_at_us=1)
        assert Recovery.objects.get().lost_at_us == 1
        lost.lose(journal=True)
        report = restore_if_empty(lost.store)
        assert report.outcome is Outcome.HOLDING
        assert report.hold_s > 50

    def test_no_wait_means_none(self, settings, lost):
        settings.RISK_RECOVERY_HOLD = timedelta()
        assert recover(lost).reservations == 1

    def test_a_loss_after_the_first_start_is_one_even_if_no_decision_was_drained(self, world):
        world.approve()
        world.lose(journal=True)
        assert not OrderDecision.objects.exists()
        assert restore_if_empty(world.store).outcome is Outcome.HOLDING


class TestAnswers:
    def test_the_first_answer_to_an_order_is_given_again(self, world):
        asked, blocked = order(), order(quantity=Decimal(1_000_000))
        first, second = world.check(asked, blocked)
        world.lose()
        assert recover(world).answers == 2
        assert [one.decision for one in world.check(asked, blocked)] == [first.decision, second.decision]

    def test_another_body_under_its_id_is_a_duplicate(self, world):
        asked = order()
        world.check(asked)
        world.lose()
        recover(world)
        world.feed()
        (answered,) = world.check(order(order_id=asked.order_id, quantity=Decimal("0.02")))
        assert answered.reason is Reason.DUPLICATE_ORDER

    def test_what_was_no_answer_is_none_now(self, world):
        asked = order()
        world.check(order(what_if=True, order_id=asked.order_id))
        world.check(order(account_id="nobody", order_id="o"))
        world.lose()
        assert recover(world).answers == 0

    def test_older_ones_follow_by_and_by(self, world, monkeypatch):
        monkeypatch.setattr(module, "_FIRST_ANSWERS", 3)
        monkeypatch.setattr(module, "_MORE_ANSWERS", 4)
        asked = [order() for _ in range(9)]
        answers = [world.check(one)[0].decision for one in asked]
        world.lose()
        assert recover(world).answers == 3
        counts = []
        while count := keep_remembering(world.store):
            counts.append(count)
        assert sum(counts) == 6
        assert len(counts) >= 2
        assert [one.decision for one in world.check(*asked)] == answers

    def test_one_that_was_decided_anew_meanwhile_stays(self, world, monkeypatch):
        monkeypatch.setattr(module, "_FIRST_ANSWERS", 1)
        asked = order()
        world.check(asked)
        world.release(asked.order_id)
        world.check(order())
        world.lose()
        recover(world)
        world.feed()
        (anew,) = world.check(asked)
        assert anew.approved
        assert not anew.replayed
        keep_remembering(world.store)
        assert world.check(asked)[0].decision == anew.decision

    def test_an_order_that_is_still_open_is_not_approved_twice_before_its_answer_is_back(self, world, monkeypatch):
        monkeypatch.setattr(module, "_FIRST_ANSWERS", 1)
        asked = order()
        (first,) = world.check(asked)
        world.check(order())
        world.lose()
        recover(world)
        world.feed()
        assert not world.check(asked)[0].approved
        keep_remembering(world.store)
        assert world.check(asked)[0].decision == first.decision


class TestManyAtOnce:
    def test_of_several_one_restores(self, world):
        world.approve()
        world.lose()
        outcomes: list[Outcome] = []
        line = threading.Barrier(4)

        def restore() -> None:
            line.wait()
            try:
                outcomes.append(restore_if_empty(world.store).outcome)
            finally:
                connections.close_all()

        threads = [threading.Thread(target=restore) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
        if Outcome.RESTORED not in outcomes:  # all were busy with one another's drain
            recover(world)
        assert outcomes.count(Outcome.RESTORED) <= 1
        assert set(outcomes) <= {Outcome.RESTORED, Outcome.BUSY, Outcome.ALIVE}
        assert world.ledger().open["BTCUSDT"].buy_count == 1

    @pytest.mark.parametrize("step", ["_refill_accounts", "remember", "restore_baselines", "publish_keys", "_revive"])
    def test_one_that_is_broken_off_is_made_good_by_the_next(self, world, monkeypatch, step):
        world.approve()
        ledger, held = uncounted(world.ledger()), world.held()
        world.lose()
        real = getattr(module, step)

        def break_off(*args: object, **named: object) -> object:
            real(*args, **named) if step != "_revive" else None
            raise StateUnavailable("gone")

        monkeypatch.setattr(module, step, break_off)
        with pytest.raises(StateUnavailable):
            restore_if_empty(world.store)
        assert world.store.control() is None
        monkeypatch.undo()
        recover(world)
        assert (world.ledger(), world.held()) == (ledger, held)

    @pytest.mark.parametrize("empty", ["redis"], indirect=True)
    def test_a_store_that_is_emptied_once_more_meanwhile_is_filled_again(self, settings, world, monkeypatch):
        world.approve()
        held = world.held()
        world.lose()

        def lose_once_more(store: object) -> bool:
            monkeypatch.undo()
            world.lose(journal=True)
            return publish_keys(world.store)

        monkeypatch.setattr(module, "publish_keys", lose_once_more)
        assert restore_if_empty(world.store).outcome is Outcome.BUSY
        assert world.store.control() is None
        settings.RISK_RECOVERY_HOLD = timedelta()
        recover(world)
        assert world.held() == held


def test_a_process_that_found_it_empty_leaves_what_another_restored(world, monkeypatch):
    world.approve()
    world.lose()

    def another_is_first(store: object) -> int:
        monkeypatch.undo()
        drain(world.store)
        recover(world)
        return 0

    monkeypatch.setattr(module, "drain", another_is_first)
    assert restore_if_empty(world.store).outcome is Outcome.ALIVE
