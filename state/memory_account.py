"""One account of the memory store: what is kept of it, and what a change does to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from riskcore.ports import AccountChange, AccountQuery, AccountView, Answer
from riskcore.types import OrderTail, Price, Reservation, Side
from state.changes import AccountRecord
from state.keys import own_member, own_suffix, plain_text
from state.requests import counts_as_version
from state.store import EXPIRED_LIMIT, LOST_LEDGER

KnownT = TypeVar("KnownT")


class MemoryAccount:
    """What is kept of one account."""

    __slots__ = ("answers", "fills", "flow", "ledger", "open", "reservations", "state", "symbols", "tails", "version")

    def __init__(self) -> None:
        self.version = 0
        self.state: bytes | None = None
        self.symbols: tuple[str, ...] = ()
        self.ledger: bytes | None = None
        self.flow: bytes | None = None
        self.answers: dict[str, Answer] = {}
        self.tails: dict[str, OrderTail] = {}
        self.fills: dict[str, None] = {}
        self.reservations: dict[str, Reservation] = {}
        self.open: dict[str, dict[str, Reservation]] = {}  # the same by side and position key

    def accepts(self, change: AccountChange) -> bool:
        """Return whether nothing has moved that a change was decided on."""
        added = {one.order_id for one in change.add} - {one.order_id for one in change.remove}
        return (
            self.version == change.expected_version
            and all(self._holds(one) for one in change.remove)
            and added.isdisjoint(self.reservations)
            and self.answers.keys().isdisjoint((*change.answers, *change.tails))
        )

    def lost_ledger(self) -> bool:
        return self.ledger is None and bool(self.reservations)

    def _holds(self, reservation: Reservation) -> bool:
        held = self.reservations.get(reservation.order_id)
        return held is not None and _identity(held) == _identity(reservation)

    def apply(self, change: AccountChange) -> None:
        if change.state is not None:
            self.state, self.symbols = change.state, change.symbols
        else:
            self.symbols = tuple(dict.fromkeys((*self.symbols, *change.symbols)))
        if change.ledger is not None:
            self.ledger = change.ledger
        if change.flow is not None:
            self.flow = change.flow
        self.version += counts_as_version(change)
        for one in change.remove:
            self.reservations.pop(one.order_id, None)
            self.open[own_suffix(one)].pop(one.order_id, None)
        for one in change.add:
            self.reservations[one.order_id] = one
            self.open.setdefault(own_suffix(one), {})[one.order_id] = one
        for order_id, answer in change.answers.items():
            self.answers[order_id] = answer
            self.tails.pop(order_id, None)
        self.tails.update(change.tails)
        self.fills.update(dict.fromkeys(change.fills))

    def view(self, query: AccountQuery, prices: dict[str, Price], now_us: int) -> AccountView:
        """Return what a query asks of the account; `prices` are those of its symbols and the query's."""
        return AccountView(
            account_id=query.account_id,
            version=self.version,
            state=self.state,
            ledger=LOST_LEDGER if self.lost_ledger() else self.ledger,
            prices=prices,
            answers=_some(self.answers, query.order_ids),
            expired=self.expired(now_us),
            own_bids=self.best_prices(Side.BUY, query.keys, now_us),
            own_asks=self.best_prices(Side.SELL, query.keys, now_us),
            reservations=_some(self.reservations, query.reservations),
            tails=_some(self.tails, query.order_ids),
            fills=frozenset(fill_id for fill_id in query.fills if fill_id in self.fills),
            flow=self.flow if query.flow else None,
        )

    def record(self, account_id: str, now_us: int) -> AccountRecord:
        """Return the account as it is kept."""
        over = sum(one.expires_at_us <= now_us for one in self.reservations.values())
        return AccountRecord(
            account_id=account_id,
            edition=f"{self.version} {over}",
            version=self.version,
            state=self.state,
            ledger=LOST_LEDGER if self.lost_ledger() else self.ledger,
            expired=self.expired(now_us) if over else (),
        )

    def best_prices(self, side: Side, keys: Iterable[str], now_us: int) -> dict[str, str]:
        """Return by position key the price of the best open order that is alive."""
        best = max if side is Side.BUY else min
        found = {}
        for key in keys:
            orders = self.open.get(f"{side[0]}:{key}", {}).values()
            if alive := [one.price for one in orders if one.expires_at_us > now_us]:
                found[key] = plain_text(best(alive))
        return found

    def expired(self, now_us: int) -> tuple[Reservation, ...]:
        over = [one for one in self.reservations.values() if one.expires_at_us <= now_us]
        return tuple(sorted(over, key=lambda one: (one.expires_at_us, one.order_id))[:EXPIRED_LIMIT])


def _identity(reservation: Reservation) -> tuple[str, str]:
    return own_suffix(reservation), own_member(reservation)


def _some(known: dict[str, KnownT], names: Iterable[str]) -> dict[str, KnownT]:
    return {name: known[name] for name in names if name in known}
