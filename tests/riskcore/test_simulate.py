"""The account with every open order at its worst, and one order more: increase, reduce, flip, margin."""

from __future__ import annotations

from decimal import Decimal

import pytest

from riskcore import figures as figures_module
from riskcore.book import Parameters
from riskcore.figures import value_legs
from riskcore.ledger import EMPTY_LEDGER
from riskcore.simulate import Leg, strictly_reduces
from riskcore.types import AccountState, Ledger
from tests.riskcore.builders import (
    BUY,
    NOW,
    SELL,
    check,
    compiled,
    holding,
    instrument,
    marks,
    order,
    outcome,
    position,
    reservation,
    soft,
    state,
)

D = Decimal


def figures(of, *positions, ledger=None, **what) -> dict[str, Decimal | None]:
    """Decide and give the figures; what the account holds is said in positions and reservations."""
    return check(of, at=state(*positions, **what), ledger=ledger).post_trade_metrics


def reserved(of, *positions, ledger=None) -> Decimal:
    """The margin that all open orders need with this one, out of 10,000,000."""
    shown = figures(of, *positions, ledger=ledger, equity=10_000_000)["margin_available"]
    assert shown is not None
    return 10_000_000 - shown


# ---------------------------------------------------------------------------------------------- exposure


@pytest.mark.parametrize(
    ("held", "side", "quantity", "worst"),
    [
        (2, BUY, 1, 3),  # increase
        (-2, SELL, 1, 3),
        (2, SELL, 1, 2),  # reduce: at worst it does not fill
        (-2, BUY, 2, 2),  # close
        (2, SELL, 3, 2),  # flip to less than what is held
        (2, SELL, 5, 3),  # flip to more
        (-2, BUY, 5, 3),
        (0, SELL, 1, 1),  # open
    ],
)
def test_the_worst_case_is_the_larger_position_of_filled_and_not_filled(held, side, quantity, worst) -> None:
    assert figures(order(quantity, side), position(held))["position_value"] == worst * 50_000


def test_open_buys_and_sells_are_not_set_off_against_each_other() -> None:
    both = holding(reservation(4, BUY), reservation(6, SELL))
    assert figures(order(1), position(1), ledger=both)["position_value"] == 6 * 50_000  # 1 + 4 + 1
    assert figures(order(1), position(-1), ledger=both)["position_value"] == 7 * 50_000  # -1 - 6


def test_an_order_in_one_symbol_leaves_the_others_at_their_worst() -> None:
    shown = figures(
        order(1, symbol="ETHUSDT"), position(2), ledger=holding(reservation(1, SELL), reservation(1, symbol="ETHUSDT"))
    )
    assert shown["gross_exposure"] == 2 * 50_000 + 2 * 3_000
    assert shown["position_value"] == 2 * 3_000


def test_two_exchanges_of_one_symbol_are_two_positions() -> None:
    shown = figures(order(1, exchange="bybit"), position(2, exchange="binance"), position(-3, exchange="bybit"))
    assert shown["gross_exposure"] == 5 * 50_000
    assert shown["open_positions"] == 2


# ------------------------------------------------------------------------------------------------ margin


def test_an_order_that_opens_needs_margin_for_all_of_it() -> None:
    assert reserved(order(2)) == 10_000


def test_an_order_that_closes_needs_none() -> None:
    assert reserved(order(2, SELL), position(2)) == 0
    assert reserved(order(2, BUY), position(-3)) == 0


def test_an_order_that_flips_needs_margin_for_what_it_opens() -> None:
    assert reserved(order(3, SELL), position(2)) == 5_000
    assert reserved(order(3, BUY), position(-2)) == 5_000


def test_margin_is_that_of_the_side_that_needs_more() -> None:
    both = holding(reservation(4, BUY), reservation(1, SELL))
    assert reserved(order(1, SELL), ledger=both) == 20_000
    assert reserved(order(5, SELL), ledger=both) == 30_000


def test_orders_that_close_and_then_open_together_need_margin_for_what_is_over() -> None:
    assert reserved(order(3, SELL), position(4), ledger=holding(reservation(2, SELL))) == 5_000


def test_margin_that_closing_would_free_is_not_counted_on() -> None:
    shown = figures(order(2, SELL), position(2, margin=10_000), equity=20_000, margin_used=10_000)
    assert shown["margin_available"] == 10_000


def test_what_opens_after_closing_may_be_the_order_that_needs_the_most_margin() -> None:
    cheap, dear = reservation(2, SELL, price=10_000), reservation(2, SELL, price=90_000)
    assert reserved(order("0.1", BUY, price=40_000), position(2), ledger=holding(cheap, dear)) == 18_000
    assert reserved(order("0.1", BUY, price=40_000), position(1), ledger=holding(cheap, dear)) == 20_000  # all of it


def test_a_sell_below_the_mark_is_valued_at_the_mark() -> None:
    """It trades at the best price there is; what it would need at its own is not enough."""
    assert reserved(order(1, SELL, price=48_000)) == 5_000
    assert reserved(order(1, SELL, price=52_000)) == 5_200
    assert reserved(order(1, BUY, price=48_000)) == 4_800
    shown = check(order(1, SELL, price=48_000), soft("order_notional", "<=", 49_999), soft("price_deviation", "<=", 0))
    assert [(each.metric, each.value) for each in shown.warnings] == [
        ("order_notional", 50_000),
        ("price_deviation", D("0.04")),
    ]


def test_the_margin_rate_is_the_instruments_or_else_the_books() -> None:
    rates = compiled(instruments=(instrument(margin_rate="0.02"),))
    assert check(order(1), under=rates).post_trade_metrics["margin_available"] == 99_000
    assert check(order(1, symbol="ETHUSDT"), under=rates).post_trade_metrics["margin_available"] == 99_700


def test_a_lower_leverage_at_the_venue_needs_more_margin_and_a_higher_one_no_less() -> None:
    assert figures(order(1, leverage=2))["margin_available"] == 75_000
    assert figures(order(1, leverage=50))["margin_available"] == 95_000


def test_a_leverage_that_is_no_even_part_of_one_is_rounded_up() -> None:
    assert figures(order(1, leverage=3))["margin_available"] == D("83333.3333333")


# -------------------------------------------------------------------------------------- strictly reducing


@pytest.mark.parametrize(
    ("held", "side", "quantity", "open_same_side", "reduces"),
    [
        (0, BUY, 1, 0, False),
        (0, SELL, 1, 0, False),
        (5, BUY, 1, 0, False),
        (-5, SELL, 1, 0, False),
        (5, SELL, 6, 0, False),
        (5, SELL, 3, 3, False),
        (5, SELL, 1, 0, True),
        (5, SELL, 5, 0, True),
        (5, SELL, 2, 3, True),
        (-5, BUY, 5, 0, True),
        (-5, BUY, "5.000000000001", 0, False),
    ],
)
def test_an_order_strictly_reduces_if_nothing_of_its_side_can_flip_the_position(
    held, side, quantity, open_same_side, reduces
) -> None:
    assert strictly_reduces(D(held), side, D(quantity), D(open_same_side)) is reduces


class TestRememberedLegs:
    """A leg is valued once for as long as nothing of it moves."""

    at = state(position(2, entry_price=90))
    buys = holding(reservation(3, price=100))

    def leg(self, mark: str, ledger: Ledger = EMPTY_LEDGER, at: AccountState = at) -> Leg:
        legs = value_legs(at, ledger, marks(BTCUSDT=mark), NOW, Parameters())
        assert not isinstance(legs, str)
        return legs["BTCUSDT"]

    def test_the_same_position_at_the_same_mark_is_the_same_leg(self) -> None:
        assert self.leg("100.0") is self.leg("100")

    def test_what_is_kept_of_an_order_says_the_mark_as_it_was_told_now(self) -> None:
        sell = order(1, SELL, price=50_000)  # below the mark: valued at that
        told = [outcome(sell, at=self.at, prices=marks(BTCUSDT=mark)).reservation for mark in ("60000.0", "60000")]
        assert [str(held.valued_at) for held in told if held is not None] == ["60000.0", "60000"]

    def test_another_mark_or_other_open_orders_are_another_leg(self) -> None:
        moments = [("100", EMPTY_LEDGER), ("110", EMPTY_LEDGER), ("110", self.buys), ("110", EMPTY_LEDGER)]
        assert [self.leg(mark, ledger).worst_value for mark, ledger in moments] == [200, 220, 550, 220]

    def test_an_equal_state_that_is_another_one_is_valued_by_itself(self) -> None:
        assert self.leg("100", at=state(position(2, entry_price=90))) is not self.leg("100")

    def test_no_more_are_kept_than_fit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(figures_module._legs, "most", 2)
        others = [state(position(number), account_id=f"A{number}") for number in range(1, 6)]
        assert [self.leg("100", at=other).high_value for other in others] == [100, 200, 300, 400, 500]
        assert len(figures_module._legs) <= 2

    def test_of_an_account_those_of_its_newest_state_are_kept(self) -> None:
        others = [state(position(number)) for number in range(1, 4)]
        assert [self.leg("100", at=other).high_value for other in others] == [100, 200, 300]
        assert [at for at, _ in figures_module._legs.values()] == others[-1:]
