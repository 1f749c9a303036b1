"""What a stop asks next and how far it has come, from what is known: no store, no OMS, no clock."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from emergency.holdings import Seen, concerned
from emergency.notes import StopNote
from emergency.timeline import steps
from emergency.unwinding import MOST_RESIDUALS, heard, joined, judged, wanted
from emergency.words import Command, Status, Trigger
from emergency.work import Progress, UnwindNote
from riskcore.ports import StopScope
from riskcore.types import AccountState, Ledger, OpenOrders, Position, TradingState

CANCEL, CLOSE = Command.CANCEL_ALL, Command.CLOSE_ALL
STOP_ID = "01a1fef2-cf88-7641-9189-bac8ce18d6e9"
SECOND = 1_000_000
BEGUN = 1_000 * SECOND


def stop(**what: Any) -> StopNote:
    fields: dict[str, Any] = {
        "id": STOP_ID,
        "scope": StopScope.GLOBAL,
        "scope_id": "",
        "state": TradingState.HALTED,
        "reason": "a test",
        "triggered_by": "alice",
        "trigger": Trigger.PERSON,
        "unwind": True,
        "actor": "alice",
        "asked_at_us": BEGUN,
    }
    return StopNote(**{**fields, **what})


def work(*account_ids: str, status: Status = Status.BLOCKED) -> UnwindNote:
    return joined(UnwindNote(stop_id=STOP_ID, begun_us=BEGUN, status=status), account_ids)


def position(quantity: str, symbol: str = "BTCUSDT", exchange: str = "") -> Position:
    return Position(symbol=symbol, quantity=Decimal(quantity), exchange=exchange)


def seen(account_id: str, *held: Position, reported_us: int = BEGUN, **what: Any) -> Seen:
    zero = Decimal(0)
    state = AccountState(
        account_id=account_id,
        equity=zero,
        balance=zero,
        margin_used=zero,
        peak_equity=zero,
        daily_start_equity=zero,
        weekly_start_equity=zero,
        positions={each.symbol + each.exchange: each for each in held},
        received_at_us=reported_us,
    )
    fields: dict[str, Any] = {"ledger": Ledger(), "problem": "", "long_gone": False}
    return Seen(account_id=account_id, state=state, reported_us=reported_us, **{**fields, **what})


def says(remaining: int, **what: Any) -> Progress:
    return Progress(**{"orders_canceled": 0, "positions_closed": 0, "remaining": remaining, **what})


def cancelled(of: UnwindNote, *account_ids: str, at_us: int = BEGUN) -> UnwindNote:
    return heard(of, [(each, CANCEL, says(0)) for each in account_ids or of.accounts], at_us)


class TestWhatIsWanted:
    def test_orders_are_cancelled_before_positions_are_closed(self):
        known = {"a": seen("a", position("1")), "b": seen("b")}
        begun = work("a", "b")
        assert list(wanted(stop(), begun, known, BEGUN)) == [("a", CANCEL), ("b", CANCEL)]
        assert list(wanted(stop(), cancelled(begun, "a"), known, BEGUN)) == [("a", CLOSE), ("b", CANCEL)]
        assert list(wanted(stop(), cancelled(begun), known, BEGUN)) == [("a", CLOSE)]

    def test_a_stop_that_does_not_unwind_closes_nothing(self):
        known = {"a": seen("a", position("1"))}
        assert list(wanted(stop(unwind=False), cancelled(work("a")), known, BEGUN)) == []

    def test_an_order_that_cannot_be_cancelled_keeps_nothing_open_for_long(self):
        known = {"a": seen("a", position("1"))}
        stuck = heard(work("a"), [("a", CANCEL, says(1))], BEGUN)
        assert list(wanted(stop(), stuck, known, BEGUN + 9 * SECOND)) == [("a", CANCEL)]
        assert list(wanted(stop(), stuck, known, BEGUN + 10 * SECOND)) == [("a", CANCEL), ("a", CLOSE)]
        silent = heard(work("a"), [("a", CANCEL, "nobody listens")], BEGUN)
        assert list(wanted(stop(), silent, known, BEGUN + 10 * SECOND)) == [("a", CANCEL)]

    @pytest.mark.parametrize("problem", ["its state is old", "no state was ever reported"])
    def test_what_is_not_known_is_closed(self, problem):
        known = {"a": seen("a", problem=problem)}
        assert list(wanted(stop(), cancelled(work("a")), known, BEGUN)) == [("a", CLOSE)]

    @pytest.mark.parametrize(
        ("held", "is_meant"),
        [
            (position("1", exchange="BINANCE"), True),
            (position("1"), True),
            (position("1", exchange="OKX"), False),
            (position("0", exchange="BINANCE"), False),
        ],
    )
    def test_on_an_exchange_what_names_none_may_be_there(self, held, is_meant):
        on_binance = stop(scope=StopScope.EXCHANGE, scope_id="BINANCE")
        asked = list(wanted(on_binance, cancelled(work("a")), {"a": seen("a", held)}, BEGUN))
        assert asked == ([("a", CLOSE)] if is_meant else [])


class TestWhoIsConcerned:
    def test_everybody_but_whom_nobody_has_heard_of_for_long_and_who_holds_nothing(self):
        opened = Ledger(open={"BTCUSDT": OpenOrders(symbol="BTCUSDT", buy_count=1)})
        known = {
            "trades": seen("trades"),
            "is old": seen("is old", problem="its state is old"),
            "is gone": seen("is gone", problem="its state is old", long_gone=True),
            "is gone and holds": seen("is gone and holds", position("1"), long_gone=True),
            "is gone and orders": seen("is gone and orders", ledger=opened, long_gone=True),
            "cannot be read": seen("cannot be read", ledger=None, long_gone=True),
        }
        assert set(concerned(stop(), known)) == known.keys() - {"is gone"}

    def test_of_an_account_that_one_whoever_it_is(self):
        assert list(concerned(stop(scope=StopScope.ACCOUNT, scope_id="x"), {"a": seen("a")})) == ["x"]


class TestHowFarItIs:
    def test_it_never_goes_back(self):
        flat = cancelled(work("a", status=Status.FLAT))
        assert judged(stop(), flat, {"a": seen("a", position("1"), reported_us=2 * BEGUN)}, {}).status is Status.FLAT

    def test_a_position_that_comes_back_keeps_it_from_being_completed(self):
        flat = cancelled(work("a", status=Status.FLAT))
        known = {"a": seen("a", position("1"), reported_us=2 * BEGUN)}
        assert list(wanted(stop(), flat, known, BEGUN)) == [("a", CLOSE)]
        assert [left.account_id for left in judged(stop(), flat, known, {}).residuals] == ["a"]

    def test_orders_from_before_keep_it_flat(self):
        known = {"a": seen("a", reported_us=2 * BEGUN)}
        found = judged(stop(), cancelled(work("a")), known, {"a": 2})
        assert (found.status, found.residuals[0].open_orders) == (Status.FLAT, 2)
        assert judged(stop(), cancelled(work("a")), known, {}).status is Status.COMPLETED

    def test_where_nobody_is_concerned_there_is_nothing_to_do(self):
        assert judged(stop(), work(), {}, {}).status is Status.COMPLETED

    def test_of_many_that_are_left_some_are_named(self):
        many = [f"desk-{number}" for number in range(MOST_RESIDUALS + 5)]
        left = judged(stop(), work(*many), {}, {}).residuals
        assert len(left) == MOST_RESIDUALS + 1
        assert (left[-1].account_id, left[-1].why) == ("", "and 5 more accounts")

    def test_an_oms_that_begins_anew_does_not_undo_what_was_counted(self):
        before = heard(work("a"), [("a", CANCEL, says(0, orders_canceled=5))], BEGUN)
        after = heard(before, [("a", CANCEL, says(1, orders_canceled=1))], 2 * BEGUN)
        assert after.accounts["a"].cancel.orders_canceled == 5
        assert after.accounts["a"].cancel.done_us == BEGUN


class TestTheTimeline:
    def told(self, before: UnwindNote, after: UnwindNote, **what: Any) -> list[str]:
        return [each.what for each in steps(stop(**what), before, after, BEGUN)]

    def test_every_stage_is_told_that_was_passed_in_between(self):
        begun = work("a")
        asked = heard(cancelled(begun), [("a", CLOSE, says(0, positions_closed=1))], BEGUN)
        done = judged(stop(), asked, {"a": seen("a", reported_us=2 * BEGUN)}, {})
        assert self.told(begun, done) == ["positions_closed", "cancelled", "unwinding", "flat", "completed"]

    def test_where_nothing_was_held_nothing_was_unwound(self):
        done = judged(stop(), cancelled(work("a")), {"a": seen("a", reported_us=2 * BEGUN)}, {})
        assert self.told(work("a"), done) == ["cancelled", "flat", "completed"]
        assert self.told(work("a"), done, unwind=False) == ["cancelled", "completed"]

    def test_what_is_told_again_has_the_same_name(self):
        done = judged(stop(), cancelled(work("a")), {"a": seen("a", reported_us=2 * BEGUN)}, {})
        once, again = (list(steps(stop(), work("a"), done, at_us)) for at_us in (BEGUN, 2 * BEGUN))
        assert [each.id for each in once] == [each.id for each in again]
        assert len({each.id for each in once}) == len(once)

    def test_with_very_many_accounts_only_sums_are_told(self):
        begun = work(*(f"desk-{number}" for number in range(51)))
        answers = [(each, CANCEL, says(0, orders_canceled=2)) for each in begun.accounts]
        done = judged(stop(unwind=False), heard(begun, answers, BEGUN), {}, {})
        (first, *_) = steps(stop(unwind=False), begun, done, BEGUN)
        assert (first.what, first.detail) == ("cancelled", "The OMS has cancelled 102 orders of 51 accounts.")
