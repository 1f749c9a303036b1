"""Random books, one or two random changes of them, and random orders of an account under them: all from a seed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from random import Random
from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from riskcore.book import (
    Account,
    Book,
    Instrument,
    Mode,
    OnBreach,
    Parameters,
    Policy,
    PolicyType,
    Profile,
    Restriction,
    Scope,
    VolatilityScale,
)
from riskcore.compiled import CompiledBook
from riskcore.decide import decide
from riskcore.journal import Inputs
from riskcore.ledger import encode_ledger
from riskcore.metrics import METRICS, WINDOWED, Kind
from riskcore.ports import Signal
from riskcore.schedule import ActiveWindow
from riskcore.types import AccountState, Ledger, Order, OrderType, Price, RiskLevel, Side
from tests.riskcore.builders import (
    DAY,
    NOW,
    SECOND,
    account,
    inputs,
    instrument,
    market,
    order,
    policy,
    position,
    profile,
    state,
)
from tests.riskcore.worlds import THRESHOLDS

SYMBOLS = ("AAA", "BBB")
_NOON = ActiveWindow(days=(2,), from_minute=11 * 60, to_minute=13 * 60)
# Around the moment of the orders, a Wednesday's noon, and away from it.
_HOURS = (
    (_NOON,),
    (replace(_NOON, days=(1, 2)),),
    (replace(_NOON, days=(1,)),),
    (replace(_NOON, since="2026-02-01"), _NOON),
)
IDS: dict[Scope, tuple[str, ...]] = {
    Scope.GLOBAL: (),
    Scope.EXCHANGE: ("ONE", "TWO"),
    Scope.ACCOUNT: ("A", "B"),
    Scope.STRATEGY: ("s1", "s2"),
    Scope.SYMBOL: SYMBOLS,
    Scope.PROFILE: ("p1", "p2"),
}
# Value at risk needs a history of prices, which these books have none of. Those that count are few: more often.
_METRICS = (*(name for name, metric in METRICS.items() if metric.kind is not Kind.TAIL), *sorted(WINDOWED) * 3)


class Desk:
    """Account A under a random book: a change of that book, and orders that A may send."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.book = self._book()
        self.state = self._state()
        self.ledger = Ledger(
            day_end_us=NOW + DAY, daily_orders=random.choice((0, 3)), daily_fills=random.choice((0, 2))
        )

    # ------------------------------------------------------------------------------------------- the book
    def _book(self) -> Book:
        random = self.random
        return Book(
            version=1,
            parameters=Parameters(market_slippage=Decimal(random.choice(("0", "0.001", "0.05")))),
            policies=tuple(self.policy(f"L{place}") for place in range(random.choice((1, 1, 2, 3)))),
            profiles=(self.profile("p1"), self.profile("p2")),
            accounts=(account("A", "p1", exchange=random.choice(("", "ONE"))), account("B", "p2")),
            instruments=tuple(self.instrument(symbol) for symbol in SYMBOLS if random.random() < 0.7),
            restrictions=tuple(self.restriction() for _ in range(self.mostly(0, 1, 2))),
        )

    def policy(self, name: str) -> Policy:
        random = self.random
        metric = random.choice(_METRICS)
        usual = "<=" if METRICS[metric].larger_is_riskier else ">="
        op = usual if random.random() < 0.85 else random.choice(("<=", "<", ">=", ">", "==", "!="))
        scope, ids = self.scope()
        threshold = self.threshold(metric)
        return policy(
            metric,
            op,
            threshold,
            id=name,
            type=random.choice((PolicyType.HARD, PolicyType.HARD, PolicyType.EMERGENCY, PolicyType.SOFT)),
            window_s=random.choice((10, 20, 60)) if metric in WINDOWED else 0,
            scope=scope,
            scope_ids=ids,
            on_breach=random.choice(tuple(OnBreach)),
            mode=self.mostly(Mode.ENFORCE, Mode.SHADOW),
            active=tuple(self.mostly((), *_HOURS)),
            effective_from_us=self.mostly(0, NOW - SECOND, NOW + SECOND),
            effective_until_us=self.mostly(0, NOW, NOW + SECOND),
            rollout_percent=self.mostly(100, 10, 50, 90),
            test_group=random.choice(("", "x", "y")),
            volatility=self.volatility(op, threshold),
        )

    def volatility(self, op: str, threshold: Decimal) -> VolatilityScale | None:
        """Return how a ceiling above 0 follows the market, if at all; nobody knows it here, so it is `least`."""
        if op not in ("<=", "<") or threshold <= 0:
            return None
        least = Decimal(self.random.choice(("0.5", 1, 2)))
        scale = VolatilityScale(
            symbol="AAA", reference=Decimal(1), least=least, most=least * self.random.choice((1, 2))
        )
        return scale if self.random.random() < 0.2 else None

    def threshold(self, metric: str) -> Decimal:
        return Decimal(self.random.choice((*THRESHOLDS.get(metric, (0, "0.05", "0.1")), 1, 2, 3)))

    def scope(self) -> tuple[Scope, tuple[str, ...]]:
        scope = self.random.choice((Scope.GLOBAL, Scope.GLOBAL, *Scope))
        return scope, tuple(self.some(IDS[scope])) or IDS[scope]

    def some(self, names: tuple[str, ...]) -> list[str]:
        return [name for name in names if self.random.random() < 0.5]

    def mostly(self, usual: Any, *others: Any) -> Any:
        """Return what stops nobody, and now and then another thing."""
        return usual if self.random.random() < 0.9 else self.random.choice(others)

    def profile(self, name: str) -> Profile:
        return profile(
            name,
            allowed_leverage=Decimal(self.mostly(1000, 1, 2)),
            max_single_trade_risk=Decimal(self.mostly(1000, "0.5", 1)),
            max_daily_loss=Decimal(self.mostly(1, "0.05")),
            max_weekly_loss=Decimal(self.mostly(1, "0.05")),
            max_open_positions=self.mostly(100, 1, 2),
            strategies=self.mostly((), ("s1",), ("s2",), ("s1", "s2")),
        )

    def instrument(self, symbol: str) -> Instrument:
        return instrument(
            symbol,
            tick_size=self.mostly(0, "0.5", 1, 2),
            lot_size=self.mostly(0, "0.5", 1, 3),
            min_quantity=self.mostly(0, 1, 5),
            max_quantity=self.mostly(0, 10, 20),
            margin_rate=self.random.choice((0, "0.05", "0.1", "0.5")),
            order_types=self.mostly((), (OrderType.LIMIT,), (OrderType.LIMIT, OrderType.MARKET)),
            **self.random.choice(({}, {"average_daily_volume": 100}, {"average_daily_volume": 60})),
        )

    def restriction(self) -> Restriction:
        random = self.random
        return Restriction(
            symbol=random.choice(SYMBOLS),
            reason=random.choice(("a delisting", "news")),
            side=random.choice((None, None, *Side)),
            account_id=random.choice(("", "", "A", "B")),
            close_only=random.random() < 0.3,
            until_us=random.choice((0, 0, NOW - SECOND, NOW + SECOND, NOW + 2 * SECOND)),
        )

    def parameters(self) -> Parameters:
        random = self.random
        given: dict[str, Any] = {
            "state_max_age_us": random.choice((1, 5, 20)) * SECOND,
            "price_max_age_us": random.choice((1, 5, 20)) * SECOND,
            "sender_clock_tolerance_us": random.choice((1, 2, 4)) * SECOND,
            "reservation_ttl_us": random.choice((30, 60, 90)) * SECOND,
            "default_margin_rate": Decimal(random.choice(("0.02", "0.1", "0.5"))),
            "market_slippage": Decimal(random.choice(("0", "0.001", "0.05", "0.2"))),
            "critical_utilisation": Decimal(random.choice(("0.8", "0.9"))),
            "monitor_max_age_us": random.choice((1, 5, 20)) * SECOND,
            "silence_blocks": random.random() < 0.5,
            "rapid_window_us": random.choice((60, 300)) * SECOND,
        }
        named = random.sample(sorted(given), random.choice((1, 1, 2)))
        return replace(self.book.parameters, **{name: given[name] for name in named})

    # ----------------------------------------------------------------------------------------- its change
    def changed(self) -> Book:
        """Return the book with a change or two, such that it may be published."""
        while True:
            book = self.book
            for _ in range(self.random.choice((1, 1, 2))):
                book = self.random.choice(_CHANGES)(self, book)
            with suppress(ValueError):
                CompiledBook(book)
                return book

    def with_field(self, item: Any, other: Any) -> Any:
        """Return an item with a field or two as in another one of its kind."""
        names = [name for name in item.__struct_fields__ if name not in ("id", "name", "symbol", "metric")]
        if isinstance(item, Policy) and item.metric in WINDOWED:
            other = replace(other, window_s=self.random.choice((10, 20, 60)))
        elif isinstance(item, Policy):
            other = replace(other, window_s=0)
        chosen = self.random.sample(names, self.random.choice((1, 1, 2)))
        if isinstance(item, Policy) and {"scope", "scope_ids"} & set(chosen):
            chosen = ["scope", "scope_ids"]
        return replace(item, **{name: getattr(other, name) for name in chosen})

    # ------------------------------------------------------------------------------------------ its orders
    def _state(self) -> AccountState:
        random = self.random
        held = [
            position(
                random.choice((-20, -5, 3, "7.5", 20)), symbol, entry_price=random.choice((50, 100, 120)), exchange=at
            )
            for symbol in SYMBOLS
            for at in random.choice((("",), ("ONE", "TWO"), ()))
        ]
        if random.random() < 0.3:
            held = [replace(each, mark_price=Decimal(random.choice((90, 100, 130)))) for each in held]
        return state(
            *held,
            equity=random.choice((1000, 3000, 10_000, 777, 0)),
            margin_used=random.choice((0, 0, 100, 400)),
            peak_equity=random.choice((1000, 1500)),
            daily_start_equity=random.choice((1000, 980, 1100)),
            weekly_start_equity=random.choice((1000, 900, 1300)),
            received_at_us=NOW - self.mostly(0, 3, 10) * SECOND,
            sent_at_us=self.mostly(0, NOW - 4 * SECOND),
            drawdown_rapid=random.choice((Decimal(0), Decimal("0.05"), Decimal("0.2"))),
        )

    def asked(self) -> Inputs:
        """Return what an order of A is decided on, after some that were sent under the book."""
        for _ in range(self.random.choice((0, 1, 3, 6))):
            made = decide(self._inputs(), CompiledBook(self.book))
            self.ledger = made.ledger or self.ledger
        return self._inputs()

    def _inputs(self) -> Inputs:
        random = self.random
        level = random.choice((RiskLevel.INFO, RiskLevel.CRITICAL))
        signal = Signal(risk_level=level, action_required=False, at_us=NOW - random.choice((0, 3, 10)) * SECOND)
        return inputs(
            self._order(),
            self.state,
            Raw(encode_ledger(self.ledger)),
            prices={symbol: Price(Decimal(100), NOW - self.mostly(0, 3, 10) * SECOND) for symbol in SYMBOLS},
            signal=self.mostly(None, signal),
        )

    def _order(self) -> Order:
        random = self.random
        what: dict[str, Any] = {
            "symbol": random.choice(SYMBOLS),
            "strategy_id": random.choice(("", "s1", "s2")),
            "exchange": random.choice(("", "ONE", "TWO")),
            "leverage": random.choice((0, 0, 0, 4, 20)),
        }
        quantity, side = random.choice((1, 3, 5, "7.5", 10, 12, 30)), random.choice(tuple(Side))
        if random.random() < 0.3:
            return market(quantity, side, **what)
        return order(quantity, side, price=random.choice((100, 100, "100.5", 99, 105)), **what)


def _some_item(part: str, make: Callable[[Desk, Any], Any]) -> Callable[[Desk, Book], Book]:
    """Return a change of one item of a part: some fields of it as in a random other one."""

    def change(desk: Desk, book: Book) -> Book:
        items = list(getattr(book, part))
        if not items:
            return book
        place = desk.random.randrange(len(items))
        items[place] = desk.with_field(items[place], make(desk, items[place]))
        return replace(book, **{part: tuple(items)})

    return change


def _another(desk: Desk, item: Policy) -> Policy:
    return replace(desk.policy(item.id), threshold=desk.threshold(item.metric))


def _other_account(desk: Desk, item: Account) -> Account:
    random = desk.random
    return Account(
        id=item.id,
        profile=random.choice(("p1", "p2")),
        exchange=random.choice(("", "ONE", "TWO")),
        enabled=random.random() < 0.5,
        reservation_ttl_us=random.choice((0, 30, 90)) * SECOND,
    )


def _one_more_or_less(part: str, make: Callable[[Desk], Any]) -> Callable[[Desk, Book], Book]:
    def change(desk: Desk, book: Book) -> Book:
        items = list(getattr(book, part))
        if items and desk.random.random() < 0.4:
            items.pop(desk.random.randrange(len(items)))
            return replace(book, **{part: tuple(items)})
        return replace(book, **{part: (*items, make(desk))})

    return change


_CHANGES: tuple[Callable[[Desk, Book], Book], ...] = (
    _some_item("policies", _another),
    _some_item("policies", _another),
    _some_item("policies", _another),
    _some_item("profiles", lambda desk, item: desk.profile(item.name)),
    _some_item("accounts", _other_account),
    _some_item("instruments", lambda desk, item: desk.instrument(item.symbol)),
    _some_item("restrictions", lambda desk, item: desk.restriction()),
    _one_more_or_less("policies", lambda desk: desk.policy(f"N{desk.random.random()}")),
    _one_more_or_less("instruments", lambda desk: desk.instrument("CCC")),
    _one_more_or_less("restrictions", lambda desk: desk.restriction()),
    lambda desk, book: replace(book, parameters=desk.parameters()),
)
