"""The simulated world in one: a market, the exchange on it, and the desks that trade there. No clock and no network.

Every method that makes something happen is told the time, in microseconds since the epoch, and returns what happened in
its order: fills, which are in the desks' books already, and ends of orders.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from simulator.amounts import ZERO
from simulator.desks import Desk, Statement
from simulator.exchange import Exchange
from simulator.market import Market, Quote, marks
from simulator.orders import End, Event, Fill, Order


class Venue:
    """Trades for `desks` on an exchange of its own. `name` makes its fills' ids unique."""

    def __init__(self, market: Market, desks: Iterable[Desk], *, name: str) -> None:
        self.market = market
        self.desks = {desk.account_id: desk for desk in desks}
        self._exchange = Exchange(name)
        for quote in market.quotes.values():
            self._exchange.quote(quote, 0)

    def move(self, seconds: float, now_us: int) -> tuple[Sequence[Quote], list[Event]]:
        """Let time pass; return the quotes that came, and what they and the time made happen."""
        events = self._exchange.lapse(now_us)
        quotes = self.market.step(seconds)
        for quote in quotes:
            events += self._exchange.quote(quote, now_us)
        return quotes, self._booked(events)

    def place(self, order: Order, now_us: int) -> list[Event]:
        """Bring an order to the market."""
        return self._booked(self._exchange.place(order, now_us))

    def cancel(self, orders: Iterable[Order], now_us: int) -> list[Event]:
        """Take orders out of the market; those that are not there any more are left alone."""
        return [event for order in orders for event in self._exchange.end(order.order_id, End.CANCELLED, now_us)]

    def working(self, account_id: str = "") -> list[Order]:
        """Return the orders that are in the market, of one account or of all."""
        orders = (working.order for working in self._exchange.working.values())
        return [order for order in orders if account_id in ("", order.account_id)]

    def left(self, order: Order) -> Decimal:
        """Return how much of an order is still to be filled: 0 once it is not in the market any more."""
        working = self._exchange.working.get(order.order_id)
        return ZERO if working is None else working.left

    def statement(self, account_id: str) -> Statement:
        """Return an account at the present prices."""
        return self.desks[account_id].statement(marks(self.market.quotes))

    def _booked(self, events: list[Event]) -> list[Event]:
        for event in events:
            if isinstance(event, Fill):
                self.desks[event.account_id].take(event)
        return events
