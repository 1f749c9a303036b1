"""A stop survives the loss of everything; what nobody can know any more is halted until a person looks."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.utils import timezone

from audit.models import AuditEvent, AuditHead, EvidenceHead
from emergency import keeping, services
from emergency.keeping import beat, keep
from emergency.models import EmergencyStop, RecordKeeping, StopStep
from emergency.records import add_step
from emergency.tasks import keep_stops
from emergency.words import Status
from riskcore.ports import Stop, StopScope
from riskcore.types import TradingState
from riskportal.restore import Outcome, restore_if_empty
from state.store import StateUnavailable
from tests.emergency.world import ACCOUNTS, World, database_away, engage, lift, row, steps
from tests.support.patience import PATIENCE_S

OURS = "01a1fef2-cf88-7641-9189-bac8ce18d6e9"


def come_back(world: World, settings) -> None:
    settings.RISK_RECOVERY_HOLD = timedelta()
    assert restore_if_empty(world.store).outcome in (Outcome.RESTORED, Outcome.ALIVE)
    world.feed()


class TestRestarts:
    """Promise 7."""

    def test_of_the_process(self, world, settings):
        engaged = engage()
        world.restart()
        come_back(world, settings)
        assert not world.approves()
        assert world.up() == [engaged.stop_id]

    def test_of_a_live_state_that_comes_back_empty(self, world, settings):
        kept = [
            engage(scope="account", scope_id="desk-1", state=TradingState.REDUCING),
            engage(scope="symbol", scope_id="X"),
        ]
        lifted = engage(scope="account", scope_id="desk-2")
        lift(lifted.stop_id)
        world.lose()
        come_back(world, settings)
        assert world.up() == [each.stop_id for each in reversed(kept)]
        assert not world.approves(account_id="desk-1")
        assert world.approves(account_id="desk-2")

    def test_nothing_is_approved_between_the_loss_and_the_stop(self, world, settings):
        engage()
        world.lose()
        answers: list[bool] = []
        ending = threading.Event()
        world.feed()

        def hammer() -> None:
            while not ending.is_set():
                from tests.emergency.world import order

                answers.append(world.check(order()).approved)

        threads = [threading.Thread(target=hammer) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            come_back(world, settings)
        finally:
            ending.set()
            for thread in threads:
                thread.join(PATIENCE_S)
        assert not any(answers)

    def test_a_stop_that_the_database_had_no_time_for(self, world, settings):
        with database_away():
            engaged = engage()
        world.restart()
        come_back(world, settings)
        assert not world.approves()
        keep(world.store)
        assert row(engaged).in_force

    def test_lifted_and_lost_it_stays_lifted(self, world, settings):
        engaged = engage()
        lift(engaged.stop_id)
        world.lose()
        come_back(world, settings)
        assert world.approves()

    def test_after_a_loss_it_can_be_lifted(self, world, settings):
        engaged = engage()
        world.lose()
        come_back(world, settings)
        lift(engaged.stop_id)
        assert world.approves()


class TestWithoutADatabase:
    def test_trading_is_stopped_and_the_record_is_written_once(self, world):
        with database_away():
            engaged = engage(reason="the exchange is on fire")
            assert not engaged.recorded
            assert not world.approves()
        assert not EmergencyStop.objects.exists()
        threads = [threading.Thread(target=_keep_in_thread, args=(world,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
        keep(world.store)
        found = row(engaged)
        assert (found.reason, found.engaged_at) == ("the exchange is on fire", engaged.engaged_at)
        assert set(found.accounts.values_list("account_id", flat=True)) == set(ACCOUNTS)
        assert steps(engaged) == ["asked", "in_force"]
        assert AuditEvent.objects.filter(action="stop.engage").count() == 1
        assert world.up() == [engaged.stop_id]

    def test_asked_again_it_is_the_same_stop_also_where_it_unwinds(self, world):
        with database_away():
            first = engage(unwind=True)
            again = engage(unwind=True, triggered_by="carol")
        assert (again.stop_id, again.new) == (first.stop_id, False)
        keep(world.store)
        assert steps(first).count("asked_again") == 1

    def test_a_database_that_is_away_is_no_error_of_the_task(self, world):
        with database_away():
            keep_stops()

    @pytest.mark.parametrize("head", [AuditHead, EvidenceHead])
    def test_a_process_that_froze_while_it_wrote_evidence_does_not_hold_up_a_stop(self, world, monkeypatch, head):
        if connection.vendor == "sqlite":
            pytest.skip("SQLite has one writer at a time")
        engage(scope="symbol", scope_id="ETHUSDT")
        monkeypatch.setattr("emergency.records._PATIENCE", timedelta(milliseconds=100))
        is_held, may_end = threading.Event(), threading.Event()

        def freeze() -> None:
            with transaction.atomic():
                head.objects.select_for_update().get(pk=1)
                is_held.set()
                may_end.wait(PATIENCE_S)
            connection.close()

        frozen = threading.Thread(target=freeze)
        frozen.start()
        assert is_held.wait(PATIENCE_S)
        try:
            engaged = engage()
            assert not engaged.recorded
            assert not world.approves()
        finally:
            may_end.set()
            frozen.join(PATIENCE_S)
        keep(world.store)
        assert steps(engaged) == ["asked", "in_force"]

    def test_what_fails_for_another_reason_leaves_the_stop_in_force(self, world, monkeypatch):
        def fail(*_args, **_named):
            raise RuntimeError("a mistake")

        with monkeypatch.context() as wrong:
            wrong.setattr(services, "record_stop", fail)
            assert not engage().recorded
        assert not world.approves()
        keep(world.store)
        assert EmergencyStop.objects.count() == 1

    def test_a_call_whose_process_ended_is_recorded_from_its_note(self, world, monkeypatch):
        def end(*_args, **_named):
            raise SystemExit

        with monkeypatch.context() as killed:
            killed.setattr(services, "_recorded_new", end)
            with pytest.raises(SystemExit):
                engage(triggered_by="alice", reason="before the end")
        keep(world.store)
        (found,) = EmergencyStop.objects.all()
        assert (found.triggered_by, found.reason, found.in_force_known) == ("alice", "before the end", False)


def _keep_in_thread(world: World) -> None:
    try:
        keep(world.store)
    except OperationalError:
        pass  # SQLite lets one write at a time; the next call does it
    finally:
        connections.close_all()


class TestNobodyKnows:
    """The notes of stops were lost, and the database may not have had all of them."""

    def silence(self) -> None:
        """Let the database have been away for a while."""
        beat(timezone.now() - 2 * keeping.LONGEST_SILENCE)
        beat(timezone.now())

    def test_everything_is_halted_until_a_person_looks(self, world, settings):
        with database_away():
            engage(scope="account", scope_id="desk-1")
        self.silence()
        world.lose()
        come_back(world, settings)
        assert not any(world.approves(account_id=each) for each in ACCOUNTS)
        (found,) = EmergencyStop.objects.all()
        assert (found.scope, found.state, found.trigger) == ("global", "HALTED", "recovery")
        assert "may have been engaged" in found.reason
        lift(str(found.pk))
        assert world.approves()

    def test_a_database_that_was_not_seen_at_all_is_as_good_as_away(self, world, settings):
        beat(timezone.now() - 2 * keeping.LONGEST_SILENCE)
        world.lose()
        come_back(world, settings)
        assert not world.approves()

    def test_it_is_one_stop_however_often_it_is_lost(self, world, settings):
        for _ in range(2):
            self.silence()
            world.lose()
            come_back(world, settings)
        assert EmergencyStop.objects.count() == 1

    def test_once_all_is_recorded_again_a_loss_halts_nothing(self, world, settings):
        self.silence()
        keep(world.store)
        world.lose()
        come_back(world, settings)
        assert world.approves()

    def test_a_loss_while_the_database_was_there_halts_nothing(self, world, settings):
        beat(timezone.now())
        world.lose()
        come_back(world, settings)
        assert world.approves()
        assert not EmergencyStop.objects.exists()

    def test_a_process_that_was_away_for_long_and_kept_its_notes_halts_nothing(self, world, settings):
        self.silence()
        world.restart()
        come_back(world, settings)
        assert world.approves()


class TestKeeping:
    def test_a_flag_that_is_gone_is_put_back(self, world):
        engaged = engage()
        world.store.set_stops(())
        assert world.approves()
        keep(world.store)
        assert not world.approves()
        assert steps(engaged)[-1] == "put_back"

    def test_what_is_as_it_should_be_is_left_alone(self, world):
        engaged = engage()
        keep(world.store)
        before = world.store.control(), steps(engaged), RecordKeeping.objects.get().life
        keep(world.store)
        assert (world.store.control(), steps(engaged), RecordKeeping.objects.get().life) == before

    def test_a_flag_without_a_record_is_taken_on_record_so_that_it_can_be_lifted(self, world):
        world.store.set_stops((Stop(id=OURS, scope=StopScope.ACCOUNT, scope_id="desk-1"),))
        keep(world.store)
        found = EmergencyStop.objects.get(pk=OURS)
        assert (found.scope, found.scope_id, found.trigger) == ("account", "desk-1", "recovery")
        lift(OURS)
        assert world.up() == []

    def test_a_flag_that_is_none_of_ours_is_left_where_it_is(self, world):
        world.store.set_stops((Stop(id="bench"),))
        keep(world.store)
        assert world.up() == ["bench"]
        assert not EmergencyStop.objects.exists()

    def test_a_note_that_cannot_be_read_keeps_nobody_from_the_others(self, world, caplog):
        world.store.put_stop_notes({"step:x": b"{}", "accounts:y": b"["})
        with database_away():
            engaged = engage()
        keep(world.store)
        assert row(engaged).in_force
        assert "cannot be read" in caplog.text

    def test_a_live_state_without_memory_is_left_to_the_restore(self, world):
        engage()
        world.lose()
        keep(world.store)
        assert world.store.stops()[1] == ()

    def test_a_live_state_that_is_away_is_no_error_of_the_task(self, world, monkeypatch):
        def refuse(*_args, **_named):
            raise StateUnavailable("connection refused")

        with monkeypatch.context() as away:
            away.setattr(type(world.store), "control", refuse)
            keep_stops()


class TestSteps:
    def test_a_step_says_how_far_a_stop_has_come_and_what_is_left(self, world):
        engaged = engage()
        left = [{"account_id": "desk-1", "symbol": "BTCUSDT", "quantity": "0.5"}]
        add_step(engaged.stop_id, "cancelled", "12 orders", status=Status.CANCELLED, residuals=left)
        found = row(engaged)
        assert (found.status, found.residuals) == ("cancelled", left)
        assert steps(engaged)[-1] == "cancelled"

    def test_a_step_of_nothing_is_refused(self, world):
        with pytest.raises(EmergencyStop.DoesNotExist):
            add_step(OURS, "cancelled")
        assert not StopStep.objects.exists()
