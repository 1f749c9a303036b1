"""What the simulated desks want: orders of a sensible size near the market, and now and then a bad one."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from simulator.amounts import ZERO, steps_down
from simulator.desks import Desk
from simulator.market import Market
from simulator.orders import BUY, SELL, Fill, Order

# Notional of an ordinary order and the exposure in one symbol at which a desk turns back, in currency.
_SMALL, _LARGE = 1_500, 9_000
_TURNS_BACK = 160_000

# What a desk begins with: in so many symbols, each worth so much.
_SYMBOLS, _HOLDS_FROM, _HOLDS_TO = 3, 20_000, 90_000

# One order in so many is a mistake that the risk system should stop.
_MISTAKES_IN = 14

# Of the others: at the market, and through it, so that they fill at once; what is left waits for the market to come.
_MARKET_ORDERS, _THROUGH = 0.1, 0.55
_FURTHEST = 0.0008

# How long an order works on average and at most, in seconds; half of those that end by time are the desk's cancels.
WORKS_S = 3.0
_LONGEST_S = 30.0


class Flow:
    """Writes orders. The same `generator` state gives the same ones but for their ids; `works_s`: their usual life."""

    def __init__(self, generator: random.Random, market: Market, *, works_s: float = WORKS_S) -> None:
        self._random = generator
        self._market = market
        self._works_s = works_s
        # Orders of another life of the simulator must not be taken for these, not even where the seed is the same.
        self.life = secrets.token_hex(5)
        self._count = 0

    def begin(self, desk: Desk, now_us: int) -> None:
        """Give a desk the positions that it begins with."""
        known = sorted(self._market.quotes)
        for symbol in self._random.sample(known, min(_SYMBOLS, len(known))):
            quantity = self._quantity(symbol, self._random.uniform(_HOLDS_FROM, _HOLDS_TO))
            side, price = BUY if self._random.random() < 0.65 else SELL, self._market.quotes[symbol].mid
            named = f"sim-{self.life}-{desk.account_id}-{symbol}"
            desk.take(Fill(named, named, desk.account_id, symbol, side, quantity, price, ZERO, now_us))

    def order(self, desk: Desk, working: Iterable[Order]) -> Order:
        """Return the next order of a desk. `working`: its orders that are in the market, or asked about."""
        symbol = self._random.choice(sorted(self._market.quotes))
        own = [order for order in working if order.symbol == symbol]
        at_any_price = [order.side for order in own if not order.price]
        side = at_any_price[0] if at_any_price else self._side(desk, symbol)
        against = [order.price for order in own if order.side != side]
        quantity = self._quantity(symbol, self._random.uniform(_SMALL, _LARGE))
        if self._random.randrange(_MISTAKES_IN) == 0:
            quantity, price = self._mistake(symbol, side, quantity)
        else:
            price = ZERO if self._random.random() < _MARKET_ORDERS else self._limit(symbol, side)
        if against:
            price = self._apart(price or self._limit(symbol, side), symbol, side, against)
        return self._write(desk, symbol, side, quantity, price)

    def closing(self, desk: Desk, symbol: str, stop_id: str) -> Order:
        """Return an order at the market that closes all that a desk holds of a symbol, for an emergency stop."""
        held = desk.quantity(symbol)
        side = SELL if held > ZERO else BUY
        return self._named(desk, symbol, side, abs(held), ZERO, _LONGEST_S, stop_id=stop_id)

    def smaller(self, order: Order, most: Decimal) -> Order | None:
        """Return the order with no more than `most`, under an id of its own; None where that is less than a lot."""
        quantity = steps_down(most, self._market.listings[order.symbol].lot)
        if not ZERO < quantity < order.quantity:
            return None
        return replace(order, order_id=self._next_id(), quantity=quantity)

    def _mistake(self, symbol: str, side: str, quantity: Decimal) -> tuple[Decimal, Decimal]:
        """Return quantity and price of an order that is much too large, or far from the market."""
        if self._random.random() < 0.5:
            return quantity * 50, ZERO
        away = self._random.choice((-1, 1)) * self._random.uniform(0.08, 0.2)
        return quantity, self._priced(symbol, side, away)

    def _write(self, desk: Desk, symbol: str, side: str, quantity: Decimal, price: Decimal) -> Order:
        life_s = min(_LONGEST_S, self._random.expovariate(1 / self._works_s))
        return self._named(desk, symbol, side, quantity, price, life_s, cancels=self._random.random() < 0.5)

    def _named(
        self,
        desk: Desk,
        symbol: str,
        side: str,
        quantity: Decimal,
        price: Decimal,
        life_s: float,
        *,
        cancels: bool = False,
        stop_id: str = "",
    ) -> Order:
        life_us = max(1, int(life_s * 1_000_000))
        return Order(
            order_id=self._next_id(),
            account_id=desk.account_id,
            symbol=symbol,
            side=side,
            quantity=quantity,
            price=price,
            life_us=2 * life_us if cancels else life_us,
            patience_us=life_us if cancels else 0,
            reduce_only=bool(stop_id),
            stop_id=stop_id,
        )

    def _next_id(self) -> str:
        self._count += 1
        return f"sim-{self.life}-{self._count}"

    def _side(self, desk: Desk, symbol: str) -> str:
        exposure = float(desk.quantity(symbol) * self._market.quotes[symbol].mid)
        return BUY if self._random.random() > 0.5 + exposure / (2 * _TURNS_BACK) else SELL

    def _limit(self, symbol: str, side: str) -> Decimal:
        """Return a limit near the market: just through it, or short of it."""
        near = self._random.uniform(0.0, _FURTHEST)
        through = near if self._random.random() < _THROUGH else -near
        return self._priced(symbol, side, through if side == BUY else -through)

    def _priced(self, symbol: str, side: str, away: float) -> Decimal:
        """Return the price on a tick that is a fraction `away` from what the market offers."""
        quote, tick = self._market.quotes[symbol], self._market.listings[symbol].tick
        best = quote.ask if side == BUY else quote.bid
        return max(tick, steps_down(best * Decimal(1 + away), tick))

    def _apart(self, price: Decimal, symbol: str, side: str, against: list[Decimal]) -> Decimal:
        """Return the price, moved to where it meets no order of ours on the other side: nobody trades with himself."""
        tick = self._market.listings[symbol].tick
        return max(tick, min(price, min(against) - tick)) if side == BUY else max(price, max(against) + tick)

    def _quantity(self, symbol: str, notional: float) -> Decimal:
        lot = self._market.listings[symbol].lot
        return max(lot, steps_down(Decimal(notional) / self._market.quotes[symbol].mid, lot))
