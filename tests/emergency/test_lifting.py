"""Trading is re-enabled by somebody else, for a reason, and in spite of a breach only by two."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import Error, transaction

from audit.acting import NotAllowed, NotTheirAccount
from audit.models import AuditEvent
from bus.events import StopLifted
from emergency import lifting
from emergency.errors import NobodyKnown, NotInForce, SamePerson, StillBreached
from emergency.keeping import keep
from emergency.models import ENGAGE_STOP, LIFT_STOP, EmergencyStop
from state.store import StateUnavailable
from state.wiring import store
from tests.emergency.world import ACCOUNTS, World, database_away, engage, held, lift, long, person, row, steps


def breach(world: World, account_id: str = ACCOUNTS[0], *positions) -> None:
    """Let an account fall by half from its peak: more than the emergency drawdown stop allows."""
    world.feed(*positions, account_id=account_id)
    world.feed(*positions, account_id=account_id, equity=500_000)


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("field", "what"),
        [
            ("reason", {"reason": " "}),
            ("authorized_by", {"authorized_by": "x" * 201}),
            ("scope", {"stop_id": None, "scope": "planet"}),
            ("stop_id", {"stop_id": None}),
            ("stop_id", {"scope": "global"}),
        ],
    )
    def test_it_names_the_field_and_lifts_nothing(self, world, field, what):
        engaged = engage()
        with pytest.raises(ValidationError) as refused:
            lift(**{"stop_id": engaged.stop_id, **what})
        assert list(refused.value.message_dict) == [field]
        assert not world.approves()

    @pytest.mark.parametrize("stop_id", ["no id", "00000000-0000-7000-8000-000000000000"])
    def test_a_stop_that_nobody_knows(self, world, stop_id):
        with pytest.raises(NotInForce):
            lift(stop_id)

    def test_a_stop_that_was_lifted_before(self, world):
        engaged = engage()
        lift(engaged.stop_id)
        with pytest.raises(NotInForce):
            lift(engaged.stop_id)

    def test_a_scope_in_which_nothing_is_stopped(self, world):
        engage(scope="account", scope_id="desk-1")
        with pytest.raises(NotInForce):
            lift(scope="account", scope_id="desk-2")

    @pytest.mark.parametrize("who", ["alice", " Alice "])
    def test_who_triggered_it_cannot_lift_it(self, world, who):
        engaged = engage(triggered_by="alice")
        with pytest.raises(SamePerson):
            lift(engaged.stop_id, authorized_by=who)
        assert not world.approves()

    @pytest.mark.parametrize("engaged_by", [person("alice"), held("alice")], ids=["signed in", "with a key"])
    def test_whom_riskportal_knows_to_have_triggered_it_cannot_lift_it_whatever_they_said(self, world, engaged_by):
        engaged = engage(by=engaged_by, triggered_by="the watchdog")
        for again in (person("alice"), held("alice")):
            with pytest.raises(SamePerson):
                lift(engaged.stop_id, by=again)
        assert row(engaged).in_force

    def test_who_is_known_answers_for_nobody_else(self, world):
        engaged = engage(triggered_by="alice")
        with pytest.raises(ValidationError) as refused:
            lift(engaged.stop_id, by=person("alice"), authorized_by="bob")
        assert list(refused.value.message_dict) == ["authorized_by"]
        assert row(engaged).in_force

    def test_who_may_not_re_enable_trading_lifts_nothing(self, world):
        engaged = engage()
        with pytest.raises(NotAllowed, match=LIFT_STOP):
            lift(engaged.stop_id, by=person("victor", may=(ENGAGE_STOP,)))
        assert row(engaged).in_force

    @pytest.mark.parametrize(
        ("scope", "scope_id"), [("global", ""), ("account", "desk-2"), ("symbol", "BTCUSDT")], ids=lambda each: each
    )
    def test_who_is_for_some_accounts_lifts_no_stop_that_concerns_others(self, world, scope, scope_id):
        engaged = engage(scope=scope, scope_id=scope_id)
        with pytest.raises(NotTheirAccount):
            lift(engaged.stop_id, by=person("dora", "desk-1"))
        assert row(engaged).in_force

    def test_unless_the_settings_let_them(self, world, settings):
        settings.RISK_REENABLE_BY_OTHERS = False
        engaged = engage(triggered_by="alice")
        lift(engaged.stop_id, authorized_by="alice")
        assert world.approves()

    def test_one_of_several_that_is_refused_keeps_all(self, world):
        engage(triggered_by="alice", unwind=False)
        engage(triggered_by="bob", unwind=True)
        with pytest.raises(SamePerson):
            lift(scope="global", authorized_by="bob")
        assert EmergencyStop.objects.filter(lifted_at=None).count() == 2

    def test_while_the_database_is_away_nothing_is_lifted(self, world):
        engaged = engage()
        with database_away(), pytest.raises(Error):
            lift(engaged.stop_id)
        assert world.up() == [engaged.stop_id]

    def test_while_the_live_state_is_away_nothing_is_lifted(self, world, monkeypatch):
        def refuse(*_args, **_named):
            raise StateUnavailable("connection refused")

        engaged = engage()
        with monkeypatch.context() as away:
            away.setattr(type(store()), "control", refuse)
            with pytest.raises(StateUnavailable):
                lift(engaged.stop_id)
        assert row(engaged).in_force


class TestLifted:
    def test_orders_are_approved_again(self, world):
        engaged = engage()
        assert not world.approves()
        made = lift(engaged.stop_id)
        assert (made.live, [each.lifted for each in made.stops]) == (True, [True])
        assert world.approves()
        assert world.store.stop_notes(engaged.stop_id) == {}

    def test_the_record_says_who_and_why(self, world):
        engaged = engage()
        lift(engaged.stop_id, authorized_by="bob", reason="the feed is repaired")
        found = row(engaged)
        assert (found.lifted_by, found.lifted_reason, found.forced) == ("bob", "the feed is repaired", False)
        assert found.lifted_at is not None
        assert found.lifted_at >= found.engaged_at
        assert steps(engaged)[-1] == "lifted"
        event = AuditEvent.objects.get(action="stop.lift")
        assert event.before is not None
        assert event.after is not None
        assert (event.actor, event.before["lifted_by"], event.after["lifted_by"]) == ("key:ops", "", "bob")

    def test_it_is_published(self, world, published):
        engaged = engage()
        lift(engaged.stop_id)
        event = published[-1]
        assert isinstance(event, StopLifted)
        assert (event.stop_id, event.lifted_by) == (engaged.stop_id, "bob")
        assert json.loads(event.payload())["event"] == "stop_lifted"

    def test_who_is_known_answers_for_themselves(self, world):
        engaged = engage()
        lift(engaged.stop_id, by=held("bob"))
        event = AuditEvent.objects.get(action="stop.lift")
        assert (row(engaged).lifted_by, event.actor) == ("bob", "bob (key:cli)")

    def test_who_is_for_one_account_lifts_its_stop(self, world):
        engaged = engage(scope="account", scope_id="desk-1")
        assert lift(engaged.stop_id, by=person("dora", "desk-1")).live

    def test_others_stay_in_force(self, world):
        first, other = engage(), engage(scope="account", scope_id="desk-1")
        lift(first.stop_id)
        assert world.up() == [other.stop_id]
        assert not world.approves(account_id="desk-1")
        assert world.approves(account_id="desk-2")

    def test_a_scope_lifts_all_that_are_in_force_in_it(self, world):
        engage()
        engage(unwind=True)
        other = engage(scope="symbol", scope_id="ETHUSDT")
        assert len(lift(scope="global").stops) == 2
        assert world.up() == [other.stop_id]

    def test_the_flag_stays_until_the_record_is_committed(self, world):
        engaged = engage()
        with transaction.atomic():
            lift(engaged.stop_id)
            assert world.up() == [engaged.stop_id]
            transaction.set_rollback(True)
        assert world.up() == [engaged.stop_id]
        assert row(engaged).in_force

    def test_a_flag_that_could_not_be_taken_down_is_taken_down_later(self, world, monkeypatch):
        engaged = engage()

        def refuse(*_args, **_named):
            raise StateUnavailable("connection refused")

        with monkeypatch.context() as away:
            away.setattr(lifting, "lower_flags", refuse)
            assert lift(engaged.stop_id).live is False
        assert not world.approves()
        keep(world.store)
        assert world.approves()

    def test_a_stop_that_is_only_noted_is_recorded_and_lifted(self, world):
        with database_away():
            engaged = engage()
        lift(engaged.stop_id)
        assert world.approves()
        assert not row(engaged).in_force


class TestStillBreached:
    def test_it_stays_and_says_what_is_breached(self, world):
        engaged = engage()
        breach(world)
        with pytest.raises(StillBreached, match="Emergency Drawdown Stop") as refused:
            lift(engaged.stop_id)
        assert any("desk-1" in each for each in refused.value.breaches)
        assert not world.approves(account_id="desk-2")

    @pytest.mark.parametrize(
        ("scope", "scope_id", "stays"),
        [
            ("account", "desk-1", True),
            ("account", "desk-2", False),
            ("exchange", "BINANCE", True),
            ("exchange", "OKX", False),
            ("strategy", "momentum", False),
            ("symbol", "ETHUSDT", False),
        ],
    )
    def test_only_a_breach_in_its_scope_keeps_it(self, world, scope, scope_id, stays):
        engaged = engage(scope=scope, scope_id=scope_id)
        breach(world)
        if stays:
            with pytest.raises(StillBreached):
                lift(engaged.stop_id)
        else:
            assert lift(engaged.stop_id).live

    def test_a_position_that_lost_too_much_keeps_its_symbol(self, world):
        engaged = engage(scope="symbol", scope_id="BTCUSDT")
        fallen = long(quantity="0.1")
        world.store.put_prices({"BTCUSDT": ("30000", 0)})
        world.feed(type(fallen)(symbol="BTCUSDT", quantity=fallen.quantity, entry_price=fallen.entry_price * 2))
        with pytest.raises(StillBreached, match="BTCUSDT"):
            lift(engaged.stop_id)

    def test_what_fell_is_judged_by_the_last_that_is_known_of_it(self, world, settings):
        engaged = engage()
        breach(world)
        settings.RISK_STATE_MAX_AGE = timedelta(microseconds=1)
        with pytest.raises(StillBreached):
            lift(engaged.stop_id)


class TestForce:
    def test_one_person_alone_does_not_lift_it(self, world):
        engaged = engage()
        breach(world)
        made = lift(engaged.stop_id, by=person("bob"), force=True)
        (stop,) = made.stops
        assert not stop.lifted
        assert stop.approve_before is not None
        assert not world.approves(account_id="desk-2")
        assert AuditEvent.objects.filter(action="stop.ask_to_force").count() == 1
        for again in (person("BOB"), held("bob")):
            with pytest.raises(SamePerson):
                lift(engaged.stop_id, by=again, force=True)

    def test_a_key_that_nobody_holds_neither_asks_nor_approves(self, world):
        engaged = engage()
        breach(world)
        with pytest.raises(NobodyKnown):
            lift(engaged.stop_id, authorized_by="bob", force=True)
        assert not row(engaged).force_asked_by
        lift(engaged.stop_id, by=person("bob"), force=True)
        with pytest.raises(NobodyKnown):
            lift(engaged.stop_id, authorized_by="carol", force=True)
        assert row(engaged).in_force

    def test_a_second_person_approves(self, world):
        engaged = engage()
        breach(world)
        lift(engaged.stop_id, by=person("bob"), reason="hedged elsewhere", force=True)
        made = lift(engaged.stop_id, by=person("carol"), reason="I have seen the hedge", force=True)
        assert made.stops[0].lifted
        found = row(engaged)
        assert (found.lifted_by, found.approved_by, found.forced) == ("bob", "carol", True)
        assert found.lifted_reason == "hedged elsewhere"
        assert steps(engaged)[-2:] == ["force_asked", "lifted"]
        assert world.approves(account_id="desk-2")

    def test_who_triggered_it_is_no_second_person(self, world):
        engaged = engage(triggered_by="alice")
        breach(world)
        lift(engaged.stop_id, by=person("bob"), force=True)
        with pytest.raises(SamePerson):
            lift(engaged.stop_id, by=person("alice"), force=True)

    def test_without_force_the_second_person_approves_nothing(self, world):
        engaged = engage()
        breach(world)
        lift(engaged.stop_id, by=person("bob"), force=True)
        with pytest.raises(StillBreached):
            lift(engaged.stop_id, by=person("carol"))

    def test_what_was_asked_for_long_ago_is_asked_for_anew(self, world, monkeypatch):
        engaged = engage()
        breach(world)
        monkeypatch.setattr(lifting, "FORCE_LASTS", timedelta())
        lift(engaged.stop_id, by=person("bob"), force=True)
        made = lift(engaged.stop_id, by=person("carol"), force=True)
        assert not made.stops[0].lifted
        assert row(engaged).force_asked_by == "carol"

    def test_where_nothing_is_breached_force_is_not_needed_and_not_noted(self, world):
        engaged = engage()
        assert lift(engaged.stop_id, force=True).stops[0].lifted
        assert not row(engaged).forced
