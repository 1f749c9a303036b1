"""Random accounts and order sequences from a seed, said twice: in riskcore's words and in the oracle's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil
from random import Random

from msgspec import Raw
from msgspec.structs import replace

from riskcore.book import Book, Parameters, Policy, PolicyType, Scope
from riskcore.compiled import CompiledBook
from riskcore.decide import Outcome, decide
from riskcore.decimals import FINEST
from riskcore.journal import Inputs
from riskcore.ledger import encode_ledger
from riskcore.metrics import METRICS, ORDER_CONTROLS, Kind
from riskcore.types import (
    AccountState,
    Decision,
    Ledger,
    Order,
    OrderType,
    Position,
    Price,
    Reservation,
    Side,
    position_key,
)
from tests.riskcore import oracle
from tests.riskcore.builders import DAY, NOW, account, as_raw, instrument, policy, profile, scoped

SYMBOLS = ("AAA", "BBB", "CCC")
SLIPPAGE = Parameters().market_slippage
RATES = {"AAA": Decimal("0.1"), "BBB": Decimal("0.05"), "CCC": Decimal("0.37")}
VOLUMES = {"AAA": Decimal(100), "BBB": Decimal("66.6")}  # nobody says how much of CCC trades
LOTS = {"AAA": Decimal("0.001"), "BBB": Decimal("0.1"), "CCC": FINEST}
# Value at risk goes by a history of prices, which these worlds have none of: test_tail has it.
LIMITED = tuple(name for name, metric in METRICS.items() if metric.kind not in (Kind.COUNTED, Kind.TAIL))

# Thresholds around what the accounts below reach, so that limits hold, break and stand exactly at their bound.
THRESHOLDS = {
    "gross_exposure": (500, 1000, 2000, 4000),
    "net_exposure": (-1000, 0, 500, 1000),
    "leverage": ("0.5", 1, 2),
    "margin_ratio": (2, 5, 10, 50),
    "margin_available": (0, 500, 900),
    "concentration": ("0.25", "0.5", 1),
    "position_value": (500, 1000, 2000),
    "position_loss": ("0.1",),
    "open_positions": (1, 2),
    "open_orders": (1, 3, 5),
    "pending_notional": (500, 1000, 2000),
    "order_quantity": (5, 10),
    "order_notional": (500, 1000),
    "price_deviation": ("0.001", "0.05"),
    "single_trade_risk": ("0.5", 1),
    "order_adv_share": ("0.05", "0.1", "0.3"),
    "daily_notional": (1000, 3000),
    "order_to_trade": (1, "1.5", 2, 4),
    "unrealized_pnl": (-100, 0),
    "daily_pnl": (-100, 0),
    "weekly_pnl": (-100, 0),
}


def fraction(value: Decimal) -> Fraction:
    return Fraction(value)


@dataclass(frozen=True)
class Step:
    """One order asked for: what riskcore was given, what it answered, and the world before it."""

    inputs: Inputs
    outcome: Outcome
    world: oracle.World
    working: oracle.Working
    today: oracle.Today
    book: CompiledBook

    @property
    def decision(self) -> Decision:
        return self.outcome.decision


class Scene:
    """One account under one book, and the orders that a seed makes it send."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.policies = self._policies()
        self.profile = profile(
            allowed_leverage=Decimal(random.choice((2, 100))), max_open_positions=random.choice((2, 100))
        )
        self.book = CompiledBook(
            Book(
                version=1,
                parameters=Parameters(),
                policies=self.policies,
                profiles=(self.profile,),
                accounts=(account(),),
                instruments=tuple(
                    instrument(symbol, margin_rate=RATES[symbol], lot_size=LOTS[symbol], **_volume_of(symbol))
                    for symbol in SYMBOLS
                ),
            )
        )
        self.rules = tuple(_rules(self.book))
        # Either nobody names an exchange or everybody does; what one may mean without is in test_case.
        self.exchanges = random.choice((("",), ("",), ("ONE", "TWO")))
        self.marks = {symbol: Decimal(random.choice((10, 50, 99, 100, "33.3"))) for symbol in SYMBOLS}
        self.state = self._state()
        self.raw_state = as_raw(self.state)
        self.today = oracle.Today(Fraction(0), random.choice((0, 0, 1, 7)), random.choice((0, 1, 2, 3)))
        self.ledger = Ledger(day_end_us=NOW + DAY, daily_orders=self.today.orders, daily_fills=self.today.trades)
        self.live: dict[str, Reservation] = {}
        self.now_us = NOW
        self.world = oracle.World(
            equity=fraction(self.state.equity),
            margin_used=fraction(self.state.margin_used),
            peak=fraction(self.state.peak_equity),
            rapid=None if self.state.drawdown_rapid is None else fraction(self.state.drawdown_rapid),
            day_start=fraction(self.state.daily_start_equity),
            week_start=fraction(self.state.weekly_start_equity),
            holdings={
                name: oracle.Holding(fraction(held.quantity), fraction(held.entry_price))
                for name, held in self.state.positions.items()
            },
            working=(),
            marks={symbol: fraction(mark) for symbol, mark in self.marks.items()},
            volumes={symbol: fraction(volume) for symbol, volume in VOLUMES.items()},
        )

    def _policies(self) -> tuple[Policy, ...]:
        random, made = self.random, []
        for place in range(random.choice((0, 1, 1, 2, 3, 5))):
            metric = random.choice(LIMITED)
            threshold = random.choice(THRESHOLDS.get(metric, (0, "0.05", "0.1")))
            usual = "<=" if METRICS[metric].larger_is_riskier else ">="
            op = usual if random.random() < 0.7 else random.choice(("<=", "<", ">=", ">", "==", "!="))
            kind = random.choice((PolicyType.HARD, PolicyType.HARD, PolicyType.EMERGENCY, PolicyType.SOFT))
            scope = scoped(Scope.EXCHANGE, "ONE") if random.random() < 0.25 else {}
            made.append(policy(metric, op, threshold, id=f"p{place}", type=kind, **scope))
        return tuple(made)

    def _state(self) -> AccountState:
        random = self.random
        equity = Decimal(random.choice((1000, 1000, 1000, 1500, 777, 0, -10)))
        positions = {
            position_key(symbol, exchange): Position(
                symbol=symbol,
                quantity=Decimal(random.choice((-20, -10, -3, 0, 3, "7.5", 10, 20))),
                entry_price=Decimal(random.choice((10, 50, 100, 120))),
                exchange=exchange,
            )
            for symbol in SYMBOLS
            for exchange in self.exchanges
            if random.random() < 0.5
        }
        return AccountState(
            account_id="A",
            equity=equity,
            balance=equity,
            margin_used=Decimal(random.choice((0, 0, 100, 400))),
            peak_equity=Decimal(random.choice((1000, 1500, 1050, 0))),
            daily_start_equity=Decimal(random.choice((1000, 980, 1100))),
            weekly_start_equity=Decimal(random.choice((1000, 900, 1300))),
            positions=positions,
            received_at_us=NOW,
            day_end_us=NOW + 10**12,
            week_end_us=NOW + 10**12,
            drawdown_rapid=random.choice((Decimal(0), Decimal("0.05"), Decimal("0.2"), None)),
        )

    def orders(self, number: int) -> Iterator[Step]:
        """Send orders, and between them let some of those that are open end."""
        for place in range(number):
            ended = [held for held in self.live.values() if self.random.random() < 0.1]
            yield self.ask(self._order(place), ended)

    def _order(self, place: int) -> Order:
        random = self.random
        symbol = random.choice(SYMBOLS[:2]) if random.random() < 0.8 else SYMBOLS[2]
        priced = random.random() < 0.8
        near = self.marks[symbol] * random.choice((1, 1, Decimal("1.05"), Decimal("0.9")))
        return Order(
            order_id=f"o{place}",
            account_id="A",
            symbol=symbol,
            side=random.choice((Side.BUY, Side.SELL)),
            quantity=Decimal(random.choice((1, 3, 5, "7.5", 10, "0.1", 20, 30))),
            price=near if priced else Decimal(0),
            order_type=OrderType.LIMIT if priced else OrderType.MARKET,
            leverage=Decimal(random.choice((0, 0, 0, 3, 4, 20))),
            exchange=random.choice(self.exchanges),
        )

    def ask(self, order: Order, ended: list[Reservation]) -> Step:
        """Decide one order; reservations that have `ended` leave with it, as the store's expired ones do."""
        world = self.world.without(held.order_id for held in ended)
        given = Inputs(
            order=order,
            decision_id=f"d-{order.order_id}",
            now_us=self.now_us,
            book_version=1,
            generation="g",
            epoch=1,
            account_version=1,
            state=self.raw_state,
            ledger=Raw(encode_ledger(self.ledger)),
            prices={symbol: Price(mark, NOW) for symbol, mark in self.marks.items()},
            expired=tuple(ended),
        )
        outcome = decide(given, self.book)
        working = self._working(order)
        step = Step(given, outcome, world, working, self.today, self.book)
        self._keep(outcome, world, working, ended)
        return step

    def _working(self, order: Order) -> oracle.Working:
        mark = fraction(self.marks[order.symbol])
        rate = fraction(RATES[order.symbol])
        price = fraction(order.price) or mark * (1 + fraction(SLIPPAGE))
        return oracle.Working(
            name=order.order_id,
            leg=position_key(order.symbol, order.exchange),
            buys=order.side is Side.BUY,
            quantity=fraction(order.quantity),
            price=price,
            value=price if order.side is Side.BUY else max(price, mark),
            rate=max(rate, _rate_of(order.leverage)) if order.leverage else rate,
        )

    def _keep(self, outcome: Outcome, world: oracle.World, working: oracle.Working, ended: list[Reservation]) -> None:
        assert outcome.ledger is not None
        self.ledger = outcome.ledger
        for held in ended:
            del self.live[held.order_id]
        self.world = world
        self.today = oracle.Today(self.today.notional, self.today.orders + 1, self.today.trades)
        if outcome.reservation is not None:
            self.live[outcome.reservation.order_id] = outcome.reservation
            self.world = world.with_order(working)
            notional = self.today.notional + working.notional
            self.today = oracle.Today(notional, self.today.orders, self.today.trades)


def _volume_of(symbol: str) -> dict[str, Decimal]:
    return {"average_daily_volume": VOLUMES[symbol]} if symbol in VOLUMES else {}


def _rate_of(leverage: Decimal) -> Fraction:
    """One over the leverage; as a decimal it is rounded up at the twelfth place."""
    return Fraction(ceil(Fraction(10**12) / fraction(leverage)), 10**12)


def _rules(book: CompiledBook) -> Iterator[oracle.Rule]:
    for policy_ in book.book.policies:
        yield oracle.Rule(
            name=policy_.id,
            metric=policy_.metric,
            op=policy_.operator.value,
            threshold=fraction(policy_.threshold),
            blocking=policy_.type is not PolicyType.SOFT,
            order_control=policy_.metric in ORDER_CONTROLS,
            exchange=policy_.scope_ids[0] if policy_.scope_ids else "",
        )
    for of in book.book.profiles:
        for metric, bound in (
            ("leverage", of.allowed_leverage),
            ("single_trade_risk", of.max_single_trade_risk),
            ("daily_loss", of.max_daily_loss),
            ("weekly_loss", of.max_weekly_loss),
            ("open_positions", Decimal(of.max_open_positions)),
        ):
            yield oracle.Rule(f"profile:{of.name}:{metric}", metric, "<=", fraction(bound))


def scene(seed: int | str) -> Scene:
    return Scene(Random(seed))


def with_quantity(step: Step, quantity: Decimal) -> Decision:
    """What would have been decided on another quantity, at the same moment."""
    given = replace(step.inputs, order=replace(step.inputs.order, quantity=quantity))
    return decide(given, step.book).decision
