"""A recorded order book session as an OMS would have told of it: orders asked about, their fills, their ends.

Nobody invented it: every limit order on Bitstamp's BTC/USD on one night of 2015. What is wrong with the recording
stays in it: orders deleted before they were created, orders that were open before it began, a row that comes twice.
"""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

from tests.replay.capture import folder

SYMBOL = "BTCUSD"
_NAME = "bitstamp_btcusd_20150501_order_events.csv.gz"
_COIN = Decimal(100_000_000)
_DESKS = 10

CHECK, FILL, CLOSE = "risk.check.order", "fills.confirmed", "orders.closed"


@dataclass(frozen=True)
class Message:
    """One thing that is told, `at_ms` on the venue's clock."""

    at_ms: int
    subject: str
    account_id: str
    payload: dict[str, Any]


@dataclass
class Outcome:
    """What must come of it, by account: quantity held, and what is left of the orders that are open."""

    held: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    open: dict[str, dict[str, Decimal]] = field(default_factory=lambda: defaultdict(dict))
    never_open: set[str] = field(default_factory=set)  # deleted before they were created


def missing() -> str:
    """Return why the recording cannot be replayed, empty where it can."""
    return "" if (folder() / _NAME).is_file() else f"{_NAME} is not there (RISK_TEST_DATA names its folder)"


def rows(most: int | None = None) -> Iterator[dict[str, str]]:
    with gzip.open(folder() / _NAME, "rt", newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            if most is not None and number >= most:
                return
            yield row


def account_of(row: dict[str, str]) -> str:
    """Bids and asks are of different accounts: no order may match its account's own."""
    return f"{row['direction']}-{int(row['id']) % _DESKS}"


def account_ids() -> list[str]:
    return [f"{direction}-{desk}" for direction in ("bid", "ask") for desk in range(_DESKS)]


class Session:
    """Reads the recording row by row: what is told, and what must come of it."""

    def __init__(self, events: Iterable[dict[str, str]]) -> None:
        self.messages: list[Message] = []
        self.outcome = Outcome()
        self._left: dict[str, Decimal] = {}
        self._ended: set[str] = set()
        for row in events:
            getattr(self, f"_{row['action']}")(row, Decimal(row["volume"]) / _COIN)
        for account_id in account_ids():
            self.outcome.held[account_id] += 0
            self.outcome.open[account_id].update({})

    def _tell(self, row: dict[str, str], subject: str, **payload: Any) -> None:
        account_id = account_of(row)
        told = {"order_id": row["id"], "account_id": account_id, **payload}
        self.messages.append(Message(int(row["timestamp"]), subject, account_id, told))

    def _created(self, row: dict[str, str], volume: Decimal) -> None:
        side = "BUY" if row["direction"] == "bid" else "SELL"
        self._tell(row, CHECK, symbol=SYMBOL, side=side, quantity=f"{volume:f}", price=row["price"], order_type="LIMIT")
        if row["id"] in self._ended:
            self.outcome.never_open.add(row["id"])
        elif row["id"] not in self._left:
            self._left[row["id"]] = volume
            self.outcome.open[account_of(row)][row["id"]] = volume

    def _changed(self, row: dict[str, str], volume: Decimal) -> None:
        left = self._left.get(row["id"], volume)
        if volume >= left:
            return
        self._left[row["id"]] = self.outcome.open[account_of(row)][row["id"]] = volume
        self._trade(row, left - volume)

    def _trade(self, row: dict[str, str], quantity: Decimal) -> None:
        buys = row["direction"] == "bid"
        self._tell(
            row,
            FILL,
            fill_id=f"{row['id']}-{len(self.messages)}",
            symbol=SYMBOL,
            side="BUY" if buys else "SELL",
            quantity=f"{quantity:f}",
            price=row["price"],
        )
        self.outcome.held[account_of(row)] += quantity if buys else -quantity

    def _deleted(self, row: dict[str, str], volume: Decimal) -> None:
        self._changed(row, volume)
        self._ended.add(row["id"])
        self._left.pop(row["id"], None)
        self.outcome.open[account_of(row)].pop(row["id"], None)
        self._tell(row, CLOSE, status="cancelled" if volume else "filled")


def shuffled(messages: list[Message], random: Random, within_ms: int = 1000) -> list[Message]:
    """Return the messages in an order in which none is more than so much late."""
    delays = [(message.at_ms + random.uniform(0, within_ms), place) for place, message in enumerate(messages)]
    return [messages[place] for _at, place in sorted(delays)]


def with_twins(messages: list[Message], random: Random, share: float = 0.05) -> list[Message]:
    """Return the messages, some of them again a little later."""
    told: list[Message] = []
    later: list[tuple[int, Message]] = []
    for place, message in enumerate(messages):
        told.append(message)
        if random.random() < share:
            later.append((place + random.randrange(1, 200), message))
        while later and later[0][0] <= place:
            told.append(later.pop(0)[1])
    return [*told, *(message for _place, message in later)]
