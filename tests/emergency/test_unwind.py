"""A stop is seen through: what is asked of the OMS, in which order, and what is believed of its answers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bus.asking import Unanswered
from bus.events import StopProgressed
from emergency.cases import LONGEST_PAUSE_S
from emergency.notes import decode
from emergency.services import Engaged
from emergency.unwind import Outcome, Unwinder
from emergency.words import Command, Status
from emergency.work import UnwindNote
from policies.services import do_create_account
from tests.emergency.oms import Clock, Oms
from tests.emergency.world import ACCOUNTS, World, engage, long, order, row, steps

CANCEL, CLOSE = Command.CANCEL_ALL, Command.CLOSE_ALL


class Desk:
    """An OMS with orders in every account, somebody who sees stops through, and a clock for the pauses."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.oms = Oms(orders=dict.fromkeys(ACCOUNTS, 2))
        self.clock = Clock()
        self.unwinder = self.new_unwinder("one")

    def new_unwinder(self, holder: str, **what: timedelta) -> Unwinder:
        timeout = what.get("timeout", timedelta(minutes=5))
        return Unwinder(self.world.store, self.oms.answer, timeout=timeout, holder=holder, clock_s=self.clock)

    def advance(self, times: int = 1) -> None:
        """Let time pass and go on, with whatever is held reported anew each time."""
        for _ in range(times):
            self.clock.passes(LONGEST_PAUSE_S)
            assert self.unwinder.advance() is Outcome.WENT_ON

    def work(self, engaged: Engaged) -> UnwindNote:
        """Return what is noted of a stop in the live state."""
        notes = decode(self.world.store.stop_notes(f"unwind:{engaged.stop_id}"))
        (found,) = [note for note in notes if isinstance(note, UnwindNote)]
        return found


@pytest.fixture
def desk(many_lanes: World) -> Desk:
    return Desk(many_lanes)


class TestNobodyDoesIt:
    def test_where_nobody_answers_it_stays_blocked_and_says_so(self, desk):
        desk.oms.says[""] = Unanswered("nobody listens")
        engaged = engage()
        desk.advance(3)
        found = row(engaged)
        assert found.status == Status.BLOCKED
        assert {left["account_id"]: left["why"] for left in found.residuals} == dict.fromkeys(
            ACCOUNTS, "nobody listens"
        )
        assert {left["command"] for left in found.residuals} == {"cancel_all"}
        assert desk.oms.of(CLOSE) == []

    def test_one_that_does_not_answer_does_not_hold_up_the_others(self, desk):
        desk.world.feed(long(), account_id="desk-2")
        del desk.oms.orders["desk-1"]
        desk.oms.positions["desk-2"] = 1
        engaged = engage(unwind=True)
        desk.advance()
        assert desk.oms.of(CLOSE) == ["desk-2"]
        assert row(engaged).status == Status.BLOCKED
        assert [left["account_id"] for left in row(engaged).residuals if left["command"] == "cancel_all"] == ["desk-1"]

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            (b"", "cannot be read"),
            (b"ok", "cannot be read"),
            (b"[" * 100_000, "longer than"),
            (b"[" * 10_000, "cannot be read"),
            (b'{"remaining": "none"}', "cannot be read"),
            (b'{"remaining": -1}', "cannot be read"),
            (b'{"remaining": true}', "cannot be read"),
            (b'{"remaining": 1e400}', "cannot be read"),
            (b"\xff", "cannot be read"),
            (b"{}", "does not say how much is remaining"),
            (b'{"stop_id": "another", "remaining": 0}', "another stop"),
            (b'{"account_id": "desk-9", "remaining": 0}', "another stop or account"),
            (b'{"command": "close_all", "remaining": 0}', "another command"),
            (b'{"error": {"field": "scope", "message": "must be an object"}}', "the OMS refuses: scope must be"),
        ],
    )
    def test_what_is_no_answer_is_none(self, desk, answer, why):
        desk.oms.says[""] = answer
        engaged = engage(scope="account", scope_id="desk-1")
        desk.advance()
        assert row(engaged).status == Status.BLOCKED
        (left,) = row(engaged).residuals
        assert why in left["why"]

    def test_a_market_that_takes_no_closing_order_is_shown_with_its_reasons(self, desk):
        desk.world.feed(long(quantity="1.5"), account_id="desk-1")
        desk.oms.positions["desk-1"], desk.oms.closes = 1, False
        desk.oms.rejects = {"not_reducing": 3}
        engaged = engage(scope="account", scope_id="desk-1", unwind=True)
        desk.advance(2)
        found = row(engaged)
        assert found.status == Status.UNWINDING
        (left,) = found.residuals
        assert left["positions"] == [{"symbol": "BTCUSDT", "exchange": "", "quantity": "1.5"}]
        assert (left["remaining"], left["rejects"]) == (1, {"not_reducing": 3})
        assert steps(engaged).count("trouble") == 1

    def test_an_oms_that_says_it_is_flat_is_not_believed(self, desk):
        desk.world.feed(long(), account_id="desk-1")
        engaged = engage(scope="account", scope_id="desk-1", unwind=True)
        desk.advance()
        desk.world.feed(long(), account_id="desk-1")
        desk.advance()
        found = row(engaged)
        assert found.status == Status.UNWINDING
        assert "riskportal still sees positions" in found.residuals[0]["why"]
        assert len(desk.oms.of(CLOSE)) == 2, "it is asked on"

    def test_an_oms_that_says_something_is_left_is_believed(self, desk):
        desk.world.feed(long(), account_id="desk-1")
        desk.oms.positions["desk-1"], desk.oms.closes = 1, False
        engaged = engage(scope="account", scope_id="desk-1", unwind=True)
        desk.advance()
        desk.world.feed(account_id="desk-1")
        desk.advance()
        assert row(engaged).status == Status.UNWINDING

    def test_a_report_from_before_the_cancelling_says_nothing(self, desk):
        engaged = engage(scope="account", scope_id="desk-1", unwind=True)
        desk.advance()
        assert row(engaged).status == Status.CANCELLED
        assert "nothing was reported since" in row(engaged).residuals[0]["why"]
        desk.world.feed(account_id="desk-1")
        desk.advance()
        assert row(engaged).status == Status.COMPLETED

    def test_an_account_of_which_nothing_is_known_is_not_flat(self, desk):
        desk.oms.orders["unknown"] = 0
        engaged = engage(scope="account", scope_id="unknown", unwind=True)
        desk.advance(2)
        assert row(engaged).status == Status.UNWINDING
        assert row(engaged).residuals[0]["why"] == "no state was ever reported"
        assert desk.oms.of(CLOSE) == ["unknown"] * 2, "whatever it holds"


class TestSeenThrough:
    def test_a_stop_that_closes_nothing_is_completed_once_all_is_cancelled(self, world):
        desk = Desk(world)
        engaged = engage()
        desk.advance()
        assert sorted(desk.oms.of(CANCEL)) == sorted(ACCOUNTS)
        assert desk.oms.of(CLOSE) == []
        found = row(engaged)
        assert (found.status, found.residuals) == (Status.COMPLETED, [])
        assert steps(engaged)[-2:] == ["cancelled", "completed"]
        assert "cancelled 10 orders of 5 accounts" in found.steps.get(what="cancelled").detail
        assert desk.unwinder.advance() is Outcome.NOTHING_TO_DO

    def test_one_that_unwinds_is_completed_once_nothing_is_held(self, world):
        desk = Desk(world)
        world.feed(long(), long("ETHUSDT"), account_id="desk-2")
        desk.oms.positions["desk-2"] = 2
        engaged = engage(unwind=True)
        desk.advance()
        assert row(engaged).status == Status.UNWINDING
        assert desk.oms.of(CLOSE) == ["desk-2"], "nobody else holds anything"
        world.feed()
        desk.advance()
        assert row(engaged).status == Status.COMPLETED
        ended = ["cancelled", "unwinding", "flat", "completed"]
        assert [what for what in steps(engaged) if what in ended] == ended
        assert "desk-2: 2 positions" in [step.detail for step in row(engaged).steps.all()]

    def test_the_oms_is_told_stop_account_and_scope(self, desk):
        engaged = engage(scope="symbol", scope_id="BTCUSDT")
        desk.advance()
        (_, body) = desk.oms.asked[0]
        assert body == {
            "stop_id": engaged.stop_id,
            "account_id": body["account_id"],
            "scope": {"type": "symbol", "id": "BTCUSDT"},
        }

    def test_what_is_held_elsewhere_is_not_this_stops_business(self, desk):
        desk.world.feed(long("ETHUSDT"), account_id="desk-1")
        engaged = engage(scope="symbol", scope_id="BTCUSDT", unwind=True)
        desk.advance()
        desk.world.feed(long("ETHUSDT"))
        desk.advance()
        assert row(engaged).status == Status.COMPLETED
        assert desk.oms.of(CLOSE) == []

    def test_an_order_from_before_that_nobody_reported_as_closed_keeps_it_from_being_completed(self, desk):
        asked = order()
        assert desk.world.check(asked).approved
        engaged = engage()
        desk.advance()
        assert row(engaged).status == Status.CANCELLED
        (left,) = row(engaged).residuals
        assert (left["account_id"], left["open_orders"]) == ("desk-1", 1)
        desk.world.release(asked)
        desk.advance()
        assert row(engaged).status == Status.COMPLETED

    def test_of_a_strategy_the_oms_is_believed(self, desk):
        desk.world.feed(long(), account_id="desk-1")
        engaged = engage(scope="strategy", scope_id="momentum", unwind=True)
        desk.advance()
        assert sorted(desk.oms.of(CLOSE)) == sorted(ACCOUNTS)
        assert row(engaged).status == Status.COMPLETED

    def test_an_account_that_reports_for_the_first_time_is_seen_to_as_well(self, desk):
        desk.oms.says["desk-1"] = Unanswered("nobody listens")
        desk.oms.orders["desk-6"] = 1
        engage()
        desk.advance()
        do_create_account(actor="test", reason="test", account_id="desk-6", profile="aggressive")
        desk.world.feed(account_id="desk-6")
        desk.advance()
        assert "desk-6" in desk.oms.of(CANCEL)

    def test_two_stops_are_seen_through_beside_each_other(self, desk):
        first, second = engage(scope="symbol", scope_id="BTCUSDT"), engage(scope="account", scope_id="desk-1")
        desk.advance()
        assert (row(first).status, row(second).status) == (Status.COMPLETED, Status.COMPLETED)
        assert len(desk.oms.asked) == len(ACCOUNTS) + 1

    def test_each_stage_is_published(self, desk, published):
        desk.world.feed(long(), account_id="desk-2")
        desk.oms.positions["desk-2"] = 1
        engaged = engage(unwind=True)
        desk.advance()
        desk.world.feed()
        desk.advance()
        told = [each for each in published if isinstance(each, StopProgressed)]
        assert [(each.stop_id, each.status) for each in told] == [
            (engaged.stop_id, "unwinding"),
            (engaged.stop_id, "completed"),
        ]
        assert (told[-1].orders_canceled, told[-1].positions_closed, told[-1].residuals) == (10, 1, 0)
