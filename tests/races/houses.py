"""riskportal with both doors up, on Redis or on memory, and what a test may do to its live state."""

from __future__ import annotations

import asyncio
import secrets
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from bench.doors import ASGI, WSGI, door
from bench.installation import Installation, Rows
from bench.processes import Process
from devtools.servers import PostgresServer, RedisServer
from tests.races import app
from tests.races.client import Door
from tests.races.control import Prepare, ReadJournal, ReadReservations, Reply, Request
from tests.support.patience import PATIENCE_S, PATIENT

ACCOUNTS = 16
MARK = Decimal(100)
SYMBOL = "BTCUSDT"

SETTINGS = {**PATIENT, "RISK_STATE_MAX_AGE": "1d", "RISK_PRICE_MAX_AGE": "1d", "RISK_RESERVATION_TTL": "1d"}

_PROFILE = {
    "name": "wide",
    "allowed_leverage": "10",
    "max_single_trade_risk": "1",
    "max_daily_loss": "1",
    "max_weekly_loss": "1",
    "max_open_positions": 1000,
}


@dataclass(frozen=True)
class House:
    """A riskportal that can be asked over both doors."""

    key: str
    asgi: Door
    wsgi: Door
    control: Door
    installation: Installation
    processes: dict[str, Process]
    used: dict[str, int] = field(default_factory=dict)

    @property
    def doors(self) -> tuple[Door, Door]:
        return self.asgi, self.wsgi

    def mixed(self, count: int) -> list[Door]:
        """Return so many doors, of both kinds in turn."""
        return [self.doors[number % 2] for number in range(count)]

    def perform(self, request: Request) -> Reply:
        """Do something to the live state, past the doors."""
        url = f"http://127.0.0.1:{self.control.port}{self.control.prefix}/"
        asked = urllib.request.Request(url, data=msgspec.json.encode(request), method="POST")
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
            return msgspec.json.decode(answer.read(), type=Reply)

    async def aperform(self, request: Request) -> Reply:
        """Do as `perform` does, without holding up the storm."""
        return await asyncio.to_thread(self.perform, request)

    def fresh_account(self, kind: str) -> str:
        """Return an account of a kind that no test has used yet."""
        self.used[kind] = self.used.get(kind, -1) + 1
        return accounts_of(kind)[self.used[kind]]

    def prepare(self, *account_ids: str, equity: Decimal = Decimal(1_000_000)) -> None:
        """Report a state of each account, without positions, and the mark."""
        self.perform(Prepare(equities=dict.fromkeys(account_ids, equity), prices={SYMBOL: MARK}))

    def journal(self, account_id: str = "") -> list[dict[str, Any]]:
        """Return the journal's entries on an account, or all of them, in their order."""
        entries = [msgspec.json.decode(entry) for entry in self.perform(ReadJournal()).journal]
        return [each for each in entries if not account_id or each["inputs"]["order"]["account_id"] == account_id]

    def reservations(self, account_id: str) -> list[str]:
        """Return the order_ids of an account's reservations."""
        return [held.order_id for held in self.perform(ReadReservations(account_id=account_id)).reservations]


def order(order_id: str, account_id: str, quantity: object = "1", **fields: object) -> dict[str, object]:
    """Return a buy at the mark."""
    return {
        "order_id": order_id,
        "account_id": account_id,
        "symbol": SYMBOL,
        "side": "BUY",
        "quantity": str(quantity),
        "price": str(MARK),
        **fields,
    }


def accounts_of(kind: str) -> list[str]:
    """Return the accounts that a rule of this kind is for."""
    return [f"{kind}-{number:02d}" for number in range(ACCOUNTS)]


def rows(kinds: dict[str, dict[str, object]]) -> Rows:
    """Return accounts of every kind, and for each kind the policy that is for its accounts alone."""
    policies = [
        {"name": kind, "scope": "account", "scope_ids": accounts_of(kind), "operator": "<=", **policy}
        for kind, policy in kinds.items()
        if policy
    ]
    accounts = [{"account_id": account_id, "profile": "wide"} for kind in kinds for account_id in accounts_of(kind)]
    return Rows(defaults=False, profiles=[_PROFILE], policies=policies, accounts=accounts)


@contextmanager
def new_database(postgres: PostgresServer) -> Iterator[str]:
    """Make an empty database on the run's server, and drop it afterwards."""
    name = f"races_{secrets.token_hex(4)}"
    with postgres.connect() as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        yield postgres.url.rpartition("/")[0] + f"/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@contextmanager
def redis_house(postgres: PostgresServer, of: Rows) -> Iterator[House]:
    """Start both doors as processes of their own on one Redis."""
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer())
        database_url = stack.enter_context(new_database(postgres))
        installation = Installation(database_url=database_url, redis_url=redis.url, settings=SETTINGS)
        stack.callback(installation.close)
        key = installation.found(of).key
        processes = {kind: stack.enter_context(door(kind, installation.environment)) for kind in (ASGI, WSGI)}
        control = stack.enter_context(served("control", installation))
        yield House(
            key=key,
            asgi=Door(processes[ASGI].port),
            wsgi=Door(processes[WSGI].port),
            control=Door(control.port, app.CONTROL),
            installation=installation,
            processes=processes,
        )


@contextmanager
def memory_house(postgres: PostgresServer, of: Rows) -> Iterator[House]:
    """Start one process that has the live state in its memory, with both doors."""
    with ExitStack() as stack:
        database_url = stack.enter_context(new_database(postgres))
        installation = Installation(database_url=database_url, settings=SETTINGS)
        stack.callback(installation.close)
        key = installation.found(of).key
        process = stack.enter_context(served("memory", installation))
        yield House(
            key=key,
            asgi=Door(process.port),
            wsgi=Door(process.port, app.WSGI),
            control=Door(process.port, app.CONTROL),
            installation=installation,
            processes={"memory": process},
        )


def served(what: str, installation: Installation) -> Process:
    """Return a server of the races, not started."""
    return Process(what, [sys.executable, "-m", "tests.races.app", what, "{port}"], installation.environment)
