"""What is traded on: accounts with ten positions each, fifteen limits in force, and the orders that are sent."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from bench.installation import Founded, Installation, Rows
from bench.machine import used_by
from devtools.servers import RedisServer
from feeds.books import CompiledBooks
from riskcore.ledger import decode_ledger
from riskcore.ports import AccountQuery, Load
from riskcore.report import AccountReport, report_steps
from riskcore.types import Position
from state.driver import run_sync
from state.redis_store import RedisStore
from state.store import JOURNAL_START

ACCOUNTS = 100
SYMBOLS = tuple(f"BENCH{number}USDT" for number in range(10))
MARK = Decimal("100.5")

# Every order has the same value, whatever its side: so an account's turnover tells how many were approved.
# The prices do not cross, so that no order would match the account's own.
BUY = ("1.01", "100")
SELL = ("1", "101")
NOTIONAL = Decimal(101)

_ENTRIES = 50_000
_QUIET_S = 0.1
_PAUSE_S = 0.01

# Limits that every order is held against, on top of the five bounds of the account's capital profile; so far
# away that none is reached, by an account nor by all of them together.
_LIMITS: tuple[tuple[str, str, str], ...] = (
    ("leverage", "<=", "10"),
    ("margin_ratio", ">=", "1"),
    ("drawdown_daily", "<=", "0.10"),
    ("drawdown_weekly", "<=", "0.15"),
    ("drawdown_max", "<=", "0.20"),
    ("daily_loss", "<=", "0.10"),
    ("gross_exposure", "<=", "90000000"),
    ("net_exposure", "<=", "90000000"),
    ("concentration", "<=", "0.9"),
    ("position_value", "<=", "50000000"),
    ("position_loss", "<=", "0.30"),
    ("open_positions", "<=", "2000"),
    ("order_notional", "<=", "1000000"),
    ("price_deviation", "<=", "0.05"),
    ("pending_notional", "<=", "90000000"),
)

# The state is reported once, before the load: what is measured is the check, not the feed.
SETTINGS = {
    "RISK_STATE_MAX_AGE": "1d",
    "RISK_PRICE_MAX_AGE": "1d",
    # Orders live two seconds, so that what an approval holds is also taken back within a run, as in trading.
    "RISK_RESERVATION_TTL": "2s",
    # As in production: a call does not begin with a connection to the database.
    "RISK_DATABASE_POOL": "4",
    # Turnover is counted by the day: no day may end while we count.
    "RISK_DAY_ROLL": f"{datetime.now(UTC) + timedelta(hours=12):%H:%M}",
}


class NotWhatWasAsked(RuntimeError):
    """What was measured were not decisions on orders, so the figures would say nothing."""


def account_ids(count: int = ACCOUNTS) -> tuple[str, ...]:
    """Return the accounts, as the load names them."""
    return tuple(f"bench-{number:03d}" for number in range(count))


def rows() -> Rows:
    """Return what officers have set up."""
    profile = {
        "name": "bench",
        "allowed_leverage": "10",
        "max_single_trade_risk": "0.5",
        "max_daily_loss": "0.5",
        "max_weekly_loss": "0.5",
        "max_open_positions": 100,
    }
    policies = [
        {"name": f"Bench {metric}", "metric": metric, "operator": operator, "threshold": threshold}
        for metric, operator, threshold in _LIMITS
    ]
    accounts = [{"account_id": account_id, "profile": "bench"} for account_id in account_ids()]
    return Rows(defaults=False, profiles=[profile], policies=policies, accounts=accounts)


def report(account_id: str) -> AccountReport:
    """Return an account's state: ten positions, long and short in turn."""
    positions = {
        symbol: Position(
            symbol=symbol,
            quantity=Decimal("12.5") if number % 2 == 0 else Decimal("-12.5"),
            entry_price=Decimal("99.75"),
            mark_price=MARK,
            margin=Decimal("125.63"),
        )
        for number, symbol in enumerate(SYMBOLS)
    }
    return AccountReport(
        account_id=account_id, equity=Decimal("10000000.00"), margin_used=Decimal("1256.30"), positions=positions
    )


def order(order_id: str, account_id: str, number: int) -> dict[str, Any]:
    """Return the `number`-th order's body; wrk's script sends the same."""
    buys = number % 2 == 0
    quantity, price = BUY if buys else SELL
    return {
        "order_id": order_id,
        "account_id": account_id,
        "symbol": SYMBOLS[number // 2 % len(SYMBOLS)],
        "side": "BUY" if buys else "SELL",
        "quantity": quantity,
        "price": price,
        "strategy_id": "bench",
    }


class World:
    """The live state before each run: the same every time, so that no run pays for what another left behind."""

    def __init__(self, installation: Installation, founded: Founded, redis_server: RedisServer) -> None:
        self.key = founded.key
        self.store: RedisStore = installation.store()
        self._redis = redis_server
        self._version = founded.book_version
        book, keys = self.store.fetch_book(self._version), self.store.fetch_keys()
        assert book is not None and keys is not None, "the installation was not founded"
        self._book, self._keys = book, keys
        self._books = CompiledBooks()
        self._parameters = self._books.put(self._version, book).parameters

    def reset(self) -> None:
        """Empty the live state and fill it again. Nothing may be checked meanwhile."""
        with self._redis.connect() as client:
            client.flushall()
            client.bgrewriteaof()  # or the file would hold every run until the last
            while client.info("persistence")["aof_rewrite_in_progress"]:
                time.sleep(_PAUSE_S)
        self.store.restore(book_version=self._version, content=self._book, stops=(), keys=self._keys)
        self.store.put_prices({symbol: (str(MARK), 0) for symbol in SYMBOLS})
        for account_id in account_ids():
            run_sync(report_steps(report(account_id), self._parameters), self.store, self._books)

    def redis_cpu_s(self) -> float:
        """Return the CPU time that Redis has used until now, in seconds."""
        assert self._redis.pid is not None
        return used_by(self._redis.pid).cpu_s

    def settle(self) -> None:
        """Wait for what was still under way when the load hung up: it is decided all the same."""
        before = -1
        while (now := self.store.journal_length(0)) != before:
            before = now
            time.sleep(_QUIET_S)

    def content(self) -> dict[str, bytes | None]:
        """Return everything that is in the live state, by its key, as Redis would dump it."""
        with self._redis.connect() as client:
            return {key: client.dump(key) for key in client.scan_iter(count=1000)}

    def tally(self) -> Tally:
        """Return what was decided since the reset, by what the decisions have left in the accounts."""
        query = tuple(AccountQuery(account_id=account_id) for account_id in account_ids())
        views = self.store.load(Load(accounts=query)).accounts
        turnover = sum((decode_ledger(view.ledger).daily_notional for view in views), Decimal(0))
        # The report of the state was each account's first version.
        return Tally(decided=sum(view.version - 1 for view in views), approved=int(turnover / NOTIONAL))

    def blocked(self) -> Counter[str]:
        """Return why orders were not approved, by what the first decisions in the journal say."""
        entries = self.store.read_journal(0, JOURNAL_START, _ENTRIES)
        decisions = (msgspec.json.decode(content)["decision"] for _, content in entries)
        return Counter(f"{each['reason']} ({each['message']})" for each in decisions if not each["approved"])


@dataclass(frozen=True)
class Tally:
    """How many orders were decided, and how many of them approved."""

    decided: int
    approved: int
