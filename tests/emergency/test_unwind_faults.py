"""Whatever is away, dies or comes twice: orders are cancelled, and a stop's story is told once."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import pytest
from django.db import OperationalError, connections

from bus.asking import Unanswered
from emergency import unwind
from emergency.cases import FIRST_PAUSE_S, LONGEST_PAUSE_S
from emergency.keeping import keep
from emergency.models import EmergencyStop
from emergency.notes import StopNote, decode, encode
from emergency.progress import take_progress
from emergency.records import record_stop
from emergency.unwind import LEASE, Ask, Outcome
from emergency.words import Command, Status
from emergency.work import Progress, ProgressNote
from riskcore.ports import Stop
from riskportal.restore import restore_if_empty
from state.store import StateUnavailable
from tests.emergency.test_unwind import CANCEL, CLOSE, Desk, desk
from tests.emergency.world import ACCOUNTS, database_away, engage, lift, long, row, steps
from tests.support.patience import PATIENCE_S

__all__ = ["desk"]

WORKFLOW = ("cancelled", "unwinding", "flat", "completed")


def told(engaged) -> list[int]:
    """How often each stage of the workflow is in the timeline."""
    count = Counter(steps(engaged))
    return [count[what] for what in WORKFLOW]


class TestTheDatabaseIsAway:
    def test_everything_is_done_and_recorded_once_when_it_is_back(self, desk):
        desk.world.feed(long(), account_id="desk-1")
        desk.oms.positions["desk-1"] = 1
        with database_away():
            engaged = engage(unwind=True)
            desk.advance()
            assert sorted(desk.oms.of(CANCEL)) == sorted(ACCOUNTS)
            assert desk.oms.of(CLOSE) == ["desk-1"]
            desk.world.feed()
            desk.advance()
            assert desk.work(engaged).status is Status.COMPLETED
        assert not EmergencyStop.objects.exists()
        for _ in range(2):
            keep(desk.world.store)
        assert row(engaged).status == Status.COMPLETED
        assert told(engaged) == [1, 1, 1, 1]
        at = dict(row(engaged).steps.values_list("what", "at"))
        assert at["cancelled"] < at["unwinding"] < at["flat"] < at["completed"]

    def test_what_is_left_is_recorded_as_well(self, desk):
        desk.oms.says[""] = Unanswered("the bus is away")
        with database_away():
            engaged = engage()
            desk.advance()
        keep(desk.world.store)
        assert {left["why"] for left in row(engaged).residuals} == {"the bus is away"}

    def test_the_oms_does_not_wait_for_it_each_time(self, desk, monkeypatch):
        tries = []

        def refuse(_notes):
            tries.append(1)
            raise OperationalError("connection refused")

        monkeypatch.setattr(unwind, "record_notes", refuse)
        desk.oms.says[""] = Unanswered("nobody listens")
        engage()
        for why in "abcdefgh":
            desk.oms.says[""] = Unanswered(why)
            desk.clock.passes(1.0)
            desk.unwinder.advance()
        assert len(tries) == 2

    def test_what_came_before_the_record_is_there_before_what_comes_after(self, desk):
        desk.world.feed(long(), account_id="desk-1")
        desk.oms.positions["desk-1"] = 1
        with database_away():
            engaged = engage(unwind=True)
            desk.advance()
        record_stop(next(note for note in decode(desk.world.store.stop_notes()) if isinstance(note, StopNote)))
        desk.world.feed()
        desk.advance()
        assert told(engaged) == [1, 1, 1, 1]


class TestTheLiveState:
    def test_where_it_is_away_nothing_is_lost(self, desk, monkeypatch):
        engaged = engage()

        def refuse(*_args, **_named):
            raise StateUnavailable("connection refused")

        with monkeypatch.context() as away:
            away.setattr(type(desk.world.store), "put_stop_notes", refuse)
            with pytest.raises(StateUnavailable):
                desk.unwinder.advance()
        desk.advance()
        assert row(engaged).status == Status.COMPLETED
        assert told(engaged)[0] == 1

    def test_what_was_lost_is_asked_for_again_for_all_accounts_of_the_record(self, desk, settings):
        settings.RISK_RECOVERY_HOLD = timedelta()
        del desk.oms.orders["desk-1"]
        engaged = engage()
        desk.advance()
        desk.world.lose()
        desk.oms.orders["desk-1"] = 1
        restore_if_empty(desk.world.store)
        desk.unwinder = desk.new_unwinder("one")
        desk.advance()
        assert row(engaged).status == Status.COMPLETED
        assert set(desk.oms.of(CANCEL)[-len(ACCOUNTS) :]) == set(ACCOUNTS)

    def test_a_note_that_cannot_be_read_is_begun_anew(self, desk):
        engaged = engage()
        desk.world.store.put_stop_notes({f"unwind:{engaged.stop_id}": b"?"})
        desk.advance()
        assert row(engaged).status == Status.COMPLETED

    def test_a_flag_of_which_nothing_else_is_left_unwinds_as_it_says(self, desk):
        desk.world.feed(long(), account_id="desk-1")
        desk.oms.positions["desk-1"] = 1
        desk.world.store.set_stops([Stop(id="01a1fef2-cf88-7641-9189-bac8ce18d6e9", unwind=True)])
        keep(desk.world.store)
        desk.advance()
        assert desk.oms.of(CLOSE) == ["desk-1"]

    def test_before_it_is_restored_nothing_is_taken_for_done(self, desk):
        engaged = engage(unwind=True)
        desk.world.lose()
        assert desk.new_unwinder("one").advance() is Outcome.RECOVERING
        assert row(engaged).status == Status.BLOCKED

    def test_what_is_completed_is_not_asked_for_again(self, desk, settings):
        settings.RISK_RECOVERY_HOLD = timedelta()
        engaged = engage()
        desk.advance()
        asked = len(desk.oms.asked)
        desk.world.lose()
        restore_if_empty(desk.world.store)
        desk.unwinder = desk.new_unwinder("one")
        assert desk.unwinder.advance() is Outcome.NOTHING_TO_DO
        assert (len(desk.oms.asked), row(engaged).status) == (asked, Status.COMPLETED)


class TestSeveralDrivers:
    def test_one_at_a_time(self, desk):
        engage()
        assert desk.unwinder.advance() is Outcome.WENT_ON
        assert desk.new_unwinder("two").advance() is Outcome.ELSEWHERE

    def test_who_lost_the_lease_while_asking_writes_nothing(self, desk):
        engaged = engage()
        answer: Ask = desk.oms.answer

        def slowly(requests: Sequence[tuple[str, bytes]]) -> list[bytes | Unanswered]:
            found = answer(requests)
            desk.world.store.hold_lease(LEASE, "one", 1)
            while desk.world.store.hold_lease(LEASE, "two", 10_000_000) is None:
                pass
            return found

        desk.unwinder._ask = slowly
        assert desk.unwinder.advance() is Outcome.TOO_LATE
        assert row(engaged).status == Status.BLOCKED
        assert desk.new_unwinder("two").advance() is Outcome.WENT_ON
        assert row(engaged).status == Status.COMPLETED

    def test_of_two_threads_of_a_process_one_does_it(self, desk):
        engage()
        answer: Ask = desk.oms.answer
        inside, release = threading.Event(), threading.Event()

        def slowly(requests: Sequence[tuple[str, bytes]]) -> list[bytes | Unanswered]:
            inside.set()
            assert release.wait(PATIENCE_S)
            return answer(requests)

        def work() -> None:
            desk.unwinder.advance()
            connections.close_all()

        desk.unwinder._ask = slowly
        thread = threading.Thread(target=work)
        thread.start()
        try:
            assert inside.wait(PATIENCE_S)
            assert desk.unwinder.advance() is Outcome.BUSY
        finally:
            release.set()
            thread.join(PATIENCE_S)

    @pytest.mark.parametrize("after", range(1, 6))
    def test_whoever_dies_at_any_write_another_tells_the_rest_and_nothing_twice(self, desk, monkeypatch, after):
        desk.world.feed(long(), account_id="desk-1")
        desk.oms.positions["desk-1"] = 1
        engaged = engage(unwind=True)
        store, writes = type(desk.world.store), Counter[str]()

        class Killed(BaseException):
            pass

        for name in ("put_stop_notes", "drop_stop_notes"):
            real = getattr(store, name)

            def write(self, *args, real=real):
                writes["all"] += 1
                if writes["all"] == after:
                    raise Killed
                return real(self, *args)

            monkeypatch.setattr(store, name, write)
        for number in range(6):
            desk.unwinder = desk.new_unwinder("one")
            desk.clock.passes(LONGEST_PAUSE_S)
            try:
                desk.unwinder.advance()
            except Killed:
                desk.world.store.hold_lease(LEASE, "one", 1)
            if number:
                desk.world.feed()
        keep(desk.world.store)
        assert writes["all"] > after
        assert row(engaged).status == Status.COMPLETED
        assert told(engaged) == [1, 1, 1, 1]
        assert Counter(steps(engaged))["orders_cancelled"] == len(ACCOUNTS)


class TestPace:
    def test_who_does_not_answer_is_asked_less_and_less(self, desk):
        desk.oms.says[""] = Unanswered("nobody listens")
        engage(scope="account", scope_id="desk-1")
        asked_at = []
        for eighth in range(240):
            before = len(desk.oms.asked)
            desk.unwinder.advance()
            if len(desk.oms.asked) > before:
                asked_at.append(eighth / 8)
            desk.clock.passes(1 / 8)
        pauses = [later - sooner for sooner, later in itertools.pairwise(asked_at)]
        assert pauses[:5] == [FIRST_PAUSE_S, 1.0, 2.0, 4.0, LONGEST_PAUSE_S]
        assert max(pauses) == LONGEST_PAUSE_S

    def test_while_something_changes_it_is_asked_on(self, desk):
        engaged = engage(scope="account", scope_id="desk-1")
        for left in (9, 7, 5, 3):
            answer = {"stop_id": engaged.stop_id, "account_id": "desk-1", "remaining": left}
            desk.oms.says["desk-1"] = json.dumps(answer).encode()
            desk.unwinder.advance()
            desk.clock.passes(FIRST_PAUSE_S)
        assert len(desk.oms.asked) == 4


class TestLifted:
    def test_in_the_middle_it_ends_there(self, desk):
        desk.oms.says[""] = Unanswered("nobody listens")
        engaged = engage()
        desk.advance()
        lift(engaged.stop_id)
        asked = len(desk.oms.asked)
        assert desk.unwinder.advance() is Outcome.NOTHING_TO_DO
        keep(desk.world.store)
        assert len(desk.oms.asked) == asked
        assert row(engaged).status == Status.BLOCKED
        assert steps(engaged)[-2:] == ["lifted", "ended"]
        assert not [name for name in desk.world.store.stop_notes() if engaged.stop_id in name]

    def test_after_it_was_completed_there_is_nothing_to_end(self, desk):
        engaged = engage()
        desk.advance()
        lift(engaged.stop_id)
        desk.unwinder.advance()
        assert steps(engaged)[-1] == "lifted"

    def test_while_the_oms_was_asked_it_is_noticed_the_next_time(self, desk):
        engaged = engage()
        answer: Ask = desk.oms.answer

        def lifted_meanwhile(requests: Sequence[tuple[str, bytes]]) -> list[bytes | Unanswered]:
            lift(engaged.stop_id)
            return answer(requests)

        desk.unwinder._ask = lifted_meanwhile
        desk.advance()
        desk.unwinder._ask = answer
        assert desk.unwinder.advance() is Outcome.NOTHING_TO_DO
        assert row(engaged).status == Status.BLOCKED
        assert not [name for name in desk.world.store.stop_notes() if engaged.stop_id in name]


class TestWhatTheOmsSaysByItself:
    def say(self, desk: Desk, engaged, account_id: str, command: Command | None, remaining: int) -> None:
        progress = Progress(orders_canceled=2, positions_closed=0, remaining=remaining)
        note = ProgressNote(stop_id=engaged.stop_id, account_id=account_id, command=command, progress=progress)
        desk.world.store.put_stop_notes({note.name: encode(note)})

    def test_it_counts_like_an_answer(self, desk):
        desk.oms.says[""] = Unanswered("no answer within 1.5 s")
        engaged = engage(scope="account", scope_id="desk-1")
        desk.advance()
        self.say(desk, engaged, "desk-1", CANCEL, 0)
        assert desk.unwinder.advance() is Outcome.WENT_ON
        assert row(engaged).status == Status.COMPLETED

    def test_without_a_command_it_is_of_the_last_one(self, desk):
        desk.world.feed(long(), account_id="desk-1")
        engaged = engage(scope="account", scope_id="desk-1", unwind=True)
        desk.oms.says["desk-1"] = Unanswered("no answer within 1.5 s")
        desk.advance()
        self.say(desk, engaged, "desk-1", None, 0)
        desk.advance()
        assert desk.oms.of(CLOSE) == ["desk-1"], "the cancelling was meant"
        self.say(desk, engaged, "desk-1", None, 3)
        desk.advance()
        assert row(engaged).residuals[0]["remaining"] == 3

    def test_of_what_nobody_asked_for_it_says_nothing(self, desk):
        desk.oms.says[""] = Unanswered("nobody listens")
        engaged = engage(scope="account", scope_id="desk-1")
        self.say(desk, engaged, "desk-1", CLOSE, 0)
        self.say(desk, engaged, "desk-2", CANCEL, 0)
        desk.advance()
        assert list(desk.work(engaged).accounts) == ["desk-1"]
        assert desk.work(engaged).accounts["desk-1"].close is None
        assert not [name for name in desk.world.store.stop_notes() if name.startswith("progress:")]

    def test_of_a_stop_that_was_lifted_it_is_known_to_come_late(self, desk):
        engaged = engage()
        said = json.dumps({"stop_id": engaged.stop_id, "account_id": "desk-1", "remaining": 1}).encode()
        assert take_progress(desk.world.store, said)
        lift(engaged.stop_id)
        assert not take_progress(desk.world.store, said)
