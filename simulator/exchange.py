"""The simulated exchange: orders work until the market comes to them, their time is over, or they are cancelled.

An order takes what a quote offers, at the quote's price, as it arrives; one that waits is filled at its own price when
the market crosses it. A quote is good for its size and no more, so that orders fill in parts: better prices first, of
equal ones the older order. Our orders never meet each other: everybody trades with the rest of the world.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, localcontext

from simulator.amounts import EXACT, rounded
from simulator.market import Quote
from simulator.orders import BUY, SELL, Closed, End, Event, Fill, Order

# Fees as a fraction of what is traded: of an order that waited, and of one that took what there was.
_MAKER, _TAKER = Decimal("0.0002"), Decimal("0.0005")
_FEE_STEP = Decimal("1E-8")


@dataclass
class Working:
    """An order in the market: what is left of it, and since when it is there (`number` orders equal moments)."""

    order: Order
    left: Decimal
    at_us: int
    number: int


class Exchange:
    """Takes orders and quotes, and says what comes of them. `name` makes its fills' ids unique."""

    def __init__(self, name: str) -> None:
        self.working: dict[str, Working] = {}
        self._name = name
        self._fills = self._orders = 0
        self._by_symbol: dict[str, dict[str, Working]] = defaultdict(dict)
        self._quotes: dict[str, Quote] = {}
        self._size: dict[tuple[str, str], Decimal] = {}  # what is left of a quote, by symbol and side of the order

    def place(self, order: Order, now_us: int) -> list[Event]:
        """Take an order: it trades with what is offered now, and works on with the rest."""
        assert order.order_id not in self.working, "an order is placed once"
        self._orders += 1
        working = Working(order, order.quantity, now_us, self._orders)
        self.working[order.order_id] = self._by_symbol[order.symbol][order.order_id] = working
        return list(self._take(working, now_us, arrives=True))

    def quote(self, quote: Quote, now_us: int) -> list[Event]:
        """Take a new quote of a symbol, which replaces the last one."""
        self._quotes[quote.symbol] = quote
        self._size[quote.symbol, BUY] = quote.ask_size
        self._size[quote.symbol, SELL] = quote.bid_size
        found: list[Event] = []
        for working in sorted(self._by_symbol[quote.symbol].values(), key=_priority):
            found += self._take(working, now_us, arrives=False)
        return found

    def end(self, order_id: str, end: End, now_us: int) -> list[Event]:
        """Take an order out of the market, if it is still there."""
        working = self.working.pop(order_id, None)
        if working is None:
            return []
        del self._by_symbol[working.order.symbol][order_id]
        return [Closed(order_id, working.order.account_id, end, now_us)]

    def lapse(self, now_us: int) -> list[Event]:
        """Take out what is over: orders whose time has run out, and those whose desk has lost patience."""
        found: list[Event] = []
        for order_id, working in list(self.working.items()):
            order, age_us = working.order, now_us - working.at_us
            if age_us >= order.life_us:
                found += self.end(order_id, End.EXPIRED, now_us)
            elif 0 < order.patience_us <= age_us:
                found += self.end(order_id, End.CANCELLED, now_us)
        return found

    def _take(self, working: Working, now_us: int, *, arrives: bool) -> Iterator[Event]:
        """Let an order trade with what is offered, as far as its price and the size allow."""
        order, quote = working.order, self._quotes.get(working.order.symbol)
        if quote is None:
            return
        offered = quote.ask if order.side == BUY else quote.bid
        size = self._size[order.symbol, order.side]
        if not size or not _crosses(order, offered):
            return
        quantity = min(size, working.left)
        self._size[order.symbol, order.side] = size - quantity
        working.left -= quantity
        waited = not arrives and bool(order.price)
        yield self._fill(order, quantity, order.price if waited else offered, _MAKER if waited else _TAKER, now_us)
        if not working.left:
            yield from self.end(order.order_id, End.FILLED, now_us)

    def _fill(self, order: Order, quantity: Decimal, price: Decimal, rate: Decimal, now_us: int) -> Fill:
        self._fills += 1
        with localcontext(EXACT):
            fee = rounded(quantity * price * rate, _FEE_STEP)
        return Fill(
            fill_id=f"{self._name}-f{self._fills}",
            order_id=order.order_id,
            account_id=order.account_id,
            symbol=order.symbol,
            side=order.side,
            quantity=quantity,
            price=price,
            fee=fee,
            at_us=now_us,
        )


def _crosses(order: Order, offered: Decimal) -> bool:
    if not order.price:
        return True
    return offered <= order.price if order.side == BUY else offered >= order.price


def _priority(working: Working) -> tuple[bool, Decimal, int]:
    """Orders at the market first, then the better price, then the older order."""
    order = working.order
    return bool(order.price), -order.price if order.side == BUY else order.price, working.number
