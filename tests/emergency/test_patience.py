"""The OMS is asked on until somebody gives up, or it takes too long; a person has it asked again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import Error
from msgspec.structs import replace

from audit.acting import Acting, NotAllowed, NotTheirAccount
from audit.models import AuditEvent
from bus.asking import Unanswered
from emergency.errors import AsItIs, NotInForce
from emergency.keeping import keep
from emergency.models import ENGAGE_STOP, LIFT_STOP
from emergency.notes import encode
from emergency.patience import do_give_up, do_go_on
from emergency.unwind import Outcome
from emergency.words import Status
from riskportal.restore import restore_if_empty
from state.store import StateUnavailable
from tests.emergency.oms import Oms
from tests.emergency.test_unwind import Desk, desk
from tests.emergency.world import MACHINE, database_away, engage, lift, person, row, steps

__all__ = ["desk"]


@pytest.fixture
def silent(desk: Desk) -> Desk:
    """An OMS that does not answer."""
    desk.oms = Oms(says={"": Unanswered("nobody listens")})
    desk.unwinder = desk.new_unwinder("one")
    return desk


def answers(desk: Desk) -> None:
    """Let the OMS have desk-1 and answer for it."""
    desk.oms.says, desk.oms.orders = {}, {"desk-1": 2}


def give_up(stop_id: str, *, by: Acting = MACHINE, **what: str) -> None:
    said = {"reason": "closed by phone", **({"authorized_by": "bob"} if by is MACHINE else {}), **what}
    do_give_up(stop_id=stop_id, acting=by, **said)


def go_on(stop_id: str, *, by: Acting | None = None) -> None:
    do_go_on(stop_id=stop_id, acting=by or person("carol"), reason="the OMS is back")


class TestWhatIsRefused:
    def test_to_give_up_takes_the_permission_to_re_enable(self, silent):
        engaged = engage()
        with pytest.raises(NotAllowed, match=LIFT_STOP):
            give_up(engaged.stop_id, by=person("victor", may=(ENGAGE_STOP,)))
        assert not row(engaged).given_up

    def test_to_have_the_oms_asked_again_takes_the_permission_to_stop(self, silent):
        engaged = engage()
        give_up(engaged.stop_id)
        with pytest.raises(NotAllowed, match=ENGAGE_STOP):
            go_on(engaged.stop_id, by=person("victor", may=(LIFT_STOP,)))
        assert row(engaged).given_up

    def test_who_is_for_another_account_says_nothing_of_the_stop(self, silent):
        engaged = engage(scope="account", scope_id="desk-1")
        with pytest.raises(NotTheirAccount):
            give_up(engaged.stop_id, by=person("dora", "desk-2"))
        assert not row(engaged).given_up

    @pytest.mark.parametrize(
        ("field", "what"),
        [
            ("reason", {"reason": " "}),
            ("reason", {"reason": "x" * 2_001}),
            ("authorized_by", {"authorized_by": "x" * 201}),
        ],
    )
    def test_it_names_the_field(self, silent, field, what):
        engaged = engage()
        with pytest.raises(ValidationError) as refused:
            give_up(engaged.stop_id, **what)
        assert list(refused.value.message_dict) == [field]
        assert not row(engaged).given_up

    @pytest.mark.parametrize("stop_id", ["no id", "00000000-0000-7000-8000-000000000000"])
    def test_a_stop_that_nobody_knows(self, silent, stop_id):
        with pytest.raises(NotInForce):
            give_up(stop_id)

    def test_one_that_was_lifted(self, silent):
        engaged = engage()
        lift(engaged.stop_id)
        with pytest.raises(NotInForce):
            give_up(engaged.stop_id)

    def test_one_that_is_completed(self, desk):
        engaged = engage()
        desk.advance()
        with pytest.raises(AsItIs, match="nothing left"):
            give_up(engaged.stop_id)

    def test_what_is_so_already(self, silent):
        engaged = engage()
        with pytest.raises(AsItIs, match="Nobody has given up"):
            go_on(engaged.stop_id)
        give_up(engaged.stop_id)
        with pytest.raises(AsItIs, match="bob has given up"):
            give_up(engaged.stop_id)

    def test_without_the_database_nothing_is_changed(self, silent):
        engaged = engage()
        with database_away(), pytest.raises(Error):
            give_up(engaged.stop_id)
        silent.advance()


class TestGivingUp:
    def test_nothing_more_is_asked_and_what_is_left_stays_shown(self, silent):
        engaged = engage(scope="account", scope_id="desk-1")
        silent.advance()
        give_up(engaged.stop_id)
        asked = len(silent.oms.asked)
        assert silent.unwinder.advance() is Outcome.NOTHING_TO_DO
        assert len(silent.oms.asked) == asked
        found = row(engaged)
        assert (found.given_up, found.given_up_by, found.given_up_reason) == (True, "bob", "closed by phone")
        assert (found.status, found.in_force) == (Status.BLOCKED, True)
        assert [left["account_id"] for left in found.residuals] == ["desk-1"]
        assert steps(engaged)[-1] == "gave_up"

    def test_it_is_in_the_audit_log(self, silent):
        engaged = engage()
        give_up(engaged.stop_id, authorized_by="bob")
        event = AuditEvent.objects.get(action="stop.give_up")
        assert (event.actor, event.object_id, event.reason) == ("key:ops", engaged.stop_id, "closed by phone")
        assert event.before is not None
        assert event.after is not None
        assert (event.before["given_up"], event.after["given_up"], event.after["authorized_by"]) == (False, True, "bob")

    def test_of_a_stop_that_is_only_noted(self, silent):
        with database_away():
            engaged = engage()
        give_up(engaged.stop_id)
        assert row(engaged).given_up

    def test_it_survives_the_loss_of_the_live_state(self, silent, settings):
        settings.RISK_RECOVERY_HOLD = timedelta()
        engaged = engage()
        give_up(engaged.stop_id)
        silent.world.lose()
        restore_if_empty(silent.world.store)
        assert silent.new_unwinder("one").advance() is Outcome.NOTHING_TO_DO

    def test_a_live_state_that_was_away_hears_of_it(self, silent, monkeypatch):
        engaged = engage()

        def refuse(*_args, **_named):
            raise StateUnavailable("connection refused")

        with monkeypatch.context() as away:
            away.setattr(type(silent.world.store), "put_stop_notes", refuse)
            give_up(engaged.stop_id)
        assert row(engaged).given_up
        silent.advance()
        keep(silent.world.store)
        assert silent.unwinder.advance() is Outcome.NOTHING_TO_DO


class TestTooLong:
    def test_it_gives_up_by_itself_and_says_what_is_left(self, silent):
        engaged = engage(scope="account", scope_id="desk-1")
        silent.unwinder = silent.new_unwinder("one", timeout=timedelta())
        silent.advance()
        found = row(engaged)
        assert (found.given_up, found.given_up_by) == (True, "riskportal")
        assert "desk-1: nobody listens" in found.given_up_reason
        assert steps(engaged).count("gave_up") == 1
        assert silent.unwinder.advance() is Outcome.NOTHING_TO_DO

    def test_also_while_the_database_is_away(self, silent):
        silent.unwinder = silent.new_unwinder("one", timeout=timedelta())
        with database_away():
            engaged = engage()
            silent.advance()
        keep(silent.world.store)
        assert row(engaged).given_up
        assert steps(engaged).count("gave_up") == 1


class TestGoingOn:
    def test_the_oms_is_asked_again_until_it_is_done(self, silent):
        engaged = engage(scope="account", scope_id="desk-1")
        give_up(engaged.stop_id)
        answers(silent)
        go_on(engaged.stop_id)
        silent.advance()
        found = row(engaged)
        assert (found.given_up, found.given_up_by, found.status) == (False, "carol", Status.COMPLETED)
        assert AuditEvent.objects.filter(action="stop.go_on").count() == 1
        assert [what for what in steps(engaged) if what in ("gave_up", "went_on", "completed")] == [
            "gave_up",
            "went_on",
            "completed",
        ]

    def test_the_time_counts_anew(self, silent):
        engaged = engage(scope="account", scope_id="desk-1")
        silent.unwinder = silent.new_unwinder("one", timeout=timedelta(hours=1))
        silent.advance()
        give_up(engaged.stop_id)
        go_on(engaged.stop_id)
        long_ago = replace(silent.work(engaged), begun_us=1)
        silent.world.store.put_stop_notes({long_ago.name: encode(long_ago)})
        silent.advance()
        assert not row(engaged).given_up
