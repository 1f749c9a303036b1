"""Keeps keys in Redis up to date for programs that only read: accounts, the book, the firm's figures and prices.

Who finds a key may rely on what it says being fresh; what is no longer kept up ends by itself (docs/redis-keys.md).
No order is decided by them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from typing import NamedTuple

import msgspec
from django.conf import settings

from feeds.books import BOOKS, CompiledBooks, in_force
from feeds.firm import Firm
from feeds.market_prices import CLOCKS_APART_US
from feeds.shared_documents import account_text, digits, snapshot_fields
from feeds.standing import standings
from riskcore.book import Parameters
from riskcore.case import age_us
from riskcore.compiled import CompiledBook
from riskcore.ports import Control, Load
from state.keys import SHARED_ACCOUNT, SHARED_BOOK, SHARED_PRICE, SHARED_SNAPSHOT, SHARED_TURN
from state.shared_keys import SharedKeys, SharedText
from state.store import StateUnavailable, Store
from state.wiring import store

# A turn that takes longer than this was left by somebody who is gone.
_LONGEST_TURN_MS = 10_000

# Keys that are renewed each time outlive so many times that were missed, and these seconds at least.
_LIVES = 5
_LEAST_LIFE = timedelta(seconds=5)


class _Book(NamedTuple):
    """What is shared of a book, under its version."""

    version: int = 0
    text: bytes = b""


class Sharing:
    """Writes the keys that other programs read. One process at a time does, however many try.

    Parameters
    ----------
    store, books
        The live state, and the compiled books of the process.
    keys
        The database for accounts, the book and the firm.
    market
        The database for prices; None: they come from there, and must not be written back.
    life_us
        How long keys that are renewed each time live on, in microseconds.
    """

    def __init__(
        self, store: Store, books: CompiledBooks, keys: SharedKeys, market: SharedKeys | None, *, life_us: int
    ) -> None:
        self._store, self._books, self._keys, self._market = store, books, keys, market
        self._life_us = life_us
        self._book = _Book()

    def share(self) -> bool:
        """Write all keys; return False where another process does just now, or the live state is not restored.

        Raises StateUnavailable; what is written until then stays, and ends by itself.
        """
        began = time.monotonic()
        if not self._keys.take_turn(SHARED_TURN, longest_ms=_LONGEST_TURN_MS):
            return False
        try:
            return self._share()
        finally:
            if time.monotonic() - began < _LONGEST_TURN_MS / 1000:  # else it is not ours any more
                self._keys.end_turn(SHARED_TURN)

    def _share(self) -> bool:
        control = self._store.control()
        if control is None:
            return False
        book = in_force(control.book_version, self._store, self._books)
        firm = Firm(len(book.accounts))
        self._keys.write(self._accounts(control, book, firm))
        now_us = self._now_us()
        self._keys.write_fields(
            SHARED_SNAPSHOT, snapshot_fields(firm, control, now_us), ends_at_us=now_us + self._life_us
        )
        self._share_book(control.book_version, now_us)
        if self._market is not None:
            self._share_prices(self._market, book.parameters)
        return True

    def _accounts(self, control: Control, book: CompiledBook, firm: Firm) -> Iterator[SharedText]:
        """Yield the keys of accounts whose state is fresh, and add all of them up."""
        for standing in standings(self._store, book):
            firm.add(standing)
            now_us = standing.picture.now_us
            if standing.ends_at_us > now_us:
                name = SHARED_ACCOUNT + standing.state.account_id
                ends_at_us = min(standing.ends_at_us, now_us + self._life_us)
                yield SharedText(name, account_text(standing, control), ends_at_us)

    def _share_book(self, version: int, now_us: int) -> None:
        """Write the book, each time: whatever somebody else put there must not stay."""
        if version != self._book.version:
            content = self._store.fetch_book(version)
            if content is None:
                raise StateUnavailable(f"book {version} is not in the live state")
            self._book = _Book(version, _without_history(content))
        self._keys.write((SharedText(SHARED_BOOK, self._book.text, now_us + self._life_us),))

    def _share_prices(self, market: SharedKeys, parameters: Parameters) -> None:
        """Write the prices that a check would take, each time, to end when it is too old for one."""
        now_us = self._now_us()
        apart_us = market.now_us() - now_us
        if abs(apart_us) > CLOCKS_APART_US:
            raise StateUnavailable(
                f"{SHARED_PRICE}... is not written: the clock of MARKET_REDIS_URL differs from that of REDIS_URL"
                f" by {apart_us / 1e6:.1f} s, and its keys would end at the wrong moment"
            )
        keys = []
        for symbol, price in self._store.all_prices().items():
            ends_at_us = (
                now_us
                + parameters.price_max_age_us
                - age_us(price.received_at_us, price.sent_at_us, now_us, parameters)
            )
            if price.price > 0 and ends_at_us > now_us:
                keys.append(SharedText(SHARED_PRICE + symbol, digits(price.price), ends_at_us))
        market.write(keys)

    def _now_us(self) -> int:
        return self._store.load(Load(accounts=())).now_us


def _without_history(content: bytes) -> bytes:
    """Return a book as it was published, without its history of prices, which is too large to be sent each time."""
    said = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    return msgspec.json.encode({name: part for name, part in said.items() if name != "returns"})


@cache
def sharing() -> Sharing:
    """Return what writes the keys of this process's live state, which is in Redis, as the settings say."""
    timeout_s = settings.RISK_REDIS_TIMEOUT.total_seconds()
    from_market = settings.RISK_PRICE_PROVIDER == "redis"  # written back, a price would never grow old
    return Sharing(
        store(),
        BOOKS,
        SharedKeys(settings.REDIS_URL, timeout_s=timeout_s),
        None if from_market else SharedKeys(settings.MARKET_REDIS_URL, timeout_s=timeout_s),
        life_us=max(_LEAST_LIFE, _LIVES * settings.RISK_SHARED_KEYS_INTERVAL) // timedelta(microseconds=1),
    )


# A child must not write what its parent's store says.
os.register_at_fork(after_in_child=sharing.cache_clear)
