"""What an account holds and has open, in columns: read once from its records, and valued at any prices.

`picture` works out the same leg by leg, with everything that people may ask about one account. This is for those who
look at all accounts, again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from operator import attrgetter, mul
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import astuple, replace

from riskcore.book import Parameters
from riskcore.case import age_of, age_us
from riskcore.decimals import ZERO
from riskcore.ledger import decode_ledger, release
from riskcore.remembered import Remembered
from riskcore.simulate import NO_ORDERS, Exposure, Leg, make_leg
from riskcore.types import AccountState, Ledger, OpenOrders, Position, Price, Reservation

_decoder = msgspec.json.Decoder(AccountState)
_money_of: Callable[[AccountState], tuple[Decimal, ...]] = attrgetter(
    "equity", "balance", "margin_used", "peak_equity", "daily_start_equity", "weekly_start_equity"
)
# The fields of a position, in its order: symbol, quantity, entry price, mark, margin, exchange.
_Row = tuple[str, Decimal, Decimal, Decimal, Decimal, str]
_row_of: Callable[[Position], _Row] = astuple


class Held(Struct, frozen=True, gc=False):
    """An account's legs, one entry in each column; its state is without positions.

    `marks` are those that the state came with, 0 where it had none. `opened` is empty where nothing is open, `working`
    has the places of the legs with open orders. `cost` is the sum of quantity x entry price, in currency. `repeats`: a
    symbol is on several legs.
    """

    state: AccountState
    symbols: Sequence[str]
    exchanges: Sequence[str]
    quantities: Sequence[Decimal]
    entry_prices: Sequence[Decimal]
    marks: Sequence[Decimal]
    opened: Sequence[OpenOrders]
    working: Sequence[int]
    cost: Decimal
    repeats: bool


def read_held(state_json: bytes, ledger_json: bytes | None, expired: Sequence[Reservation]) -> Held | None:
    """Return what an account holds, without its `expired` reservations.

    None where the account was never reported. Raises ValueError where a record cannot be read, or `expired` are not in
    the ledger's sums.
    """
    try:
        state, ledger = _decoder.decode(state_json), decode_ledger(ledger_json)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"its record cannot be read: {error}") from error
    columns = _columns(map(_row_of, state.positions.values()))
    if not state.received_at_us:
        return None
    if not _is_finite(state, columns):
        raise ValueError("its record has an amount that is no number")
    if expired:
        ledger = release(ledger, expired)
    bare = replace(state, positions={})
    if ledger.open:
        return _held(bare, *_with_orders(state, ledger))
    quantities = columns[1]
    if not all(quantities):  # nothing is held of some: a price of theirs is not needed
        columns = _columns(row for row in map(_row_of, state.positions.values()) if row[1])
    return _held(bare, columns)


def _columns(rows: Iterable[_Row]) -> Sequence[Sequence[Any]]:
    return tuple(zip(*rows, strict=True)) or ((),) * 6


def _is_finite(state: AccountState, columns: Sequence[Sequence[Any]]) -> bool:
    """Return whether all amounts of a state are numbers: no NaN, no infinity."""
    amounts = (*_money_of(state), state.drawdown_rapid or ZERO), *columns[1:5]
    return all(map(Decimal.is_finite, chain(*amounts)))


def _with_orders(state: AccountState, ledger: Ledger) -> tuple[Sequence[Sequence[Any]], list[OpenOrders]]:
    """Return the columns of every leg with something held or open, in the order of `figures.value_legs`."""
    rows, open_orders = list[_Row](), list[OpenOrders]()
    for key, position in state.positions.items():
        opened = ledger.open.get(key)
        if opened is not None or position.quantity:
            rows.append(_row_of(position))
            open_orders.append(opened or NO_ORDERS)
    for key, opened in ledger.open.items():
        if key not in state.positions:
            rows.append((opened.symbol, ZERO, ZERO, ZERO, ZERO, opened.exchange))
            open_orders.append(opened)
    return _columns(rows), open_orders


def _held(state: AccountState, columns: Sequence[Sequence[Any]], opened: Sequence[OpenOrders] = ()) -> Held:
    symbols, quantities, entry_prices, marks, _margins, exchanges = columns
    return Held(
        state,
        _same(symbols),
        _same(exchanges),
        quantities,
        entry_prices,
        marks,
        opened,
        tuple([place for place, one in enumerate(opened) if one.buy_count or one.sell_count]),
        sum(map(mul, quantities, entry_prices), ZERO),
        len(set(symbols)) < len(symbols),
    )


# The columns of text seen last: what an account holds changes seldom, and many accounts hold the same.
_texts: Remembered[tuple[str, ...], tuple[str, ...]] = Remembered(65_536)


def _same(texts: Any) -> tuple[str, ...]:
    """Return equal texts as the same object, which is kept once."""
    known = _texts.get(texts)
    if known is None:
        known = texts
        _texts.keep(texts, texts)
    return known


class Feed:
    """The prices that are known, each with its age.

    Parameters
    ----------
    prices
        By symbol; one that is not above 0 is none.
    now_us
        The moment of the look.
    parameters
        Of the book.
    """

    def __init__(self, prices: Mapping[str, Price], now_us: int, parameters: Parameters) -> None:
        self.now_us, self.parameters = now_us, parameters
        known = {symbol: price for symbol, price in prices.items() if price.price > ZERO}
        self.prices = {symbol: price.price for symbol, price in known.items()}
        self.ages_us = {
            symbol: age_us(price.received_at_us, price.sent_at_us, now_us, parameters)
            for symbol, price in known.items()
        }
        self.oldest_us = max(self.ages_us.values(), default=0)


def marks_of(held: Held, feed: Feed) -> tuple[Decimal, ...] | None:
    """Return the mark of each leg: the fresher of feed and state, however old; None where a leg has neither."""
    state_age_us = age_of(held.state, feed.now_us, feed.parameters)
    prices, ages_us = feed.prices, feed.ages_us
    if state_age_us >= feed.oldest_us:
        try:
            return tuple(map(prices.__getitem__, held.symbols))
        except KeyError:
            pass  # of some there is only the mark of the state
    found: list[Decimal] = []
    for symbol, own in zip(held.symbols, held.marks, strict=True):
        mark = prices.get(symbol)
        if own > ZERO and (mark is None or state_age_us < ages_us[symbol]):
            mark = own
        if mark is None:
            return None
        found.append(mark)
    return tuple(found)


class Valued(Struct, frozen=True, gc=False):
    """An account's legs at their marks, one entry a leg, in currency.

    `values` are of what is held; `highs` and `lows` after all buys and after all sells, `worst` of the larger of them.
    """

    held: Held
    marks: Sequence[Decimal]
    values: Sequence[Decimal]
    highs: Sequence[Decimal]
    lows: Sequence[Decimal]
    worst: Sequence[Decimal]
    exposure: Exposure

    def leg(self, place: int) -> Leg:
        """Return a leg as `simulate` has it."""
        return _leg(self.held, self.marks, place)

    def on(self, exchange: str) -> Valued:
        """Return what of it is on an exchange: legs that name none may be there."""
        held = self.held
        places = [place for place, one in enumerate(held.exchanges) if one in (exchange, "")]
        columns: Sequence[Sequence[Any]] = (
            *(held.symbols, held.quantities, held.entry_prices, self.marks),
            *(self.marks, held.exchanges),  # nobody asks for margins any more
        )
        there = [tuple([column[place] for place in places]) for column in columns]
        opened = [held.opened[place] for place in places if held.opened]
        return value(_held(held.state, there, opened), there[3])


def value(held: Held, marks: Sequence[Decimal]) -> Valued:
    """Return the legs at these marks. `simulate.exposure_of` gives the same sums, one leg after the other."""
    values = tuple(map(mul, held.quantities, marks))
    if held.working:
        return _value_with_orders(held, marks, values)
    worst, net = tuple(map(abs, values)), sum(values, ZERO)
    exposure = Exposure(
        gross=sum(worst, ZERO),
        net_high=net,
        net_low=net,
        margin_reserved=ZERO,
        unrealized_pnl=net - held.cost,
        pending_notional=ZERO,
        open_positions=len(values),
        open_orders=0,
    )
    return Valued(held, marks, values, values, values, worst, exposure)


def _value_with_orders(held: Held, marks: Sequence[Decimal], values: Sequence[Decimal]) -> Valued:
    highs, lows, worst = list(values), list(values), list(map(abs, values))
    margin = pending = ZERO
    orders = 0
    for place in held.working:
        leg = _leg(held, marks, place)
        highs[place], lows[place], worst[place] = leg.high_value, leg.low_value, leg.worst_value
        margin += leg.margin
        pending += leg.pending_notional
        orders += leg.open_orders
    exposure = Exposure(
        gross=sum(worst, ZERO),
        net_high=sum(highs, ZERO),
        net_low=sum(lows, ZERO),
        margin_reserved=margin,
        unrealized_pnl=sum(values, ZERO) - held.cost,
        pending_notional=pending,
        open_positions=len(values),
        open_orders=orders,
    )
    return Valued(held, marks, values, highs, lows, worst, exposure)


def _leg(held: Held, marks: Sequence[Decimal], place: int) -> Leg:
    return make_leg(
        held.symbols[place],
        held.exchanges[place],
        held.quantities[place],
        held.entry_prices[place],
        held.opened[place] if held.opened else NO_ORDERS,
        marks[place],
    )
