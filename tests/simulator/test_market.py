"""A market that is made up, and looks as if it were not."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from simulator.desks import Desk
from simulator.flow import Flow
from simulator.market import LISTINGS, Market


def market(seed: int = 1) -> Market:
    return Market(random.Random(seed))


def test_the_same_seed_gives_the_same_market():
    first, second, other = market(), market(), market(2)
    for each in (first, second, other):
        for _ in range(100):
            each.step(1.0)
    assert first.prices() == second.prices() != other.prices()


def test_prices_are_on_their_ticks():
    made = market()
    for _ in range(1000):
        made.step(1.0)
        for listing in LISTINGS:
            assert made.price(listing.symbol) % listing.tick == 0


@pytest.mark.parametrize("seed", range(5))
def test_a_day_moves_prices_by_per_cents_and_a_step_hardly(seed):
    made = market(seed)
    largest = 0.0
    before = made.price("BTCUSDT")
    for _ in range(24 * 360):
        made.step(10.0)
        largest = max(largest, abs(float(made.price("BTCUSDT") / before) - 1))
        before = made.price("BTCUSDT")
    assert 0.0001 < largest < 0.01
    assert 0.8 < float(made.price("BTCUSDT")) / 64_000 < 1.25


def test_years_do_not_run_away():
    made = market()
    for _ in range(3000):
        made.step(24 * 3600.0)
    for listing in LISTINGS:
        assert 0.3 < float(made.price(listing.symbol)) / listing.price < 3


class TestADesk:
    def test_its_entry_is_the_average_of_what_it_bought(self):
        desk = Desk("d")
        desk.fill("X", Decimal(1), Decimal(100))
        desk.fill("X", Decimal(3), Decimal(200))
        assert [desk.quantity("X"), desk.holdings["X"].entry] == [4, 175]

    def test_closing_pays_the_gain_out(self):
        desk = Desk("d", balance=Decimal(1000))
        desk.fill("X", Decimal(2), Decimal(100))
        desk.fill("X", Decimal(-2), Decimal(110))
        assert [desk.balance, desk.quantity("X"), len(desk.holdings)] == [1020, 0, 0]

    def test_turning_pays_out_what_was_held_and_begins_anew(self):
        desk = Desk("d", balance=Decimal(1000))
        desk.fill("X", Decimal(-2), Decimal(100))
        desk.fill("X", Decimal(5), Decimal(90))
        assert [desk.balance, desk.quantity("X"), desk.holdings["X"].entry] == [1020, 3, 90]

    def test_its_report_adds_up(self):
        desk = Desk("d", balance=Decimal(1000))
        desk.fill("X", Decimal(2), Decimal(100))
        report = desk.report({"X": Decimal(105)})
        assert (report["equity"], report["balance"], report["margin_used"]) == ("1010.00", "1000.00", "21.00")
        assert report["positions"][0]["quantity"] == "2"


def test_most_orders_are_sensible_and_some_are_mistakes():
    made = market()
    flow = Flow(random.Random(3), made)
    desk = Desk("d")
    far = large = 0
    for _ in range(1000):
        ticket = flow.ticket(desk, {})
        listing = made.listings[ticket.symbol]
        mark = made.price(ticket.symbol)
        assert ticket.quantity % listing.lot == 0
        assert ticket.quantity > 0
        far += bool(ticket.price) and abs(ticket.price / mark - 1) > Decimal("0.05")
        large += ticket.quantity * mark > 20_000
    assert 15 < far < 70
    assert 15 < large < 70


def test_ids_are_unique_also_between_two_lives():
    made = market()
    ids = {Flow(random.Random(seed), made).ticket(Desk("d"), {}).order_id for seed in range(50)}
    assert len(ids) == 50


def test_nobody_trades_with_himself():
    made = market()
    flow = Flow(random.Random(3), made)
    working = dict.fromkeys(made.listings, "SELL")
    assert {flow.ticket(Desk("d"), working).side for _ in range(200)} == {"SELL"}


def test_a_desk_turns_back_before_its_limits():
    made = market()
    flow = Flow(random.Random(3), made)
    desk = Desk("d")
    for _ in range(5000):
        ticket = flow.ticket(desk, {})
        if ticket.quantity * made.price(ticket.symbol) < 20_000:
            desk.fill(ticket.symbol, ticket.signed, made.price(ticket.symbol))
    for symbol in made.listings:
        assert abs(desk.quantity(symbol) * made.price(symbol)) < 250_000
