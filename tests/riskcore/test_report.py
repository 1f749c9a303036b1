"""What a custodian reports, merged with what was known: peaks, starts, duplicates, older ones."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from riskcore.book import Parameters
from riskcore.calendar import microseconds
from riskcore.case import decode_state
from riskcore.intake import NotApplied
from riskcore.ports import Commit
from riskcore.report import AccountReport, PnlReport, is_outdated, is_outdated_answer, merge, pnl_steps
from riskcore.types import AccountState
from tests.riskcore.builders import DAY, NOW, SECOND, book, number, order, position, state
from tests.riskcore.store import DictStore

D = Decimal
MIDNIGHT = microseconds(datetime(2026, 1, 8, tzinfo=UTC))
MONDAY = microseconds(datetime(2026, 1, 12, tzinfo=UTC))


def report(equity: Any = 100_000, **what: Any) -> AccountReport:
    fields: dict[str, Any] = {"account_id": "A", "margin_used": D(0), "positions": {}}
    return AccountReport(equity=number(equity), **{**fields, **what})


def merged(new: AccountReport, previous: AccountState | None = None, now_us: int = NOW) -> AccountState:
    return merge(new, previous, now_us, Parameters())


def known(store: DictStore) -> AccountState:
    content = store.accounts["A"].state
    assert content is not None
    return decode_state(content)


# ----------------------------------------------------------------------------------- duplicates and older


@pytest.mark.parametrize(
    ("new", "before", "outdated"),
    [
        ({"sequence": 7}, {"sequence": 7}, True),
        ({"sequence": 6}, {"sequence": 7}, True),
        ({"sequence": 8}, {"sequence": 7}, False),
        ({"sequence": 0}, {"sequence": 0}, True),
        ({"sequence": 8, "sent_at_us": 1}, {"sequence": 7, "sent_at_us": 2}, False),  # the number decides
        ({"sequence": 6, "sent_at_us": 3}, {"sequence": 7, "sent_at_us": 2}, True),
        ({"sent_at_us": 1}, {"sent_at_us": 2}, True),
        ({"sent_at_us": 2}, {"sent_at_us": 2}, False),
        ({"sent_at_us": 3}, {"sent_at_us": 2}, False),
        ({"sequence": 1, "sent_at_us": 1}, {"sent_at_us": 2}, True),  # only one has a number: the stamps decide
        ({}, {"sequence": 7, "sent_at_us": 2}, False),
        ({"sequence": 1}, {}, False),
    ],
)
def test_a_report_is_outdated_by_its_number_or_else_its_stamp(new, before, outdated: bool) -> None:
    assert is_outdated(report(**new), state(**before)) is outdated


def test_the_first_report_is_never_outdated() -> None:
    assert not is_outdated(report(sequence=0, sent_at_us=1), None)


def test_an_outdated_report_changes_nothing() -> None:
    store = DictStore(book(), state(sequence=7))
    before = store.accounts["A"].state
    assert not store.report(report(5, sequence=7))
    assert (store.accounts["A"].state, store.accounts["A"].version) == (before, 1)


# ------------------------------------------------------------------------------------- answers that were asked for


@pytest.mark.parametrize(
    ("new", "before", "outdated"),
    [
        ({"sent_at_us": 2}, {"sent_at_us": 2}, True),  # the same answer again
        ({"sent_at_us": 1}, {"sent_at_us": 2}, True),
        ({"sent_at_us": 3}, {"sent_at_us": 2}, False),
        ({"sequence": 8, "sent_at_us": 2}, {"sequence": 7, "sent_at_us": 2}, True),  # a number is no later moment
        ({"sequence": 6, "sent_at_us": 3}, {"sequence": 7, "sent_at_us": 2}, True),
        ({"sequence": 7, "sent_at_us": 3}, {"sequence": 7, "sent_at_us": 2}, False),  # it still holds
        ({"sequence": 0, "sent_at_us": 3}, {"sequence": 0, "sent_at_us": 2}, False),
        ({"sent_at_us": 3}, {"sequence": 7, "sent_at_us": 2}, False),
        ({"sequence": 1, "sent_at_us": 3}, {"sent_at_us": 2}, False),
        ({"sent_at_us": NOW}, {}, True),  # what was known without a stamp is of the moment of its receipt
        ({"sent_at_us": NOW + 1}, {}, False),
    ],
)
def test_an_answer_is_outdated_unless_it_is_of_a_later_moment(new, before, outdated: bool) -> None:
    assert is_outdated_answer(report(**new), state(received_at_us=NOW, **before)) is outdated


def test_the_first_answer_is_never_outdated() -> None:
    assert not is_outdated_answer(report(sequence=0, sent_at_us=1), None)


def test_the_same_answer_again_makes_nothing_younger() -> None:
    """A monitor whose clock is ahead says a moment that is still to come: only the receipt tells its age."""
    store = DictStore(book(), state(account_id="B"))
    ahead = report(5, sent_at_us=NOW + 30 * SECOND)
    assert store.report(ahead, pulled=True)
    before = store.accounts["A"].state
    store.now_us += 10 * SECOND
    assert not store.report(ahead, pulled=True)
    assert (store.accounts["A"].state, store.accounts["A"].version) == (before, 1)


def test_an_answer_that_says_a_state_still_holds_leaves_its_number_there() -> None:
    store = DictStore(book(), state(account_id="B"))
    for stamp in (1, 2, 3):
        assert store.report(report(5, sequence=7, sent_at_us=NOW + stamp), pulled=True)
        assert known(store).sequence == 7
    assert not store.report(report(6, sequence=3, sent_at_us=NOW + 4), pulled=True)
    assert (known(store).equity, known(store).sequence, known(store).sent_at_us) == (D(5), 7, NOW + 3)


def test_an_answer_without_a_number_leaves_the_known_one_there() -> None:
    store = DictStore(book(), state(sequence=7))
    assert store.report(report(5, sent_at_us=NOW + 1), pulled=True)
    assert known(store).sequence == 7
    assert not store.report(report(6, sequence=3))


# -------------------------------------------------------------------------------------------- peak and starts


def test_the_first_report_starts_everything_from_its_equity() -> None:
    first = merged(report(100, margin_used=D(5), sequence=3, sent_at_us=9))
    assert (first.balance, first.peak_equity, first.daily_start_equity, first.weekly_start_equity) == (D(100),) * 4
    assert (first.margin_used, first.received_at_us, first.sequence, first.sent_at_us) == (D(5), NOW, 3, 9)
    assert (first.day_end_us, first.week_end_us) == (MIDNIGHT, MONDAY)


def test_what_a_report_says_counts() -> None:
    said = merged(
        report(
            100,
            balance=D(90),
            peak_equity=D(150),
            daily_start_equity=D(110),
            weekly_start_equity=D(120),
            positions={"BTCUSDT": position(1)},
        )
    )
    assert (said.balance, said.peak_equity) == (D(90), D(150))
    assert (said.daily_start_equity, said.weekly_start_equity) == (D(110), D(120))
    assert said.positions == {"BTCUSDT": position(1)}


def test_the_peak_never_falls() -> None:
    before = state(equity=100, peak_equity=150)
    assert merged(report(120), before).peak_equity == 150
    assert merged(report(120, peak_equity=D(130)), before).peak_equity == 150
    assert merged(report(160), before).peak_equity == 160
    assert merged(report(120, peak_equity=D(170)), before).peak_equity == 170


def test_within_the_day_and_week_their_starts_stay() -> None:
    before = state(equity=100, daily_start_equity=80, weekly_start_equity=70, day_end_us=NOW + 1, week_end_us=NOW + 2)
    after = merged(report(120), before)
    assert (after.daily_start_equity, after.weekly_start_equity) == (D(80), D(70))
    assert (after.day_end_us, after.week_end_us) == (NOW + 1, NOW + 2)


def test_a_new_day_starts_from_the_last_equity_before_it() -> None:
    before = state(equity=100, daily_start_equity=80, weekly_start_equity=70, day_end_us=NOW, week_end_us=NOW + 2)
    after = merged(report(120), before)
    assert (after.daily_start_equity, after.weekly_start_equity) == (D(100), D(70))
    assert (after.day_end_us, after.week_end_us) == (MIDNIGHT, NOW + 2)


def test_a_new_week_starts_from_the_last_equity_before_it() -> None:
    before = state(equity=100, weekly_start_equity=70, day_end_us=NOW, week_end_us=NOW)
    assert merged(report(120), before).weekly_start_equity == 100
    assert merged(report(120), before, NOW + 30 * DAY).week_end_us == microseconds(datetime(2026, 2, 9, tzinfo=UTC))


def test_a_start_that_the_report_says_wins_over_the_roll_over() -> None:
    before = state(equity=100, day_end_us=NOW, week_end_us=NOW)
    after = merged(report(120, daily_start_equity=D(55), weekly_start_equity=D(66)), before)
    assert (after.daily_start_equity, after.weekly_start_equity) == (D(55), D(66))


# ------------------------------------------------------------------------------------------------- as steps


def test_a_report_is_taken_over_and_checks_are_decided_on_it() -> None:
    store = DictStore(book(), state(equity=1))
    store.now_us += SECOND
    assert not store.ask(order(1)).approved
    assert store.report(report(100_000))
    assert known(store).received_at_us == NOW + SECOND
    assert store.ask(order(1)).approved


def test_reports_say_how_far_equity_fell_within_the_last_minutes() -> None:
    store = DictStore(book())
    for equity, fallen in ((100_000, 0), (96_000, "0.04"), (94_000, "0.06"), (99_000, "0.06")):
        store.now_us += 60 * SECOND
        assert store.report(report(equity))
        assert known(store).drawdown_rapid == number(fallen)
    store.now_us += 300 * SECOND
    assert store.report(report(99_000))
    assert known(store).drawdown_rapid == 0


def test_so_do_reports_of_the_money_alone() -> None:
    store = DictStore(book())
    store.drive(pnl_steps(PnlReport(account_id="A", equity=D(100), margin_used=D(0)), Parameters()))
    store.drive(pnl_steps(PnlReport(account_id="A", equity=D(90), margin_used=D(0)), Parameters()))
    assert known(store).drawdown_rapid == D("0.1")


def test_a_report_leaves_open_orders_alone() -> None:
    store = DictStore(book())
    store.ask(order(1))
    ledger = store.accounts["A"].ledger
    store.report(report(50_000))
    assert store.accounts["A"].ledger == ledger


def test_a_report_says_which_prices_its_positions_need() -> None:
    store = DictStore(book())
    both = {"BTC|x": position(1, "BTC", exchange="x"), "BTC": position(2, "BTC"), "ETH": position(1, "ETH")}
    store.report(report(positions=both))
    commit = store.trips[-1]
    assert isinstance(commit, Commit)
    assert commit.changes[0].symbols == ("BTC", "ETH")
    assert (commit.expect, commit.journal) == (None, ())


def test_the_prices_of_open_orders_are_needed_too() -> None:
    store = DictStore(book())
    store.ask(order(1, symbol="ETHUSDT"))
    store.report(report(positions={"BTC": position(2, "BTC")}))
    assert store.accounts["A"].symbols == {"BTC", "ETHUSDT"}


def test_a_report_is_taken_over_though_the_ledger_cannot_be_read() -> None:
    """Which lets nothing through: the next order says that it cannot."""
    store = DictStore(book())
    store.accounts["A"].ledger = b"{"
    assert store.report(report(7))
    assert known(store).equity == 7
    assert store.ask(order(1)).reason == "stale_account_state"


def test_the_first_report_of_an_account_makes_it() -> None:
    store = DictStore(book())
    del store.accounts["A"]
    assert store.report(report(7))
    assert known(store).equity == 7


def test_a_report_that_loses_a_race_to_a_newer_one_changes_nothing() -> None:
    store = DictStore(book(), state(sequence=1))

    def race(_commit: Commit) -> None:
        store.before_commit = lambda _commit: None
        assert store.report(report(3, sequence=3))

    store.before_commit = race
    assert not store.report(report(2, sequence=2))
    assert known(store).equity == 3


def test_a_report_that_loses_a_race_to_a_check_is_merged_again() -> None:
    store = DictStore(book())

    def race(_commit: Commit) -> None:
        store.before_commit = lambda _commit: None
        assert store.ask(order(1)).approved

    store.before_commit = race
    assert store.report(report(5))
    assert (known(store).equity, len(store.held())) == (D(5), 1)


def test_an_account_that_never_stands_still_takes_no_report() -> None:
    store = DictStore(book())

    def touch(_commit: Commit) -> None:
        store.accounts["A"].version += 1

    store.before_commit = touch
    with pytest.raises(NotApplied, match="changed at every attempt; send the message again"):
        store.report(report(5))


@pytest.mark.parametrize("content", [b"{", b"{}", b'{"account_id":"\xff"}', bytes(10)])
def test_a_record_that_cannot_be_read_is_replaced_only_by_a_report_that_says_all_of_it(content: bytes) -> None:
    store = DictStore(book())
    store.accounts["A"].state = content
    partly = report(100, peak_equity=D(1), daily_start_equity=D(1))
    with pytest.raises(NotApplied, match="cannot be read, so its peak and start equities are lost"):
        store.report(partly)
    assert store.accounts["A"].state == content
    assert store.report(report(100, peak_equity=D(150), daily_start_equity=D(110), weekly_start_equity=D(120)))
    after = known(store)
    assert (after.peak_equity, after.daily_start_equity, after.weekly_start_equity) == (D(150), D(110), D(120))
    assert store.ask(order("0.001")).approved
