"""The desks' books: exact, whatever was traded at whatever price."""

from __future__ import annotations

from decimal import Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from simulator.amounts import EXACT, ZERO, text
from simulator.desks import Desk
from simulator.orders import BUY, SELL, Fill


def fill(quantity: object, price: object, *, fee: object = 0, symbol: str = "X") -> Fill:
    signed = Decimal(str(quantity))
    side = BUY if signed > 0 else SELL
    return Fill("f", "o", "d", symbol, side, abs(signed), Decimal(str(price)), Decimal(str(fee)), 0)


def a_desk(*fills: Fill, deposit: int = 1000) -> Desk:
    desk = Desk("d", deposit=Decimal(deposit))
    for each in fills:
        desk.take(each)
    return desk


def test_its_entry_is_the_average_of_what_it_bought():
    held = a_desk(fill(1, 100), fill(3, 200)).holdings["X"]
    assert [held.quantity, held.entry] == [4, 175]


def test_closing_pays_the_gain_out():
    desk = a_desk(fill(2, 100), fill(-2, 110))
    assert [desk.realized, len(desk.holdings)] == [20, 0]


def test_turning_pays_out_what_was_held_and_begins_anew():
    desk = a_desk(fill(-2, 100), fill(5, 90))
    assert [desk.realized, desk.quantity("X"), desk.holdings["X"].entry] == [20, 3, 90]


def test_closing_a_part_leaves_the_entry_where_it_was():
    desk = a_desk(fill(3, 100), fill(-1, 130))
    assert [desk.realized, desk.quantity("X"), desk.holdings["X"].entry] == [30, 2, 100]


def test_fees_leave_the_balance():
    statement = a_desk(fill(2, 100, fee="0.1"), fill(-2, 110, fee="0.11")).statement({})
    assert (statement.balance, statement.fees, statement.equity) == (
        Decimal("1019.79"),
        Decimal("0.21"),
        statement.balance,
    )


def test_its_statement_adds_up():
    statement = a_desk(fill(2, 100)).statement({"X": Decimal(105)})
    assert [statement.equity, statement.balance, statement.margin_used] == [1010, 1000, 21]
    (held,) = statement.positions
    assert [held.symbol, held.quantity, held.entry, held.mark, held.margin] == ["X", 2, 100, 105, 21]


amounts = st.decimals(min_value="0.0001", max_value="1000000", places=4)
signed = st.builds(lambda amount, buys: amount if buys else -amount, amounts, st.booleans())
trades = st.lists(
    st.builds(fill, signed, amounts, fee=st.decimals("0", "10", places=8), symbol=st.sampled_from("XYZ")), max_size=40
)


@given(trades, st.tuples(amounts, amounts, amounts))
def test_money_and_positions_add_up_to_the_last_digit(fills, prices):
    """Worked out a second way: equity is what was paid in and out, and the worth of what is held."""
    marks = dict(zip("XYZ", prices, strict=True))
    desk = a_desk(*fills)
    statement = desk.statement(marks)
    with localcontext(EXACT):
        held = {symbol: sum((each.signed for each in fills if each.symbol == symbol), ZERO) for symbol in "XYZ"}
        spent = sum((each.signed * each.price + each.fee for each in fills), ZERO)
        worth = sum((quantity * marks[symbol] for symbol, quantity in held.items()), ZERO)
        assert {symbol: desk.quantity(symbol) for symbol in "XYZ"} == held
        assert statement.equity == 1000 - spent + worth
        assert statement.equity == statement.balance + statement.unrealized
        assert statement.balance == 1000 + statement.realized - statement.fees
        assert {each.symbol for each in statement.positions} == {symbol for symbol, each in held.items() if each}


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15, places=20))
def test_amounts_travel_with_at_most_twelve_decimals_and_no_exponent(value):
    said = text(value)
    assert set(said) <= set("-0123456789.")
    assert len(said.partition(".")[2]) <= 12
    assert abs(Decimal(said) - value) <= Decimal("0.5E-12")
