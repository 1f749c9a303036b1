"""Random firms from a seed: accounts with positions and open orders on several exchanges, and limits of every kind."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import numpy as np

from riskcore.book import Account, Book, Operator, Parameters, Policy, PolicyType, Returns, Scope
from riskcore.compiled import CompiledBook
from riskcore.ledger import encode_ledger, reserve
from riskcore.metrics import METRICS, WINDOWED
from riskcore.ports import AccountView
from riskcore.types import AccountState, Ledger, Position, Price, RateWindow, Reservation, Side, position_key
from tests.riskcore.builders import NOW, SECOND, account, policy, profile, scoped

SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
EXCHANGES = ("", "ONE", "TWO")
PROFILES = ("free", "tight")

# Around what the accounts below reach, so that limits hold, break and stand exactly at their bound.
_THRESHOLDS = (-1000, -100, 0, "0.05", "0.1", "0.25", "0.5", 1, 2, 5, 100, 500, 1000, 2000)
_DAYS = 30


class World:
    """A firm: its book, what is kept of its accounts, and the prices that are known."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.book = CompiledBook(
            Book(
                version=1,
                parameters=Parameters(sender_clock_tolerance_us=random.choice((0, 2 * SECOND))),
                policies=tuple(self._policy(place) for place in range(random.choice((0, 1, 3, 6, 12)))),
                profiles=(
                    profile("free"),
                    profile(
                        "tight", allowed_leverage=Decimal("0.5"), max_open_positions=2, max_daily_loss=Decimal("0.02")
                    ),
                ),
                accounts=tuple(account(name, random.choice((*PROFILES, "gone"))) for name in "ABC"),
                **self._returns(),
            )
        )
        self.prices = {symbol: self._price() for symbol in SYMBOLS if random.random() < 0.9}
        self.views = [self._view(each) for each in self.book.accounts.values()]

    # ----------------------------------------------------------------------------------------------- the book
    def _policy(self, place: int) -> Policy:
        random = self._random
        metric = random.choice(tuple(METRICS))
        usual = "<=" if METRICS[metric].larger_is_riskier else ">="
        operator = usual if random.random() < 0.6 else random.choice(tuple(Operator))
        kind = random.choice((PolicyType.HARD, PolicyType.EMERGENCY, PolicyType.SOFT))
        window = {"window_s": 10} if metric in WINDOWED else {}
        scope = self._scope()
        return policy(metric, operator, random.choice(_THRESHOLDS), id=f"p{place}", type=kind, **window, **scope)

    def _scope(self) -> dict[str, Any]:
        random = self._random
        names = {
            Scope.EXCHANGE: EXCHANGES[1:],
            Scope.ACCOUNT: ("A", "B"),
            Scope.PROFILE: PROFILES,
            Scope.STRATEGY: ("grid",),
            Scope.SYMBOL: (*SYMBOLS, "NONE"),
        }
        scope = random.choice((Scope.GLOBAL, Scope.GLOBAL, Scope.GLOBAL, *names))
        if scope is Scope.GLOBAL:
            return {}
        return scoped(scope, *random.sample(names[scope], random.randint(1, len(names[scope]))))

    def _returns(self) -> dict[str, Any]:
        random = self._random
        if random.random() < 0.5:
            return {}
        symbols = random.sample(SYMBOLS, random.choice((2, len(SYMBOLS))))
        values = np.random.default_rng(random.randrange(1000)).normal(0, 0.02, (len(symbols), _DAYS))
        until = random.choice(("2026-01-06", "2025-01-06"))  # the latter is too long ago
        kept = Returns(
            version="r", symbols=tuple(symbols), days=_DAYS, since="2024-01-01", until=until, values=values.tobytes()
        )
        return {"returns": kept}

    # ------------------------------------------------------------------------------------------- the accounts
    def _moment(self) -> int:
        """Now, or some time ago, or a little ahead as another clock may say."""
        return NOW + self._random.choice((0, 0, -SECOND, -3 * SECOND, -90 * SECOND, SECOND, 5 * SECOND))

    def _price(self) -> Price:
        random = self._random
        value = random.choice((10, 50, 99, 100, "33.3", "0.000000000001", 0))
        return Price(Decimal(value), self._moment(), random.choice((0, 0, self._moment())))

    def _view(self, of: Account) -> AccountView:
        random = self._random
        held = [self._reservation(of.id, place) for place in range(random.choice((0, 0, 1, 4)))]
        ledger = Ledger(rates={"p0": RateWindow(SECOND, NOW // SECOND, (3,))}, daily_notional=Decimal(700))
        for each in held:
            ledger = reserve(ledger, each)
        return AccountView(
            account_id=of.id,
            version=1,
            state=self._state_json(of.id),
            ledger=random.choice((None, encode_ledger(ledger))) if not held else encode_ledger(ledger),
            prices=dict(self.prices),
            answers={},
            expired=tuple(each for each in held if random.random() < 0.3),
            own_bids={},
            own_asks={},
        )

    def _reservation(self, account_id: str, place: int) -> Reservation:
        random = self._random
        return Reservation(
            order_id=f"o{place}",
            account_id=account_id,
            symbol=random.choice(SYMBOLS),
            exchange=random.choice(EXCHANGES),
            side=random.choice((Side.BUY, Side.SELL)),
            quantity=Decimal(random.choice((1, 3, "7.5", 20))),
            price=Decimal(50),
            valued_at=Decimal(random.choice((50, "33.3"))),
            margin_rate=Decimal("0.1"),
            decision_id=f"d{place}",
            created_at_us=NOW,
            expires_at_us=NOW,
        )

    def _state_json(self, account_id: str) -> bytes | None:
        kind = self._random.random()
        if kind < 0.03:
            return None
        if kind < 0.06:
            return b'{"account_id":"A"}'
        content = msgspec.json.encode(self._state(account_id))
        return content.replace(b'"margin":"1"', b'"margin":"NaN"') if kind < 0.09 else content

    def _state(self, account_id: str) -> AccountState:
        random = self._random
        equity = Decimal(random.choice((1000, 1000, 1500, "777.77", 0, -10)))
        keys = [(symbol, exchange) for symbol in SYMBOLS for exchange in EXCHANGES if random.random() < 0.3]
        random.shuffle(keys)
        return AccountState(
            account_id=account_id,
            equity=equity,
            balance=equity,
            margin_used=Decimal(random.choice((0, 0, 100, 2000))),
            peak_equity=Decimal(random.choice((1000, 1500, 1050, 0))),
            daily_start_equity=Decimal(random.choice((1000, 980, 1100))),
            weekly_start_equity=Decimal(random.choice((1000, 900, 0))),
            positions={position_key(*key): self._position(*key) for key in keys},
            received_at_us=random.choice((0, *[self._moment()] * 19)),
            sent_at_us=random.choice((0, self._moment())),
            drawdown_rapid=random.choice((Decimal(0), Decimal("0.05"), Decimal("0.2"), None)),
        )

    def _position(self, symbol: str, exchange: str) -> Position:
        random = self._random
        return Position(
            symbol=symbol,
            exchange=exchange,
            quantity=Decimal(random.choice((-20, -10, -3, 0, 3, "7.5", 10, "0.000000000001"))),
            entry_price=Decimal(random.choice((0, 10, 50, 100, 120))),
            mark_price=Decimal(random.choice((0, 10, 55, "99.99"))),
            margin=Decimal(random.choice((0, 1))),
        )
